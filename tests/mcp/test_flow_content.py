from __future__ import annotations

import json
from pathlib import Path

import pytest

from ccinspect.errors import FlowNotFound
from ccinspect.mcp.bodies import NoSuchPlace
from ccinspect.policy.unreadable import MASK
from tests.cli.conftest import Place, flow_id, http_flow
from tests.cli.model_calls import SYSTEM
from tests.mcp.conftest import Ask

KEY = "sk-ant-api03-" + "a1B2" * 20


def test_an_outline_tells_the_build_without_the_content(two_calls: Place, ask: Ask) -> None:
    answer = ask("flow_outline", flow=flow_id(2)[:8])
    places = answer["request"]["json"]
    assert answer["flow"]["id"] == flow_id(2)
    assert places[".model"] == '"claude-sonnet-4-5"'
    assert places[".system"].startswith(f"text of {len(SYSTEM):,} characters")
    assert places[".messages"].startswith("array of 3")
    assert answer["response"]["json"][".usage.cache_read_input_tokens"] == "1400"
    assert len(json.dumps(answer)) < 6_000


def test_a_body_is_read_piece_by_piece(two_calls: Place, ask: Ask) -> None:
    whole, asked = "", {"offset": 0}
    while True:
        answer = ask("flow_body", flow=flow_id(1), path=".system", length=700, **asked)
        whole += answer["text"]
        if answer["next"] is None:
            break
        asked = answer["next"]
    assert whole == SYSTEM
    assert answer["total"] == len(SYSTEM)
    assert ask("flow_body", flow=flow_id(2), path=".messages[-1].role")["text"] == "user"
    assert ask("flow_body", flow=flow_id(2), path='.messages[0]["content"]')["text"] == "Which branch is this?"
    assert json.loads(ask("flow_body", flow=flow_id(2), side="response")["text"])["type"] == "message"


def test_a_place_that_is_not_there_says_what_is(two_calls: Place, ask: Ask) -> None:
    with pytest.raises(NoSuchPlace, match=r"nothing at \.messages\[9\]: what it is in is an array of 1"):
        ask("flow_body", flow=flow_id(1), path=".messages[9].content")
    with pytest.raises(NoSuchPlace) as raised:
        ask("flow_body", flow=flow_id(1), path=".message")
    assert "messages" in raised.value.hint
    with pytest.raises(NoSuchPlace, match="no path"):
        ask("flow_body", flow=flow_id(1), path="..x")
    with pytest.raises(FlowNotFound):
        ask("flow_body", flow="0123")


def test_keys_in_bodies_are_masked_wherever_a_piece_is_cut(place: Place, ask: Ask) -> None:
    text = f"before {KEY} after"
    place.record(http_flow(1, request_body=json.dumps({"text": text}).encode()))
    assert ask("flow_body", flow=flow_id(1), path=".text")["text"] == f"before {MASK * len(KEY)} after"
    for offset in range(0, len(text), 7):
        piece = ask("flow_body", flow=flow_id(1), path=".text", offset=offset, length=7)["text"]
        assert not any(
            part and part in KEY for part in piece.replace("before ", "").replace(" after", "").split() if len(part) > 5
        )
    assert KEY not in json.dumps(ask("flow_outline", flow=flow_id(1)))


def test_a_body_goes_to_a_file_of_the_user_alone(place: Place, ask: Ask) -> None:
    place.record(http_flow(1, request_body=f"a\n{KEY}\nb".encode()))
    path = Path(ask("flow_body", flow=flow_id(1), to_file=True)["file"])
    assert path.is_relative_to(place.paths.data_dir)
    assert path.read_text() == f"a\n{MASK * len(KEY)}\nb"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("body", [b"\0\1\2" * 900, b"\xff\xfe not utf-8", b'{"a": ' * 3000, b"x" * 50_000, b""])
def test_awkward_bodies_are_answered(place: Place, ask: Ask, body: bytes) -> None:
    place.record(http_flow(1, request_body=body))
    assert len(json.dumps(ask("flow_outline", flow=flow_id(1)))) < 8_000
    if b"\0" in body:
        with pytest.raises(NoSuchPlace, match="binary"):
            ask("flow_body", flow=flow_id(1))
    else:
        assert ask("flow_body", flow=flow_id(1))["total"] == len(body.decode("utf-8", "replace"))


def test_many_members_and_elements_stay_small(place: Place, ask: Ask) -> None:
    wide = {f"name {number}": [{"x": "y" * 40}] * 9 for number in range(100)}
    place.record(http_flow(1, request_body=json.dumps(wide).encode()))
    answer = ask("flow_outline", flow=flow_id(1))
    assert answer["truncated"]
    assert len(json.dumps(answer)) < 10_000
