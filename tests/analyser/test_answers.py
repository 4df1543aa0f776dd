from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from ccinspect.analyser.answers import Answer, compose_answer
from ccinspect.analyser.tokens import TokenCounter
from ccinspect.wire.model import Refusal, Signature, Text, Thinking, Usage
from tests.analyser.talk import COUNTS, answer, calls

COUNTER = TokenCounter(COUNTS)
HIDDEN = Thinking(redacted=True, signature=Signature("sealed", "anthropic"))
TASK = calls("1", "Bash", command="cd /x && git status")


def composed(*blocks, **usage):
    told = Usage(**usage) if usage else None
    return compose_answer(answer(*blocks, usage=told), told, COUNTER)


def test_thinking_is_what_the_provider_counted():
    found = composed(Thinking("in short", summary=True), "Here it is.", output=500, reasoning=430)
    assert (found.total, found.basis, found.thinking, found.thinking_basis, found.text) == (
        500,
        "provider",
        430,
        "provider",
        70,
    )


def test_thinking_that_can_be_read_is_estimated():
    found = composed(Thinking("well " * 50), "Here " * 50, output=200)
    assert (found.thinking_basis, found.thinking, found.text) == ("estimated", 100, 100)


def test_thinking_that_cannot_be_read_is_the_remainder():
    found = composed(HIDDEN, "Here it is.", output=500)
    assert (found.thinking_basis, found.thinking + found.text) == ("remainder", 500)
    assert found.thinking > 480


def test_without_usage_all_is_estimated():
    found = composed("Here it is.", TASK)
    assert (found.basis, found.thinking) == ("estimated", 0)
    assert found.total == found.text + found.tool_calls > 5


def test_calls_are_told_by_tool_and_source():
    found = composed(TASK, TASK, calls("2", "mcp__gh__issue", n=1), output=90)
    assert found.tools == {"Bash": 2, "gh/issue": 1}
    assert found.sources == {"bash:git": 2, "mcp:gh/issue": 1}


def test_an_answer_of_which_nothing_came_is_words():
    found = composed(output=12)
    assert (found.total, found.text, found.thinking) == (12, 12, 0)


blocks = st.lists(
    st.sampled_from([Text("some words"), Refusal("no"), TASK, Thinking("hm"), HIDDEN, Thinking("short", summary=True)]),
    max_size=5,
)


@given(blocks, st.none() | st.integers(0, 5_000), st.none() | st.integers(0, 9_000))
def test_the_kinds_sum_to_the_total(content, output, reasoning):
    found = compose_answer(answer(*content), Usage(output=output, reasoning=reasoning), COUNTER)
    assert found.thinking + found.text + found.tool_calls == found.total
    assert min(found.thinking, found.text, found.tool_calls) >= 0
    if output is not None:
        assert found.total == output
    assert Answer.from_json(json.loads(json.dumps(found.to_json()))) == found
