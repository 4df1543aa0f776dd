from __future__ import annotations

import json

from tests.cli.conftest import Place, flow_id, http_flow
from tests.mcp.conftest import Ask


def test_what_a_turn_added_is_seen(two_calls: Place, ask: Ask) -> None:
    answer = ask("diff_flows", before=flow_id(1), after=flow_id(2))
    assert answer["total"] == 2
    assert [(one["kind"], one["path"]) for one in answer["differences"]] == [
        ("added", ".messages[1]"),
        ("added", ".messages[2]"),
    ]
    assert ask("diff_flows", before=flow_id(1), after=flow_id(1))["total"] == 0


def test_texts_are_compared_by_line_and_paged(place: Place, ask: Ask) -> None:
    place.record(
        http_flow(1, request_body=b"\n".join(b"%d" % line for line in range(200))),
        http_flow(2, request_body=b"\n".join(b"%d!" % line for line in range(200))),
    )
    answer = ask("diff_flows", before=flow_id(1), after=flow_id(2), limit=10)
    assert answer["differences"][:2] == [{"at": "-1,200 +1,200"}, {"line": "-0"}]
    assert answer["next"] == {"offset": 10}
    assert answer["total"] == 401


def test_what_we_changed_is_told_and_keys_are_not(place: Place, ask: Ask) -> None:
    key = "sk-ant-api03-" + "a1B2" * 20
    flow = http_flow(
        1,
        request_body=json.dumps({"model": "new", "key": key}).encode(),
        client_request_body=json.dumps({"model": "old"}).encode(),
    )
    original = flow["flow"]["request"] | {"path": "/old", "headers": [[b"X-A", b"1"]]}
    place.record(flow | {"flow": flow["flow"] | {"client_request": original}})
    answer = ask("compare_flow", flow=flow_id(1))
    assert answer["response"] == "not changed"
    changed = answer["request"]
    assert changed["start"] == [
        "POST https://api.anthropic.com/old",
        "POST https://api.anthropic.com/v1/messages/1",
    ]
    assert {"name": "x-a", "old": "1"} in changed["headers"]
    assert {"kind": "changed", "path": ".model", "old": "old", "new": "new"} in changed["body"]
    assert key not in json.dumps(answer)
