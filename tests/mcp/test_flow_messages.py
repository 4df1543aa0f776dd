from __future__ import annotations

import json

import pytest

from ccinspect.errors import NoModelCall
from tests.cli.conftest import Place, flow_id, http_flow
from tests.cli.model_calls import anthropic_call, user
from tests.mcp.conftest import Ask


def test_a_call_is_told_from_system_prompt_to_answer(two_calls: Place, ask: Ask) -> None:
    answer = ask("flow_messages", flow=flow_id(2))
    roles = [message["role"] for message in answer["messages"]]
    assert roles == ["system", "user", "assistant", "user", "answer"]
    assert answer["total"] == 5
    call = answer["messages"][2]["blocks"][0]
    assert call == {"tool_call": "Bash", "id": "toolu_1", "arguments": '{"command": "git branch"}'}
    assert answer["messages"][3]["blocks"][0]["content"][0]["text"] == "* main\n  other"
    assert answer["messages"][4] == {"role": "answer", "stop_reason": "end_turn", "blocks": [{"text": "main"}]}
    assert answer["messages"][0]["tokens"] > 100


def test_pages_may_begin_from_the_end(two_calls: Place, ask: Ask) -> None:
    last = ask("flow_messages", flow=flow_id(2), offset=-2)
    assert [message["role"] for message in last["messages"]] == ["user", "answer"]
    assert last["next"] is None
    first = ask("flow_messages", flow=flow_id(2), limit=2)
    assert first["next"] == {"offset": 2}
    assert first["truncated"]


def test_long_texts_are_cut_and_an_answer_stays_small(place: Place, ask: Ask) -> None:
    place.record(anthropic_call(1, [user("x" * 700)] * 60, [{"type": "text", "text": "y"}]))
    answer = ask("flow_messages", flow=flow_id(1), limit=100, characters=600)
    assert answer["messages"][1]["blocks"][0]["text"].endswith("(700 characters in all)")
    assert len(json.dumps(answer)) < 14_000
    assert answer["truncated"]


def test_keys_in_messages_are_masked(place: Place, ask: Ask) -> None:
    key = "sk-ant-api03-" + "a1B2" * 20
    place.record(anthropic_call(1, [user("x" * 380 + " " + key)], [{"type": "text", "text": key}]))
    assert key[:16] not in json.dumps(ask("flow_messages", flow=flow_id(1)))


def test_a_websocket_is_told_by_its_messages(place: Place, ask: Ask) -> None:
    flow = http_flow(1, request={"method": "GET"}, response={"status_code": 101})
    pieces = [
        {"kind": "message", "flow_id": flow_id(1), "seq": seq, "from_client": seq == 0, "type": "text",
         "timestamp": 1_760_000_000.0, "content": content}
        for seq, content in enumerate([b"hello", b"world"])
    ]  # fmt: skip
    place.record({"kind": "flow_started", "flow": flow["flow"] | {"state": "started"}}, *pieces, flow)
    answer = ask("flow_messages", flow=flow_id(1))
    assert [(one["by"], one["text"]) for one in answer["messages"]] == [("client", "hello"), ("server", "world")]


def test_what_is_neither_says_so(place: Place, ask: Ask) -> None:
    place.record(http_flow(1, request={"method": "GET"}))
    with pytest.raises(NoModelCall, match="no call to a model that can be read"):
        ask("flow_messages", flow=flow_id(1))
