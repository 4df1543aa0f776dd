from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccinspect.analyser.composition import Basis, Category, Composition, Part, compose, measure, scaled_tokens
from ccinspect.analyser.scaling import RATIOS
from ccinspect.analyser.tokens import TokenCounter
from ccinspect.wire.model import Usage
from ccinspect.wire.openai_chat.decode import read_request as read_chat
from tests.analyser.talk import COUNTS, assistant, call, request, result, tool, user
from tests.analyser.test_media import png

IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": png(280, 280)}}
FILE = "src/a.py\n```python\nx = 1\n```\n"


def parts_of(*messages, **fields):
    return measure(request(*messages, **fields), TokenCounter(COUNTS))


def table(parts):
    """(category, kind, source, file) of each part but framing."""
    return [(str(p.category), p.kind, p.source, p.file) for p in parts if p.kind != "framing"]


def test_every_block_finds_its_category():
    parts = parts_of(
        user("<system-reminder>Be nice.</system-reminder>", "An old question"),
        assistant(
            {"type": "thinking", "thinking": "hm", "signature": "s"},
            "Let me see.",
            call("1", "Read", file_path="/b.py"),
        ),
        user(result("1", "1\tx = 1")),
        assistant("Done."),
        user("Now fix this:\n\n" + FILE + "Thanks"),
        system=[{"type": "text", "text": "You are an agent."}],
        tools=[tool("Read"), tool("mcp__gh__issue")],
    )
    assert table(parts) == [
        ("tool_definitions", "tool_definition", "tool:Read", None),
        ("tool_definitions", "tool_definition", "mcp:gh/issue", None),
        ("system_prompt", "text", "system", None),
        ("conversation_history", "text", "user", None),
        ("conversation_history", "text", "user", None),
        ("conversation_history", "thinking", "reasoning", None),
        ("conversation_history", "text", "assistant", None),
        ("conversation_history", "tool_call", "tool:Read", "/b.py"),
        ("tool_results", "tool_result", "tool:Read", "/b.py"),
        ("conversation_history", "text", "assistant", None),
        ("current_user_message", "text", "user", None),
        ("file_contents", "text", "user", "src/a.py"),
        ("current_user_message", "text", "user", None),
    ]


def test_the_current_user_message_stays_it_while_tools_run():
    parts = parts_of(
        user("Do it"),
        assistant(call("1", "Bash", command="git status")),
        user(result("1", "clean"), "<system-reminder>todo</system-reminder>"),
    )
    assert ("current_user_message", "text", "user", None) in table(parts)
    assert ("conversation_history", "text", "user", None) in table(parts)
    assert ("tool_results", "tool_result", "bash:git", None) in table(parts)


def test_what_an_agent_says_beside_a_result_is_no_new_task():
    """Claude Code, after a search for tools."""
    found = user(result("1", "Read"), "Tool loaded.")
    parts = parts_of(user("Do it"), assistant(call("1", "ToolSearch", query="read")), found)
    users = [row for row in table(parts) if row[2] == "user"]
    assert [category for category, *_ in users] == ["current_user_message", "conversation_history"]


def test_a_trailing_answer_is_prefill_and_tool_results_in_it_are_tool_results():
    parts = parts_of(user("Do it"), assistant("Sure, {"))
    assert table(parts)[-1] == ("assistant_prefill", "text", "assistant", None)
    odd = parts_of(user("Do it"), assistant("x", result("1", "y")))
    assert table(odd)[-1][0] == "tool_results"


def test_files_in_a_system_prompt_are_system_prompt():
    parts = parts_of(user("hi"), system=FILE)
    assert table(parts)[0] == ("system_prompt", "text", "system", None)


def test_system_messages_are_system_prompt_wherever_they_stand():
    chat = read_chat(
        {"model": "gpt-5", "messages": [{"role": "developer", "content": "a"}, {"role": "user", "content": "b"}]}
    )
    assert table(measure(chat, TokenCounter(COUNTS)))[0][0] == "system_prompt"


def test_images_and_documents_are_kinds_of_their_own():
    document = {
        "type": "document",
        "title": "a.txt",
        "source": {"type": "text", "media_type": "text/plain", "data": "words"},
    }
    parts = parts_of(user(IMAGE, document), assistant(call("1", "Read", file_path="x.png")), user(result("1", [IMAGE])))
    kinds = [(part.kind, part.category, part.file) for part in parts if part.kind in ("image", "document")]
    assert kinds == [
        ("image", Category.USER, None),
        ("document", Category.FILES, "a.txt"),
        ("image", Category.TOOL_RESULTS, "x.png"),
    ]
    assert [part.tokens for part in parts if part.kind == "image"] == [100, 100]


def test_a_result_without_its_call_is_of_an_unknown_tool():
    assert table(parts_of(user(result("9", "x"))))[0][2] == "tool:unknown"


