from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from ccinspect.store import schema
from ccinspect.store.changed import is_changed, own_path
from ccinspect.store.query import StoreReader
from ccinspect.store.selection import Selection
from tests.store.records import ended, flow, record

HEADERS = [[b"Host", b"127.0.0.1:4000"], [b"X-Api-Key", b"one"]]


def request(**changes: Any) -> dict[str, Any]:
    return {"method": "POST", "host": "a.example", "path": "/v1/messages", "headers": HEADERS} | changes


@pytest.mark.parametrize(
    ("fields", "changed"),
    [
        ({"client_request": None}, False),
        ({"client_request": request(path="/r/0a1b/anthropic/v1/messages", host="127.0.0.1")}, False),
        ({"client_request": request(headers=[[b"host", b"b.example"], HEADERS[1]])}, False),
        ({"client_request": request(headers=[*HEADERS, [b"X-Ccinspect-Project", b"p"]])}, False),
        ({"client_request": request(headers=[*HEADERS, [b"Accept", b"*/*"]])}, True),
        ({"client_request": request(path="/v1/complete")}, True),
        ({"client_request": request(contentHash="00", contentLength=3)}, True),
        ({"client_response": {"status_code": 200}}, True),
        ({"changes": {"route": {"action": "passthrough"}}}, False),
        ({"changes": {"route": {"action": "redirect"}}}, True),
        ({"changes": {"hooks": [{"name": "a", "state": "ran", "changed": []}]}}, False),
        ({"changes": {"hooks": [{"name": "a", "state": "ran", "changed": ["model"]}]}}, True),
        ({"changes": {"attempts": [{"status": 200}]}}, False),
        ({"changes": {"attempts": [{"status": 529}, {"status": 200}]}}, True),
        ({"changes": {"credentials": "anthropic"}}, True),
        ({"changes": {"hooks": "nonsense", "route": 1, "attempts": {}}}, False),
    ],
)
def test_only_what_somebody_did_to_a_flow_is_a_change(fields: dict[str, Any], changed: bool) -> None:
    assert is_changed({"request": request(), **fields}) is changed


@pytest.mark.parametrize(
    ("path", "own"),
    [
        ("/v1/messages", "/v1/messages"),
        ("/r/0a/openai/v1/x?y=1", "/v1/x?y=1"),
        ("/r/0a/openai", "/"),
        ("/r/0a/openai?a=b", "/?a=b"),
        ("/r/", "/r/"),
        ("*", "*"),
        ("", ""),
    ],
)
def test_the_prefix_of_a_run_is_not_of_the_path(path: str, own: str) -> None:
    assert own_path({"path": path}) == own


def test_changed_flows_and_children_are_found(tmp_path: Path) -> None:
    plain = flow()
    changed = flow(changes={"credentials": "anthropic"})
    child = flow(parent=plain["id"])
    rewritten = flow()
    messages = [ended(made, b"x", b"y") for made in (plain, changed, child)]
    asyncio.run(record(tmp_path, *messages, ended(rewritten, b"x", b"y", client_request_body=b"z")))
    with StoreReader(tmp_path) as store:
        assert [found["id"] for found in store.select(Selection(changed=True))] == [changed["id"], rewritten["id"]]
        assert [found["id"] for found in store.select(Selection(parent=plain["id"]))] == [child["id"]]
        assert store.get(plain["id"])["changes"] is None
        assert store.get(plain["id"])["parent"] is None
        assert store.get(changed["id"])["changes"] == {"credentials": "anthropic"}


def test_what_hooks_said_holds_no_secret(tmp_path: Path) -> None:
    told = {"hooks": [{"name": "mine", "error": "refused: Authorization: Bearer abcdefgh12345678", "ms": 1.5}]}
    secretive = flow(changes=told)
    asyncio.run(record(tmp_path, ended(secretive, b"x", b"y")))
    with StoreReader(tmp_path) as store:
        (hook,) = store.get(secretive["id"])["changes"]["hooks"]
    assert "abcdefgh12345678" not in hook["error"]
    assert hook["name"] == "mine"
    assert hook["ms"] == 1.5


def test_a_store_from_before_is_brought_up_to_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:1])
        schema.open_for_writing(tmp_path).close()
    old = flow()
    db = sqlite3.connect(tmp_path / schema.DATABASE)
    db.execute("INSERT INTO runs VALUES ('r', NULL, 1, 2, '{}')")
    db.commit()
    db.close()
    asyncio.run(record(tmp_path, ended(old, b"x", b"y")))
    with StoreReader(tmp_path) as store:
        assert store.count() == 1
        assert len(store.runs()) == 1
        assert store.count(Selection(changed=True)) == 0
