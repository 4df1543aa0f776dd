"""What a rule of `redact` masks in the store is in no file of ours at any time, and still goes out as it is."""

from __future__ import annotations

import gzip
import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ccinspect.control.client import ControlClient
from ccinspect.demo.answers import Answer, Close, Gate, chunk, head, json_answer, last_chunk, plain
from ccinspect.demo.provider import Provider
from ccinspect.store.query import StoreReader
from ccinspect.store.selection import Selection
from ccinspect.store.spool import IN_MEMORY
from ccinspect.wire.encoding import decode_body, encode_body
from tests.addons.conftest import Configure
from tests.addons.connections import server, tunnel
from tests.addons.test_changes import OWN, ask, asking
from tests.support.daemon import Daemon, settings_for, started
from tests.support.shared_daemon import SharedDaemon
from tests.support.websocket import answering, exchange

CUSTOMER = "ACME-483920"
KEY = "ghp_" + "aB3" * 12
INSTEAD = "[redacted: customer]"
RULES = [
    {"name": "customer", "pattern": r"ACME-\d{6}", "where": "store"},
    {"name": "keys", "secrets": True, "where": "store"},
    {"name": "word", "pattern": "peculiar", "where": "store", "mode": "flag"},
    {"name": "web", "pattern": "only in web", "where": "store", "projects": ["web-*"]},
]
# Too long to cross to the recorder in memory, were there no rules.
LONG = "x" * (IN_MEMORY + 1000)


@pytest.fixture(scope="module")
def masking(shared_provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedDaemon]:
    """Of its own, since the one without rules keeps what is looked for here."""
    directory = tmp_path_factory.mktemp("masking")
    settings = settings_for(shared_provider, directory, redact=RULES)
    with started(SharedDaemon(directory / "instance", settings)) as running:
        yield running


@pytest.fixture
def daemon(masking: SharedDaemon, provider: Provider) -> SharedDaemon:
    masking.use()
    return masking


def message(text: str) -> dict[str, Any]:
    return {"model": "claude-x", "max_tokens": 50, "messages": [{"role": "user", "content": text}]}


def files_with(daemon: Daemon, *words: str) -> list[Path]:
    """Files below the data directory that hold one of the words."""
    found = []
    for path in daemon.paths.data_dir.rglob("*"):
        try:
            if path.is_file() and any(word.encode() in path.read_bytes() for word in words):
                found.append(path)
        except FileNotFoundError:
            continue
    return found


def everything_kept(daemon: Daemon) -> str:
    """All the store has, unpacked: a look at its compressed files alone would miss much."""
    kept = []
    with StoreReader(daemon.paths.store_dir) as store:
        kept += [json.dumps(run) for run in store.runs()]
        for record in store.iter_records(Selection()):
            kept.append(json.dumps(record))
            for role in ("request", "response", "client_request", "client_response"):
                body = b"".join(store.stream_body(record["id"], role) or ())
                codings = [value for name, value in (record[role] or {}).get("headers", ()) if "encoding" in name]
                kept.append(decode_body(body, codings[0] if codings else "").data.decode(errors="replace"))
            kept += [(piece["content"] or b"").decode(errors="replace") for piece in store.messages(record["id"])]
    return "\n".join(kept)


def assert_masked(daemon: Daemon, *words: str) -> str:
    kept = everything_kept(daemon)
    for word in words:
        assert word not in kept
    assert files_with(daemon, *words) == []
    return kept


def test_without_rules_it_would_be_kept(configure: Configure, provider: Provider) -> None:
    """So that the other tests here can fail."""
    daemon = configure()
    gate = Gate()
    pieces = [chunk(f"{CUSTOMER} {LONG}".encode()), gate, last_chunk()]
    provider.answer_with(Answer([head(200, [("transfer-encoding", "chunked")]), *pieces]))
    with asking(daemon, message(f"about {CUSTOMER} {KEY}")) as response:
        response.read(len(LONG))
        gate.wait_reached()
        assert files_with(daemon, CUSTOMER)
        gate.open()
        response.read()
    daemon.wait_for(1)
    kept = everything_kept(daemon)
    assert CUSTOMER in kept
    assert KEY in kept


def test_bodies_paths_and_headers_are_masked_and_go_out_as_they_are(daemon: Daemon, provider: Provider) -> None:
    body = json.dumps(message(f"about {CUSTOMER}, key {KEY}, 12345678, peculiar")).encode()
    with asking(daemon, body, {**OWN, "x-about": f"for {CUSTOMER}"}, f"/v1/messages?who={CUSTOMER}") as response:
        answer = response.read().decode()
    assert CUSTOMER in answer
    assert provider.requests[0].body == body
    assert CUSTOMER.encode() in provider.requests[0].head
    (record,) = daemon.wait_for(1)
    assert_masked(daemon, CUSTOMER, KEY)
    with StoreReader(daemon.paths.store_dir) as store:
        kept = store.request_body(record["id"])
    assert kept == body.replace(CUSTOMER.encode(), INSTEAD.encode()).replace(KEY.encode(), b"[redacted: GitHub token]")
    assert record["request"]["path"] == f"/v1/messages?who={INSTEAD}"
    found = record["changes"]["stored"]
    assert [finding["name"] for finding in found["request"]["findings"]] == ["customer", "GitHub token", "word"]
    assert found["request"]["findings"][0]["path"] == ".messages[0].content"
    assert "customer masked" in daemon.run("flows", "show", record["id"][:8], check=True).stdout
    assert daemon.flows(None, "--changed") == []


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, br"])
def test_encoded_bodies_are_masked_inside(daemon: Daemon, provider: Provider, encoding: str) -> None:
    text = json.dumps(message(f"about {CUSTOMER}"))
    sent = encode_body(text.encode(), encoding)
    answered = encode_body(f"it was {CUSTOMER}".encode(), encoding)
    provider.answer_with(plain(200, answered, [("content-encoding", encoding), ("content-type", "text/plain")]))
    with asking(daemon, sent, {**OWN, "content-encoding": encoding}) as response:
        assert response.read() == answered
    assert provider.requests[0].content == sent
    (record,) = daemon.wait_for(1)
    assert_masked(daemon, CUSTOMER)
    with StoreReader(daemon.paths.store_dir) as store:
        kept = store.request_body(record["id"])
        heard = store.response_body(record["id"])
    assert decode_body(kept or b"", encoding).data.decode() == text.replace(CUSTOMER, INSTEAD)
    assert decode_body(heard or b"", encoding).data.decode() == f"it was {INSTEAD}"