def test_the_schema_of_structured_output_is_uncategorised():
    chat = read_chat(
        {
            "model": "gpt-5",
            "messages": [{"role": "user", "content": "b"}],
            "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}},
        }
    )
    assert ("uncategorised", "schema", "system", None) in table(measure(chat, TokenCounter(COUNTS)))


def test_an_empty_request_has_no_parts():
    empty = compose(parts_of(), None)
    assert (empty.total, empty.visible, empty.coverage) == (0, 0, 100.0)


def test_without_usage_all_numbers_are_estimated():
    composition = compose(parts_of(user("hello")), None)
    assert composition.basis is Basis.ESTIMATED
    assert composition.provider is None
    assert composition.total == composition.visible == sum(composition.categories.values())


def test_with_usage_all_numbers_are_scaled_to_the_providers():
    usage = Usage(input=1, cache_read=40, cache_write_5m=2, output=900)
    composition = compose(parts_of(user("hello")), usage, tokenizer="claude-3")
    assert composition.basis is Basis.PROVIDER
    assert (composition.total, composition.provider, composition.cached) == (43, 43, 40)
    assert sum(composition.categories.values()) == 43


def test_history_that_we_did_not_see_is_unattributed():
    usage = Usage(input=50_000)
    composition = compose(parts_of(user("hello " * 100)), usage, tokenizer="openai", complete=False)
    assert composition.total == 50_000
    assert composition.unattributed > 49_000
    assert composition.coverage < 1


def test_definitions_are_told_apart_from_calls_and_results():
    parts = parts_of(
        user("x"),
        assistant(call("1", "mcp__gh__issue", number=1)),
        user(result("1", "an issue")),
        tools=[tool("mcp__gh__issue"), tool("Read")],
    )
    composition = compose(parts, None)
    assert composition.definitions.keys() == {"gh/issue", "Read"}
    assert composition.tools["gh/issue"] > composition.definitions["gh/issue"]
    assert composition.servers == {"gh": composition.tools["gh/issue"]}
    assert composition.activities == {"mcp": composition.tools["gh/issue"] - composition.definitions["gh/issue"]}


texts = st.sampled_from(
    ["hi", "a longer text with words", "```a.py\nx = 1\n```", "<file path='b.py'>y</file> and", "\n" * 40, ""]
)
blocks = st.one_of(
    texts,
    st.builds(lambda t: {"type": "thinking", "thinking": t, "signature": "s"}, texts),
    st.just({"type": "redacted_thinking", "data": "AAAA"}),
    st.just(IMAGE),
    st.builds(lambda n: call(f"t{n}", "Bash", command="git status"), st.integers(0, 3)),
    st.builds(lambda n, t: result(f"t{n}", t), st.integers(0, 3), texts),
    st.just({"type": "something_new", "words": "in it"}),
)
roles = st.sampled_from(["user", "assistant", "system", "odd"])
contents = st.lists(blocks, max_size=4)
messages = st.lists(st.builds(lambda role, c: {**user(*c), "role": role}, roles, contents), max_size=6)
usages = st.none() | st.builds(
    Usage,
    input=st.integers(0, 10**6),
    cache_read=st.none() | st.integers(0, 10**6),
    cache_write_5m=st.none() | st.integers(0, 10**5),
)


@given(messages, usages, st.booleans(), st.integers(0, 3))
def test_the_visible_parts_and_the_unattributed_sum_to_the_total_exactly(talk, usage, complete, tools):
    parts = parts_of(*talk, tools=[tool(f"mcp__s__t{n}") for n in range(tools)], system="You are.")
    composition = compose(parts, usage, tokenizer="claude-3", complete=complete)
    assert composition.total == (usage.total_input if usage else sum(part.tokens for part in parts))
    for sums in (composition.categories, composition.kinds, composition.sources):
        assert sum(sums.values()) + composition.unattributed == composition.total
    for sums in (composition.tools, composition.servers, composition.files, composition.activities):
        assert sum(sums.values()) <= composition.total
    assert composition.unattributed >= 0
    assert 0 <= composition.coverage <= 100
    assert (
        sum(scaled_tokens(parts, usage, tokenizer="claude-3", complete=complete))
        == composition.total - composition.unattributed
    )
    assert Composition.from_json(json.loads(json.dumps(composition.to_json()))) == composition


@pytest.mark.parametrize("tokenizer", RATIOS)
def test_sealed_parts_leave_what_is_theirs_unattributed(tokenizer):
    sealed = Part(Category.HISTORY, "reasoning", "thinking", 0, opaque=True)
    seen = Part(Category.USER, "user", "text", 10_000)
    composition = compose([sealed, seen], Usage(input=30_000), tokenizer=tokenizer)
    assert composition.unattributed >= 15_000
    assert composition.categories["current_user_message"] + composition.unattributed == 30_000
