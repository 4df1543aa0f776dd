"""docs/flow-schema.md names every field of what is really recorded, and no other."""

from __future__ import annotations

import asyncio
import re
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from mitmproxy.test import tutils

from ccinspect.addons import records
from ccinspect.demo.answers import json_answer
from ccinspect.demo.provider import Provider
from ccinspect.store.query import StoreReader
from tests.store.records import ended, flow, record, started
from tests.support.daemon import Daemon

PAGE = (Path(__file__).parents[2] / "docs" / "flow-schema.md").read_text()
BLOCKS = ("client_conn", "server_conn", "request", "client_request", "response", "client_response")


def documented(heading: str, table: int = 0) -> set[str]:
    """The fields of one table below a heading of the page."""
    section = PAGE.split(f"{heading}\n", 1)[1]
    section = re.split(r"^##", section, maxsplit=1, flags=re.MULTILINE)[0]
    tables = re.findall(r"(?:^\|.*\n)+", section, flags=re.MULTILINE)
    return set(re.findall(r"^\| `([a-z_.A-Z]+)` \|", tables[table], flags=re.MULTILINE))


def fields_of(block: dict[str, Any], *nested: str) -> set[str]:
    """The block's keys; those of the blocks named in `nested` with a dot."""
    found = set()
    for key, value in block.items():
        found |= {f"{key}.{inner}" for inner in value} if key in nested and value else {key}
    return found


@pytest.fixture
def captured(daemon: Daemon, provider: Provider) -> dict[str, Any]:
    """An HTTP flow that a real daemon recorded."""
    provider.answer_with(json_answer(200, {}))
    url = f"http://127.0.0.1:{daemon.ports['reverse']}/v1/messages"
    with urllib.request.urlopen(urllib.request.Request(url, data=b"{}"), timeout=20) as answer:
        answer.read()
    (found,) = daemon.wait_for(1)
    return found


def test_an_http_flow_has_the_fields_that_are_documented(captured: dict[str, Any]) -> None:
    flat = fields_of(captured | {"error": {"msg": "", "timestamp": 0}}, "error", "timing", "sizes")
    assert flat | {"error"} == documented("## Flow")
    assert set(captured["request"]) == documented("### `request` and `client_request`")
    assert set(captured["response"]) == documented("### `response` and `client_response`")
    connections = documented("### `client_conn` and `server_conn`")
    assert set(captured["server_conn"]) == connections - {"fingerprint"}
    assert set(captured["client_conn"]) == connections - {"address", "via", "timestamp_tcp_setup"}


def test_the_clients_own_messages_have_the_same_fields(captured: dict[str, Any], tmp_path: Path) -> None:
    own = captured | {"client_request": captured["request"], "client_response": captured["response"]}
    asyncio.run(record(tmp_path, ended(own, b"a", b"b", client_request_body=b"c", client_response_body=b"d")))
    with StoreReader(tmp_path) as store:
        found = store.get(captured["id"])
    for block in BLOCKS[2:]:
        assert set(found[block]) == set(captured[block.removeprefix("client_")])


def test_a_dns_flow_has_the_fields_that_are_documented(tmp_path: Path) -> None:
    lookup = flow(type="dns", request=None, response=None) | {
        "request": records.dns_request_record(tutils.tdnsreq()),
        "response": records.dns_response_record(tutils.tdnsresp()),
    }
    asyncio.run(record(tmp_path, started(lookup), ended(lookup)))
    with StoreReader(tmp_path) as store:
        found = store.get(lookup["id"])
    assert fields_of(found["request"], "question") == documented("### `request` and `client_request`", table=1)
    assert set(found["response"]) == documented("### `response` and `client_response`", table=1)
    assert set(found["response"]["answers"][0]) == {"name", "type", "ttl", "data"}


def test_a_run_has_the_fields_that_are_documented(daemon: Daemon) -> None:
    assert daemon.run("run", "--name", "one", "--tag", "a=b", "--", "true").returncode == 0
    (found,) = daemon.json("runs", "list", "--json")
    git = {"root": "/", "branch": "main", "commit": "0"}
    assert fields_of(found | {"git": git}, "git") | {"git"} == documented("## Run")


def test_a_message_has_the_fields_that_are_documented(tmp_path: Path) -> None:
    stream = flow(type="tcp", request=None, response=None)
    piece = {"kind": "message", "flow_id": stream["id"], "seq": 0, "from_client": True, "type": "tcp", "timestamp": 1.0}
    asyncio.run(record(tmp_path, started(stream), piece | {"content": b"x"}, ended(stream)))
    with StoreReader(tmp_path) as store:
        (found,) = store.messages(stream["id"])
    assert set(found) == documented("## Message")