def test_what_is_too_long_for_memory_otherwise_is_in_no_file_meanwhile(daemon: Daemon, provider: Provider) -> None:
    gate = Gate()
    pieces = [chunk(f"{CUSTOMER} {LONG}".encode()), gate, chunk(b"end"), last_chunk()]
    provider.answer_with(Answer([head(200, [("transfer-encoding", "chunked")]), *pieces]))
    with asking(daemon, message(f"{CUSTOMER} {LONG}")) as response:
        assert response.read(len(LONG)).startswith(CUSTOMER.encode())
        assert files_with(daemon, CUSTOMER) == []
        assert list((daemon.paths.store_dir / "spool").rglob("*.body")) == []
        gate.open()
        response.read()
    (record,) = daemon.wait_for(1)
    assert record["request"]["contentState"] == record["response"]["contentState"] == "stored"
    assert LONG in assert_masked(daemon, CUSTOMER)


def test_messages_of_a_websocket_are_masked(daemon: Daemon) -> None:
    with server(answering("so {}".format)) as port, tunnel(daemon, "127.0.0.1", port) as sock:
        heard = exchange(sock, f"127.0.0.1:{port}", "/v1/responses", [f'"{CUSTOMER}"'])
    assert heard == [f'so "{CUSTOMER}"']
    daemon.wait_for(1)
    kept = assert_masked(daemon, CUSTOMER)
    assert f'so "{INSTEAD}"' in kept


def test_a_runs_command_line_is_masked(daemon: Daemon) -> None:
    with ControlClient.connect(daemon.paths.control_socket) as control:
        run = control.call("run.start", mode="base-url", command=["claude", "-p", f"what of {CUSTOMER}?"])
        control.call("run.end", run_id=run["run_id"], exit_code=0)
    assert f"what of {INSTEAD}?" in assert_masked(daemon, CUSTOMER)


def test_what_cannot_be_searched_is_not_kept(daemon: Daemon, provider: Provider) -> None:
    body = gzip.compress(f"about {CUSTOMER}".encode())
    provider.answer_with(json_answer(200, {}))
    with asking(daemon, body, {**OWN, "content-encoding": "secret-sauce"}) as response:
        response.read()
    assert provider.requests[0].content == body
    (record,) = daemon.wait_for(1)
    assert record["request"]["contentState"] == "lost"
    assert record["request"]["contentLength"] == len(body)
    assert daemon.json("status", "--json")["store"]["lost_bodies"] >= 1


def test_a_cut_answer_keeps_what_came_masked(daemon: Daemon, provider: Provider) -> None:
    packed = gzip.compress(f"about {CUSTOMER} and more".encode())
    length = [("content-encoding", "gzip"), ("content-length", str(len(packed) + 10))]
    provider.answer_with(Answer([head(200, length), packed[:-8], Close()]))
    with asking(daemon, message("x")) as response, pytest.raises(http.client.IncompleteRead):
        response.read()
    daemon.wait_for(1)
    assert f"about {INSTEAD} and more" in assert_masked(daemon, CUSTOMER)


def test_a_rule_for_projects_holds_for_those_only(daemon: Daemon, provider: Provider) -> None:
    for project in ("web-shop", "desktop"):
        ask(daemon, message(f"said only in web of {project}"), {**OWN, "x-ccinspect-project": project})
    first, second = daemon.wait_for(2)
    with StoreReader(daemon.paths.store_dir) as store:
        assert b"said [redacted: web] of web-shop" in (store.request_body(first["id"]) or b"")
        assert b"said only in web of desktop" in (store.request_body(second["id"]) or b"")


def test_reload_brings_other_rules(configure: Configure) -> None:
    daemon = configure()
    ask(daemon, message(f"first {CUSTOMER}"))
    settings = dict(daemon.settings) | {"redact": RULES}
    (daemon.paths.config_file).write_text(json.dumps(settings))
    daemon.run("reload", check=True)
    ask(daemon, message(f"second {CUSTOMER}"))
    first, second = daemon.wait_for(2)
    with StoreReader(daemon.paths.store_dir) as store:
        assert CUSTOMER.encode() in (store.request_body(first["id"]) or b"")
        assert CUSTOMER.encode() not in (store.request_body(second["id"]) or b"")
