from __future__ import annotations

import asyncio
import base64
import gzip
import io
import json
import os
import tracemalloc
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ccinspect.store.har import HarSummary, write_har
from ccinspect.store.har_entry import url_of
from ccinspect.store.options import StoreOptions
from ccinspect.store.query import StoreReader
from ccinspect.store.selection import Selection
from tests.store.har_schema import HAR_SCHEMA
from tests.store.records import ended, flow, record, started


def export(store_dir: Path) -> tuple[dict[str, Any], HarSummary]:
    """The archive of all flows, checked against the schema."""
    out = io.BytesIO()
    with StoreReader(store_dir) as store:
        summary = write_har(out, store.iter_records(Selection()), store)
    archive = json.loads(out.getvalue())
    jsonschema.validate(archive, HAR_SCHEMA)
    return archive["log"], summary


def exported(store_dir: Path, *messages: dict[str, Any], options: StoreOptions | None = None) -> dict[str, Any]:
    asyncio.run(record(store_dir, *messages, options=options))
    return export(store_dir)[0]


def test_a_page_and_two_entries_for_each_flow(tmp_path: Path) -> None:
    plain = flow()
    changed = flow(client_request={"method": "PUT", "path": "/own", "headers": [[b"X-Own", b"1"]], "scheme": "http"})
    messages = [
        ended(plain, b'{"a":1}', b"answer"),
        ended(changed, b"forwarded", b"upstream", client_request_body=b"own", client_response_body=b"got"),
    ]
    log = exported(tmp_path, *messages)
    assert [page["id"] for page in log["pages"]] == [plain["id"], changed["id"]]
    assert [entry["pageref"] for entry in log["entries"]] == [plain["id"]] * 2 + [changed["id"]] * 2
    first, second, forwarded, own = log["entries"]
    assert first == second, "without a snapshot both are equal"
    assert first["request"]["postData"]["text"] == '{"a":1}'
    assert first["request"]["postData"]["mimeType"] == "application/json"
    assert first["request"]["url"] == "https://api.example.com/v1/messages"
    assert (forwarded["request"]["method"], own["request"]["method"]) == ("POST", "PUT")
    assert (forwarded["request"]["postData"]["text"], own["request"]["postData"]["text"]) == ("forwarded", "own")
    assert (forwarded["response"]["content"]["text"], own["response"]["content"]["text"]) == ("upstream", "got")
    assert (forwarded["request"]["bodySize"], own["request"]["bodySize"]) == (9, 3)


def test_nothing_captured_is_an_archive_too(tmp_path: Path) -> None:
    log, summary = export(tmp_path)
    assert (log["pages"], log["entries"]) == ([], [])
    assert summary == HarSummary(0, 0)


def test_what_is_no_http_is_counted(tmp_path: Path) -> None:
    lookup = flow(type="dns", request=None, response=None)
    asyncio.run(
        record(tmp_path, ended(flow(), b"x"), ended(lookup), ended(flow(type="tcp", request=None, response=None)))
    )
    assert export(tmp_path)[1] == HarSummary(1, 2)


TEXT = 'grüße, \u2028 \U0001f600 \x01 "quoted" \\ </script>\n' * 3000
BODIES = {
    "text": TEXT.encode(),
    "text cut inside a character": TEXT.encode()[: len("grü".encode()) - 1],
    "zero byte": b"a\x00b",
    "invalid UTF-8": b"caf\xe9",
    "noise": os.urandom(100_000),
    "one": b"x",
    "two": b"xy",
}


@pytest.mark.parametrize("kind", BODIES)
def test_bodies_are_text_or_base64(tmp_path: Path, kind: str) -> None:
    body = BODIES[kind]
    entry = exported(tmp_path, ended(flow(), body, body))["entries"][0]
    is_text = kind in ("text", "one", "two")
    content, posted = entry["response"]["content"], entry["request"]["postData"]
    assert content.get("encoding", "") == ("" if is_text else "base64")
    assert posted.get("_encoding", "") == ("" if is_text else "base64")
    for text in (content["text"], posted["text"]):
        assert (text.encode() if is_text else base64.b64decode(text, validate=True)) == body
    assert content["size"] == entry["response"]["bodySize"] == len(body)


