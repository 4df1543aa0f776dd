"""Whatever is sent: every request that a decoder can read, the analyser can take apart."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ccinspect.analyser.analyse import Analyser, Analysis, Exchange
from ccinspect.analyser.tokens import TokenCounter
from ccinspect.wire.registry import DIALECTS
from tests.analyser.talk import COUNTS

WORDS = (
    "role user assistant system developer tool model content text type tool_use tool_result thinking signature image "
    "source data base64 media_type image/png name input id tool_use_id arguments function function_call message "
    "function_call_output call_id output reasoning summary encrypted_content parts functionCall functionResponse args "
    "response inlineData mimeType input_text output_text image_url url cache_control ephemeral ttl 1h Bash command "
    "Read file_path path usage input_tokens output_tokens prompt_tokens completion_tokens cached_tokens stop_reason "
    "finish_reason end_turn metadata user_id"
)
# Odd fields where they will be looked at, rather than anywhere.
words = st.sampled_from(WORDS.split())
leaves = st.one_of(words, st.text(max_size=20), st.integers(-5, 10**20), st.floats(), st.booleans(), st.none())
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=5), max_leaves=25
)
FIELDS = (
    "messages",
    "input",
    "contents",
    "system",
    "instructions",
    "systemInstruction",
    "tools",
    "tool_choice",
    "metadata",
    "prompt",
)
requests = st.dictionaries(
    st.sampled_from((*FIELDS, "model", "previous_response_id", "output_config")), values, max_size=6
)


@pytest.mark.parametrize("dialect", DIALECTS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(asked=requests, again=requests, answered=values)
def test_no_request_and_no_answer_is_too_odd(dialect, asked, again, answered):
    codec = DIALECTS[dialect]
    analyser = Analyser(counter=TokenCounter(COUNTS))
    for number, body in enumerate((asked, again, asked)):
        request = codec.decode_request(json.dumps(body).encode(), "/v1/messages")
        response = codec.decode_response(json.dumps(answered).encode(), 200)
        outcome = analyser.analyse(Exchange(f"flow-{number}", request, response, float(number), "anthropic"))
        analyser.index.add(outcome.turn)
        composition = outcome.analysis.composition
        assert sum(composition.categories.values()) + composition.unattributed == composition.total
        assert Analysis.from_json(json.loads(json.dumps(outcome.analysis.to_json()))) == outcome.analysis


def test_a_request_of_a_hundred_thousand_blocks_takes_bounded_time_and_keeps_little():
    messages = [{"role": "assistant" if at % 2 else "user", "content": f"word {at}"} for at in range(50_000)]
    for at in range(0, 50_000, 10):
        call = {"type": "tool_use", "id": f"t{at}", "name": f"tool{at}", "input": {"file_path": f"/{at}.py"}}
        messages[at] = {"role": "assistant", "content": [call] * 10}
    body = {"model": "claude-sonnet-4-5", "messages": messages}
    request = DIALECTS["anthropic"].decode_request(json.dumps(body).encode(), "/v1/messages")
    outcome = Analyser(counter=TokenCounter(COUNTS)).analyse(Exchange("flow", request, None, 0.0))
    assert len(json.dumps(outcome.analysis.to_json())) < 100_000
    assert len(json.dumps(outcome.turn.to_json())) < 10_000
    assert len(outcome.prefix.hashes) <= 20_000
