"""Codex over a WebSocket: history kept by the provider, warm-ups, and a fall-back to plain requests in the midst."""

from __future__ import annotations

import json

import pytest

from ccinspect.analyser.turns import Certainty, Relation
from ccinspect.wire.registry import DIALECTS
from tests.analyser.talk import Agent

CODEC = DIALECTS["openai_responses"]
REASONING = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}
CALL = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "c1",
    "name": "shell",
    "arguments": '{"command": ["bash", "-lc", "git status"]}',
}
RESULT = {"type": "function_call_output", "call_id": "c1", "output": "clean"}
SAID = {"type": "message", "id": "m", "role": "assistant", "content": [{"type": "output_text", "text": "All clean."}]}


def says(text):
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


def ask(*items, **fields):
    body = {"model": "gpt-5-codex", "instructions": "You are Codex.", "prompt_cache_key": "key", "input": list(items)}
    return CODEC.decode_request(json.dumps({**body, **fields}).encode(), "/v1/responses")


def reply(id, *items):
    counts = {"input_tokens": 900, "output_tokens": 20, "input_tokens_details": {"cached_tokens": 0}}
    body = {"id": id, "object": "response", "status": "completed", "model": "gpt-5-codex", "output": list(items)}
    return CODEC.decode_response(json.dumps({**body, "usage": {**counts, "total_tokens": 920}}).encode(), 200)


@pytest.fixture
def turns():
    """A warm-up, a turn, its continuation, the next turn with all its history, and one more that names a response."""
    agent = Agent()
    history = [says("<environment_context>"), says("Is it clean?"), REASONING, CALL, RESULT, SAID]
    exchanges = [
        (ask(*history[:2], generate=False), reply("r0")),
        (ask(previous_response_id="r0"), reply("r1", REASONING, CALL)),
        (ask(RESULT, previous_response_id="r1"), reply("r2", SAID)),
        (ask(*history, says("And now?")), reply("r3", SAID)),
        (ask(says("Still?"), previous_response_id="r3"), reply("r4", SAID)),
    ]
    return [agent.send(*exchange) for exchange in exchanges]


def test_a_warm_up_is_beside_the_conversation_and_the_rest_is_one(turns):
    lineages = [turn.analysis.lineage for turn in turns]
    assert [each.relation for each in lineages] == [
        Relation.SIDE_CALL,
        Relation.ROOT,
        Relation.CONTINUATION,
        Relation.CONTINUATION,
        Relation.CONTINUATION,
    ]
    assert {each.conversation for each in lineages[1:]} == {"flow-2"}
    assert [each.depth for each in lineages[1:]] == [1, 2, 3, 4]
    assert {each.certainty for each in lineages} == {Certainty.EXACT}


def test_each_turn_holds_all_of_the_history(turns):
    tools = [turn.analysis.composition.sources.get("bash:git", 0) for turn in turns]
    assert tools[0] == tools[1] == 0
    assert all(tools[2:])
    messages = [turn.turn.tip for turn in turns]
    assert len(set(messages)) == 4, "the warm-up's context is that of the first turn"


def test_sealed_reasoning_leaves_its_share_unattributed(turns):
    assert turns[2].analysis.composition.unattributed > 0
    assert turns[2].analysis.composition.total == 900


def test_a_setting_after_the_users_words_is_nobodys_turn():
    """As Codex ends its input; whatever else may come to stand there is not the assistant's either."""
    for kind in ("configuration_update", "something_new"):
        turn = Agent().send(ask(says("Is it clean?"), {"type": kind, "reasoning": {"effort": "low"}}), reply("r", SAID))
        assert turn.analysis.purpose == "user_turn"
        assert "assistant_prefill" not in turn.analysis.composition.categories
        assert turn.analysis.composition.categories["current_user_message"] > 0


def test_tools_in_the_history_stay_in_the_window():
    """Codex sends them once, as an item of the input; the provider keeps them with the rest."""
    agent = Agent()
    tools = {"type": "additional_tools", "tools": [{"type": "function", "name": "shell", "description": "Runs. " * 99}]}
    first = agent.send(ask(tools, says("Is it clean?")), reply("r1", CALL)).analysis
    second = agent.send(ask(RESULT, previous_response_id="r1"), reply("r2", SAID)).analysis
    third = agent.send(ask(says("Still?"), previous_response_id="r2"), reply("r3", SAID)).analysis
    for later in (second, third):
        assert later.composition.definitions.keys() == first.composition.definitions.keys() == {"shell"}
        assert later.cache.verdict != "tools_changed"