def test_content_encoding_is_undone(tmp_path: Path) -> None:
    body = gzip.compress(TEXT.encode())
    headers = [[b"Content-Encoding", b"gzip"], [b"Content-Type", b"text/plain"]]
    whole = flow(request={"headers": headers}, response={"headers": headers})
    half = flow(response={"headers": headers})
    log = exported(tmp_path, ended(whole, body, body), ended(half, None, body[: len(body) // 2]))
    content = log["entries"][0]["response"]["content"]
    assert content["text"] == TEXT
    assert content["size"] == len(TEXT.encode())
    assert content["compression"] == len(TEXT.encode()) - len(body)
    assert log["entries"][0]["response"]["bodySize"] == len(body)
    assert log["entries"][0]["request"]["postData"]["text"] == TEXT
    cut = log["entries"][2]["response"]["content"]
    assert "ends early" in cut["comment"]
    assert TEXT.startswith(cut["text"].rstrip("\ufffd")) or cut["encoding"] == "base64"


def test_heads_are_taken_apart(tmp_path: Path) -> None:
    sent = flow(
        request={
            "path": "/search?q=a+b&empty=&x=%C3%BC",
            "headers": [
                [b"Cookie", b"a=1; b=2"],
                [b"X-Odd", b"caf\xe9"],
                [b"Content-Type", b"application/x-www-form-urlencoded"],
            ],
            "trailers": [[b"X-After", b"1"]],
        },
        response={
            "status_code": 302,
            "headers": [
                [
                    b"Set-Cookie",
                    b"sid=1; Path=/; Domain=x.test; Secure; HttpOnly; SameSite=Lax; "
                    b"Expires=Wed, 21-Oct-2026 07:28:00 GMT",
                ],
                [b"Set-Cookie", b"bad=2; Expires=never"],
                [b"Location", b"https://x.test/next"],
            ],
        },
    )  # fmt: skip
    options = StoreOptions(keep_secrets=True)
    entry = exported(tmp_path, ended(sent, b"name=value&n=%C3%BC"), options=options)["entries"][0]
    request, response = entry["request"], entry["response"]
    assert request["queryString"] == [
        {"name": "q", "value": "a b"},
        {"name": "empty", "value": ""},
        {"name": "x", "value": "ü"},
    ]
    assert request["cookies"] == [{"name": "a", "value": "1"}, {"name": "b", "value": "2"}]
    assert {"name": "X-Odd", "value": "café"} in request["headers"]
    assert request["_trailers"] == [{"name": "X-After", "value": "1"}]
    assert request["postData"]["params"] == [{"name": "name", "value": "value"}, {"name": "n", "value": "ü"}]
    assert response["redirectURL"] == "https://x.test/next"
    assert response["cookies"] == [
        {
            "name": "sid",
            "value": "1",
            "path": "/",
            "domain": "x.test",
            "secure": True,
            "httpOnly": True,
            "sameSite": "Lax",
            "expires": "2026-10-21T07:28:00+00:00",
        },
        {"name": "bad", "value": "2"},
    ]


def test_what_chromiums_importer_looks_at(tmp_path: Path) -> None:
    """Found with its importer itself (test_har_in_browser.py), which takes too long to run each time."""
    server = {"peername": ["2001:db8::1", 8443, 0, 0], "id": "c1"}
    stream = {"headers": [[b"Content-Type", b"text/event-stream; charset=utf-8"]]}
    log = exported(tmp_path, ended(flow(server_conn=server, response=stream), b"x", b"data: 1\n\n"))
    for entry in log["entries"]:
        assert entry["_resourceType"] == "fetch"
        assert (entry["connection"], entry["_connectionId"]) == ("8443", "c1")
        assert entry["response"]["_transferSize"] == len(b"data: 1\n\n")
        assert entry["response"]["content"]["mimeType"] == "text/event-stream"


def test_timings_add_up(tmp_path: Path) -> None:
    sent = flow(
        server_conn={
            "peername": ["192.0.2.1", 443],
            "timestamp_start": 1000.1,
            "timestamp_tcp_setup": 1000.2,
            "timestamp_tls_setup": 1000.4,
        },
        request={"timestamp_start": 1000.0, "timestamp_end": 1000.05},
        response={"timestamp_start": 1001.0, "timestamp_end": 1003.0},
        timing={"started_at": 1000.0, "ended_at": 1003.0},
    )
    entry = exported(tmp_path, ended(sent, b"x", b"y"))["entries"][0]
    timings = entry["timings"]
    assert timings["connect"] == pytest.approx(300)
    assert timings["ssl"] == pytest.approx(200)
    assert timings["receive"] == pytest.approx(2000)
    assert entry["time"] == pytest.approx(3000)
    assert entry["startedDateTime"] == "1970-01-01T00:16:40.000Z"
    assert entry["serverIPAddress"] == "192.0.2.1"


def test_flows_that_went_wrong_are_exported(tmp_path: Path) -> None:
    refused = flow(
        response=None, state="error", error={"msg": "connection refused", "timestamp": 1.0}, server_conn=None
    )
    empty = flow(request={"path": "", "headers": [], "timestamp_end": None}, response={"headers": None})
    log = exported(
        tmp_path,
        ended(refused, b"x"),
        started(flow()),
        ended(empty),
        ended(flow(request={"method": "CONNECT", "path": "", "port": 8443})),
        ended(flow(request={"method": "OPTIONS", "path": "*"})),
        ended(flow(), {"lost": True, "size": 99}),
    )
    assert log["entries"][0]["response"]["status"] == 0
    assert log["entries"][0]["response"]["_error"] == "connection refused"
    assert len(log["entries"]) == 12
    assert log["entries"][10]["request"]["bodySize"] == 99


def test_websocket_messages_stand_in_the_entry(tmp_path: Path) -> None:
    sent = flow(response={"status_code": 101, "headers": [[b"Upgrade", b"websocket"]]})
    pieces = [("text", True, "grüße".encode()), ("binary", False, b"\x00\xff"), ("text", False, b"cut \xc3")]
    messages = [
        {"kind": "message", "flow_id": sent["id"], "seq": number, "from_client": from_client, "type": kind,
         "timestamp": 5.0 + number, "content": content}
        for number, (kind, from_client, content) in enumerate(pieces)
    ]  # fmt: skip
    entry = exported(tmp_path, started(sent), *messages, ended(sent))["entries"][0]
    assert entry["_resourceType"] == "websocket"
    assert entry["_webSocketMessages"] == [
        {"type": "send", "time": 5.0, "opcode": 1, "data": "grüße"},
        {"type": "receive", "time": 6.0, "opcode": 2, "data": "AP8="},
        {"type": "receive", "time": 7.0, "opcode": 1, "data": "cut \ufffd"},
    ]


@pytest.mark.parametrize(
    ("request_", "url"),
    [
        ({"scheme": "https", "pretty_host": "h", "port": 443, "path": "/x"}, "https://h/x"),
        ({"scheme": "https", "pretty_host": "h", "port": 8443, "path": "/x"}, "https://h:8443/x"),
        ({"scheme": "http", "host": "10.0.0.1", "port": 80, "path": "/"}, "http://10.0.0.1/"),
        ({"scheme": "http", "host": "::1", "port": 8080, "path": "/"}, "http://[::1]:8080/"),
        ({"scheme": "http", "host": "p", "port": 80, "path": "http://h/x"}, "http://h/x"),
        ({"scheme": "http", "host": "h", "port": 80, "path": "*"}, "http://h/*"),
        ({}, "http:///"),
    ],
)
def test_urls(request_: dict[str, Any], url: str) -> None:
    assert url_of(request_) == url


def test_memory_stays_small_however_much_is_exported(tmp_path: Path) -> None:
    class Counting(io.RawIOBase):
        size = 0

        def write(self, data: Any) -> int:
            self.size += len(data)
            return len(data)

    noise, text = os.urandom(12 << 20), b"all work and no play " * (1 << 20)
    asyncio.run(record(tmp_path, *(ended(flow(), text, noise) for _ in range(3))))
    out = Counting()
    with StoreReader(tmp_path) as store:
        tracemalloc.start()
        write_har(out, store.iter_records(Selection()), store)  # type: ignore[arg-type]
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert out.size > 200 << 20
    assert peak < 24 << 20
