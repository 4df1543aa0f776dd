"""Changed requests in bad company: odd bodies, broken upstreams, clients that leave, and those who are after a key."""

from __future__ import annotations

import gzip
import http.client
import json
import os
import socket
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import brotli
import pytest
import zstandard
from h2.errors import ErrorCodes

from ccinspect.control.client import ControlClient
from ccinspect.demo.answers import Answer, Close, Gate, Reset, chunk, head, json_answer, last_chunk, plain
from ccinspect.demo.provider import Provider
from tests.addons.test_changes import MESSAGES, OWN, ask, asking
from tests.support.daemon import Record, settings_for, started
from tests.support.http2 import Client, GoAway, Message, Reply, ResetStream, Server, wrap
from tests.support.shared_daemon import SharedDaemon

KEY = "anthropic-key-of-the-test"
OPENAI_KEY = "openai-key-of-the-test"
SENTINEL = {"x-api-key": "sk-ccinspect-anthropic", "anthropic-version": "2023-06-01"}
OVERLOADED = json_answer(529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
FIRST_EVENT = (
    b'data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"gpt",'
    b'"choices":[{"index":0,"delta":{"role":"assistant","content":"one"}}]}\n\n'
)
LAST_EVENT = (
    b'data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"gpt",'
    b'"choices":[{"index":0,"delta":{"content":" two"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
)


@pytest.fixture(scope="module")
def shared_provider() -> Iterator[Provider]:
    with Provider(keep_limit=128 << 20) as running:
        yield running


@pytest.fixture(scope="module")
def second(shared_provider: Provider) -> Iterator[Server]:
    """An upstream that speaks HTTP/2."""
    with Server(shared_provider.authority, ["second.example"]) as running:
        yield running


@pytest.fixture(scope="module")
def shared_daemon(
    shared_provider: Provider, second: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SharedDaemon]:
    """Which rule takes a request is said by its model, and where that fails, by the status it gets."""
    directory: Path = tmp_path_factory.mktemp("hostile")
    settings = settings_for(shared_provider, directory)
    settings["inspector"]["connect_to"]["second.example:443"] = f"127.0.0.1:{second.port}"
    settings["inspector"]["transforms"] = [
        {"match_model": "^passes$", "action": "passthrough"},
        {"match_model": "^renamed$", "action": "redirect", "dest_model": "claude-new"},
        {"match_model": "^to-openai$", "action": "transform", "dest_provider": "openai"},
        {"match_model": "^to-anthropic$", "action": "transform", "dest_provider": "anthropic"},
        {"match_model": "^to-waiting$", "action": "redirect", "dest_provider": "waiting"},
        {"match_model": "^to-rotating$", "action": "redirect", "dest_provider": "rotating"},
        {"match_path": "^/v1/responses", "action": "transform", "dest_provider": "anthropic"},
    ]
    rotating = directory / "count"
    rotating.write_text("0")
    fifo = directory / "fifo"
    os.mkfifo(fifo)
    once = {"attempts": 1, "max_delay": 0, "on": [401, 500, 529]}
    keys = f"n=$(cat {rotating}); echo $((n+1)) > {rotating}; echo {KEY}-$n"
    stranger = {"host": "ollama.com", "type": "anthropic"}
    settings["providers"] = {
        "anthropic": {"auth": f"echo {KEY}"},
        "openai": {
            "type": "openai_chat",
            "auth": f"echo {OPENAI_KEY}",
            "fallbacks": {**once, "to": [{"provider": "broken"}, {"provider": "anthropic", "model": "claude-z"}]},
        },
        "second": {
            "type": "openai_chat",
            "host": "second.example",
            "auth": "echo second-key",
            "fallbacks": {"attempts": 2, "max_delay": 0, "on": [500]},
        },
        "broken": {"type": "anthropic", "host": "ollama.com", "auth": "exit 3"},
        "stranger": stranger,
        "rotating": {
            "type": "anthropic",
            "host": "api.openai.com",
            "auth": keys,
            "fallbacks": {**once, "to": [{"provider": "stranger"}]},
        },
        "waiting": {
            "type": "anthropic",
            "host": "api.openai.com",
            "auth": "echo waiting-key",
            "fallbacks": {"attempts": 2},
        },
        "slow": {"type": "anthropic", "host": "api.openai.com", "auth": f"cat {fifo}"},
    }
    settings["redact"] = [{"name": "customer", "pattern": r"ACME-\d{6}", "mode": "stop", "projects": ["secret"]}]
    with started(SharedDaemon(directory / "instance", settings)) as running:
        yield running


@pytest.fixture
def daemon(shared_daemon: SharedDaemon, provider: Provider) -> Iterator[SharedDaemon]:
    shared_daemon.begin()
    yield shared_daemon
    assert "Traceback" not in shared_daemon.log(10_000)


def with_model(model: str, **more: Any) -> dict[str, Any]:
    return {**MESSAGES, "model": model, **more}


def ended(daemon: SharedDaemon) -> Record:
    """The test's only flow, once it has ended."""
    (record,) = daemon.wait_for(1)
    return record


def stored(daemon: SharedDaemon) -> bytes:
    daemon.run("flush")
    files = [*daemon.paths.data_dir.rglob("*"), daemon.paths.log_file]
    return b"".join(path.read_bytes() for path in files if path.is_file())


class TestBodies:
    @pytest.mark.parametrize(
        ("encoding", "pack"),
        [("gzip", gzip.compress), ("br", brotli.compress), ("zstd", zstandard.ZstdCompressor().compress)],
    )
    def test_a_packed_body_is_changed_unpacked_or_passes_as_it_was(
        self, daemon: SharedDaemon, provider: Provider, encoding: str, pack: Callable[[bytes], bytes]
    ) -> None:
        headers = {**OWN, "content-encoding": encoding}
        packed = pack(json.dumps(with_model("renamed")).encode())
        assert ask(daemon, packed, headers)[0] == 200
        assert provider.requests[0].header("content-encoding") is None
        assert provider.requests[0].content == json.dumps(with_model("claude-new")).encode()
        untouched = pack(json.dumps(MESSAGES).encode())
        provider.answer_with(json_answer(200, {}))
        assert ask(daemon, untouched, headers)[0] == 200
        assert provider.requests[1].header("content-encoding") == encoding
        assert provider.requests[1].content == untouched

    @pytest.mark.parametrize(
        ("encoding", "body"),
        [
            ("gzip", gzip.compress(b"ACME-123456")[:-4]),
            ("gzip", gzip.compress(b" " * 170_000_000 + b"ACME-123456", 1)),
            ("gzip, gzip, gzip, gzip, gzip", b"five times packed"),
            ("klingon", b"nuqneH"),
        ],
        ids=["cut", "bomb", "layers", "unknown"],
    )
    def test_what_cannot_be_looked_into_does_not_leave_where_it_has_to_be(
        self, daemon: SharedDaemon, provider: Provider, encoding: str, body: bytes
    ) -> None:
        headers = {**OWN, "content-encoding": encoding}
        status, answer = ask(daemon, body, headers | {"x-ccinspect-project": "secret"})
        assert (status, answer["error"]["type"]) == (403, "permission_error")
        assert "content encoding" in answer["error"]["message"]
        assert not provider.requests
        provider.answer_with(json_answer(200, {}))
        assert ask(daemon, body, headers)[0] == 200
        assert provider.requests[0].content == body

    @pytest.mark.parametrize("model", ["claude-x", "renamed", "to-openai"])
    def test_a_client_that_waits_for_the_end_of_the_connection_sees_it(
        self, daemon: SharedDaemon, provider: Provider, model: str
    ) -> None:
        body = json.dumps(with_model(model)).encode()
        head = f"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nx-api-key: own\r\nContent-Length: {len(body)}\r\n"
        with socket.create_connection(("127.0.0.1", daemon.ports["reverse"]), 20) as client:
            client.sendall(head.encode() + b"Connection: close\r\n\r\n" + body)
            assert client.makefile("rb").read().startswith(b"HTTP/1.1 200 ")

    def test_whoever_waits_for_a_go_ahead_gets_it_once(self, daemon: SharedDaemon, provider: Provider) -> None:
        with socket.create_connection(("127.0.0.1", daemon.ports["reverse"]), 20) as client:
            client.sendall(
                b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nx-api-key: own\r\nExpect: 100-continue\r\n"
                b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
            )
            answered = client.makefile("rb")
            assert answered.readline() == b"HTTP/1.1 100 Continue\r\n"
            body = json.dumps(with_model("renamed")).encode()
            client.sendall(chunk(body[:7]) + chunk(body[7:]) + last_chunk())
            rest = answered.read()
        assert rest.startswith(b"\r\nHTTP/1.1 200 ")
        assert b"100 Continue" not in rest
        assert provider.requests[0].header("expect") is None
        assert provider.requests[0].header("transfer-encoding") is None
        assert json.loads(provider.requests[0].content)["model"] == "claude-new"

    def test_an_empty_one_cannot_be_translated(self, daemon: SharedDaemon, provider: Provider) -> None:
        status, answer = ask(daemon, b"", path="/v1/responses", headers={"authorization": "Bearer k"})
        assert status == 400
        assert answer["error"]["type"] == "invalid_request_error"
        assert not provider.requests

    @pytest.mark.slow
    def test_a_very_long_one_arrives(self, daemon: SharedDaemon, provider: Provider) -> None:
        long = with_model("renamed", messages=[{"role": "user", "content": "a" * (60 << 20)}])
        assert ask(daemon, long)[0] == 200
        assert provider.requests[0].content == json.dumps({**long, "model": "claude-new"}).encode()

    @pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "GET"])
    def test_those_without_are_answered_as_their_method_wants(
        self, daemon: SharedDaemon, provider: Provider, method: str
    ) -> None:
        with socket.create_connection(("127.0.0.1", daemon.ports["reverse"]), 20) as client:
            request = f"{method} /v1/models HTTP/1.1\r\nHost: localhost\r\nx-api-key: sk-ccinspect-nobody\r\n"
            client.sendall(f"{request}Connection: close\r\n\r\n".encode())
            told, _, body = client.makefile("rb").read().partition(b"\r\n\r\n")
        assert told.startswith(b"HTTP/1.1 401 ")
        assert (b"nobody" in body) == (method != "HEAD")
        assert not provider.requests

    def test_a_websocket_is_sent_away(self, daemon: SharedDaemon, provider: Provider) -> None:
        upgrade = {
            "connection": "Upgrade",
            "upgrade": "websocket",
            "sec-websocket-version": "13",
            "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        }
        status, _ = ask(daemon, b"", upgrade, "/v1/responses", "GET")
        assert status == 426
        body = {"model": "gpt", "input": "hello"}
        assert ask(daemon, body, {"authorization": "Bearer k"}, "/v1/responses")[1]["object"] == "response"
        assert provider.requests[0].header("x-api-key") == KEY


class TestWhatStaysHere:
    @pytest.mark.parametrize("model", ["claude-x", "passes", "renamed", "to-openai"])
    def test_our_own_headers(self, daemon: SharedDaemon, provider: Provider, model: str) -> None:
        ours = {"X-Ccinspect-Session": "s", "x-ccinspect-hooks": "-x", "x-ccinspect-token": "t", "x-ccinspect-odd": "o"}
        with asking(daemon, with_model(model), {**OWN, **ours}) as response:
            response.read()
        (sent,) = provider.requests
        assert b"ccinspect" not in sent.head.lower()

    @pytest.mark.parametrize("model", ["claude-x", "renamed"])
    def test_the_password_of_the_proxy(self, daemon: SharedDaemon, provider: Provider, model: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", daemon.ports["proxy"], timeout=20)
        headers = {**OWN, "proxy-authorization": "Basic cnVuOnBhc3N3b3Jk", "proxy-connection": "keep-alive"}
        connection.request("POST", "http://api.anthropic.com/v1/messages", json.dumps(with_model(model)), headers)
        assert connection.getresponse().status == 200
        connection.close()
        assert b"proxy-" not in provider.requests[0].head.lower()

    def test_a_key_that_an_error_quotes(self, daemon: SharedDaemon, provider: Provider) -> None:
        quoting = json.dumps({"error": {"message": f"wrong key {OPENAI_KEY}!"}}).encode()
        packed = [("Content-Encoding", "gzip"), ("X-Seen", OPENAI_KEY)]
        provider.answer_with(plain(500, gzip.compress(quoting), packed))
        assert ask(daemon, with_model("to-openai"))[0] == 200
        attempt = ended(daemon)["changes"]["attempts"][0]
        assert attempt["error"] == '{"error": {"message": "wrong key REDACTED!"}}'
        assert OPENAI_KEY.encode() not in stored(daemon)

    @pytest.mark.parametrize("path", ["/v1/messages", "/v1/files"])
    def test_a_key_in_what_is_no_answer(self, daemon: SharedDaemon, provider: Provider, path: str) -> None:
        provider.answer_with(Answer([f"HTTP/1.1 {KEY}\r\n\r\n".encode(), Close()]))
        with asking(daemon, headers=SENTINEL, path=path, method="POST" if "messages" in path else "DELETE") as response:
            assert response.status == 502
            response.read()
        assert "REDACTED" in json.dumps(ended(daemon))
        assert KEY.encode() not in stored(daemon)

    def test_a_key_that_the_head_of_an_answer_quotes(self, daemon: SharedDaemon, provider: Provider) -> None:
        provider.answer_with(json_answer(200, {"ok": True}, [("X-Seen", f"key={KEY}")]))
        with asking(daemon, headers=SENTINEL) as response:
            assert response.getheader("x-seen") == f"key={KEY}"
            response.read()
        record = ended(daemon)
        assert KEY not in json.dumps(record)
        assert KEY.encode() not in stored(daemon)


class TestKeys:
    def test_a_key_goes_to_its_provider_whatever_the_tunnel_leads_to(
        self, daemon: SharedDaemon, provider: Provider
    ) -> None:
        done = daemon.raw(
            [
                *("curl", "-sS", "--proxy", f"http://127.0.0.1:{daemon.ports['proxy']}"),
                *("--cacert", str(daemon.paths.ca_cert), "-H", f"x-api-key: {SENTINEL['x-api-key']}"),
                *("-H", "host: api.anthropic.com", "-d", json.dumps(MESSAGES), "-H", "content-type: application/json"),
                "https://api.openai.com/v1/messages",
            ]
        )
        assert json.loads(done.stdout)["type"] == "message", done
        (request,) = provider.requests
        assert request.header("x-api-key") == KEY
        assert request.tls is not None
        assert request.tls["sni"] == "api.anthropic.com"

    def test_a_rule_that_lets_pass_gives_no_key_to_strangers(self, daemon: SharedDaemon, provider: Provider) -> None:
        status, answer = ask(daemon, with_model("passes"), {"x-api-key": "sk-ccinspect-openai"})
        assert status == 401
        assert "no place of that provider" in answer["error"]["message"]
        assert not provider.requests
        assert ask(daemon, with_model("passes"), SENTINEL)[0] == 200
        assert provider.requests[0].header("x-api-key") == KEY

    def test_a_key_is_not_renewed_at_another_provider(self, daemon: SharedDaemon, provider: Provider) -> None:
        provider.answer_with(OVERLOADED)
        provider.answer_with(json_answer(401, {"type": "error", "error": {"type": "authentication_error"}}))
        assert ask(daemon, with_model("to-rotating"))[0] == 401
        assert [request.header("host") for request in provider.requests] == ["api.openai.com", "ollama.com"]
        assert KEY.encode() in provider.requests[0].head
        assert KEY.encode() not in provider.requests[1].head
        assert ended(daemon)["changes"]["route"]["provider"] == "stranger"


class TestAttempts:
    def test_each_attempt_gets_the_body_it_wants(self, daemon: SharedDaemon, provider: Provider) -> None:
        provider.answer_with(OVERLOADED)
        body = gzip.compress(json.dumps(with_model("to-openai")).encode())
        status, answer = ask(daemon, body, {**OWN, "content-encoding": "gzip"})
        assert (status, answer["type"]) == (200, "message")
        assert [request.path for request in provider.requests] == ["/v1/chat/completions", "/v1/messages"]
        assert provider.requests[1].body == json.dumps(with_model("claude-z")).encode()
        assert provider.requests[1].header("x-api-key") == KEY
        changes = ended(daemon)["changes"]
        assert [attempt["provider"] for attempt in changes["attempts"]] == ["openai", "broken"]
        assert (changes["credentials"], changes["route"]["provider"]) == ("anthropic", "anthropic")

    @pytest.mark.parametrize(
        "broken",
        [
            Answer([Reset()]),
            Answer([head(529, [("Content-Length", "100")]) + b"{", Reset()]),
            Answer([head(200, [("Content-Type", "application/json"), ("Content-Length", "100")]) + b"{", Close()]),
            Answer([b"\x00\x01 garbage\r\n\r\n", Close()]),
        ],
        ids=["reset", "error cut", "answer cut", "garbage"],
    )
    def test_what_the_client_has_not_seen_is_asked_for_elsewhere(
        self, daemon: SharedDaemon, provider: Provider, broken: Answer
    ) -> None:
        provider.answer_with(broken)
        status, answer = ask(daemon, with_model("to-openai"))
        assert (status, answer["type"]) == (200, "message"), answer
        record = ended(daemon)
        assert record["state"] == "complete"
        assert record["changes"]["attempts"][0]["error"]
        assert daemon.body(record["id"], "--response").startswith(b"{")


class TestBrokenUpstreams:
    @pytest.mark.parametrize(
        ("broken", "status"),
        [
            (plain(502, b"<html>bad gateway</html>", [("Content-Type", "text/html")]), 502),
            (plain(200, b"<html>sign in</html>", [("Content-Type", "text/html")]), 502),
            (plain(200, b"", [("Content-Type", "application/json")]), 502),
            (Answer([head(204)]), 502),
            (plain(301, b"", [("Location", "https://evil.example/")]), 502),
            (plain(200, b"\x1f\x8bnonsense", [("Content-Encoding", "gzip")]), 502),
        ],
        ids=["page", "login", "empty", "no content", "redirect", "damaged gzip"],
    )
    def test_what_is_no_answer_is_told_as_an_error(
        self, daemon: SharedDaemon, provider: Provider, broken: Answer, status: int
    ) -> None:
        provider.answer_with(broken)
        with asking(daemon, with_model("to-openai")) as response:
            answer = json.loads(response.read())
            assert response.status == status
            assert response.reason != "OK"
            assert response.getheader("location") is None
        assert (answer["type"], answer["error"]["type"]) == ("error", "api_error"), answer

    @pytest.mark.parametrize("model", ["passes", "to-openai"])
    def test_another_protocol_that_nobody_asked_for_is_no_answer(
        self, daemon: SharedDaemon, provider: Provider, model: str
    ) -> None:
        switched = Answer([head(101, [("Upgrade", "h2c"), ("Connection", "Upgrade")]), Close()])
        for _ in range(3):
            provider.answer_with(switched)
        status, answer = ask(daemon, with_model(model))
        assert status == 502
        assert "another protocol" in answer["error"]["message"]
        assert "crashed" not in daemon.log()

    @pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
    def test_an_answer_that_never_gets_beyond_the_interim_is_none(
        self, daemon: SharedDaemon, provider: Provider, version: str
    ) -> None:
        for _ in range(3):
            provider.answer_with(Answer([head(100, version=version), Close()]))
        with asking(daemon, with_model("passes")) as response:
            assert response.status == 502
        assert "crashed" not in daemon.log()

    def test_a_packed_stream_is_translated(self, daemon: SharedDaemon, provider: Provider) -> None:
        packed = gzip.compress(FIRST_EVENT + LAST_EVENT)
        opening = [
            ("Content-Type", "text/event-stream"),
            ("Content-Encoding", "gzip"),
            ("Transfer-Encoding", "chunked"),
        ]
        pieces = [chunk(packed[at : at + 9]) for at in range(0, len(packed), 9)]
        provider.answer_with(Answer([head(200, opening), *pieces, last_chunk()]))
        with asking(daemon, with_model("to-openai", stream=True)) as response:
            assert response.getheader("content-encoding") is None
            assert response.read().endswith(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')

    def test_a_stream_that_is_cut_is_cut_for_the_client_too(self, daemon: SharedDaemon, provider: Provider) -> None:
        opening = head(200, [("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked")])
        provider.answer_with(Answer([opening, chunk(FIRST_EVENT), Reset()]))
        with asking(daemon, with_model("to-openai", stream=True)) as response:
            assert response.status == 200
            with pytest.raises(http.client.IncompleteRead) as cut:
                response.read()
            assert b"message_stop" not in cut.value.partial
        record = ended(daemon)
        assert record["state"] == "error"
        assert record["changes"]["route"]["provider"] == "openai"
        assert daemon.body(record["id"], "--response") == FIRST_EVENT


class TestClientsThatLeave:
    def test_in_the_middle_of_their_request(self, daemon: SharedDaemon, provider: Provider) -> None:
        with socket.create_connection(("127.0.0.1", daemon.ports["reverse"]), 20) as client:
            client.sendall(b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nx-api-key: sk-ccinspect-slow\r\n")
            client.sendall(b"Content-Length: 100\r\n\r\n" + b'{"model":')
        record = ended(daemon)
        assert record["state"] == "error"
        assert daemon.body(record["id"], "--request") == b'{"model":'
        assert provider.requests == []

    def test_while_the_key_is_fetched(self, daemon: SharedDaemon, provider: Provider) -> None:
        body = json.dumps(MESSAGES).encode()
        client = http.client.HTTPConnection("127.0.0.1", daemon.ports["reverse"], timeout=20)
        client.request("POST", "/v1/messages", body, {"x-api-key": "sk-ccinspect-slow"})
        fifo = daemon.paths.config_dir.parent / "fifo"
        # Opened as soon as the command reads: then the request has come.
        with fifo.open("w") as waiting:
            client.close()
            record = ended(daemon)
            waiting.write("slow-key\n")
        assert record["state"] == "error"
        assert daemon.body(record["id"], "--request") == body
        assert ask(daemon)[0] == 200
        assert len(provider.requests) == 1

    def test_before_the_next_attempt(self, daemon: SharedDaemon, provider: Provider) -> None:
        gate = Gate()
        refused = json_answer(529, {}, [("Retry-After", "5")])
        provider.answer_with(Answer([*refused.steps, gate]))
        client = http.client.HTTPConnection("127.0.0.1", daemon.ports["reverse"], timeout=20)
        client.request("POST", "/v1/messages", json.dumps(with_model("to-waiting")), OWN)
        provider.wait_for(1)
        # All of the answer was written: whatever happens now, happens while it is waited for the next attempt.
        gate.wait_reached()
        client.close()
        gate.open()
        record = ended(daemon)
        assert record["state"] == "error"
        assert len(provider.requests) == 1

    def test_in_the_middle_of_a_translated_stream(self, daemon: SharedDaemon, provider: Provider) -> None:
        gate = Gate()
        opening = head(200, [("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked")])
        provider.answer_with(Answer([opening, chunk(FIRST_EVENT), gate, chunk(LAST_EVENT), last_chunk()]))
        with asking(daemon, with_model("to-openai", stream=True)) as response:
            assert response.read1()
        record = ended(daemon)
        assert provider.requests[0].hung_up.wait(10)
        gate.open()
        assert record["state"] == "error"
        assert daemon.body(record["id"], "--response") == FIRST_EVENT
        assert record["changes"]["route"]["action"] == "transform"


class TestHttp2:
    @pytest.fixture
    def client(self, daemon: SharedDaemon, second: Server) -> Iterator[Client]:
        """Connected to `second.example` through the forward proxy."""
        second.requests.clear()
        with ExitStack() as stack:
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", daemon.ports["proxy"]), 20))
            sock.sendall(b"CONNECT second.example:443 HTTP/1.1\r\nHost: second.example:443\r\n\r\n")
            assert b" 200 " in sock.recv(4096)
            trust = ssl.create_default_context(cafile=str(daemon.paths.ca_cert))
            yield Client(stack.enter_context(wrap(sock, "second.example", trust)))

    def ask(self, client: Client, body: dict[str, Any], key: bytes = b"Bearer own") -> Message:
        stream = client.send_headers(
            [
                (b":method", b"POST"),
                (b":scheme", b"https"),
                (b":path", b"/v1/chat/completions"),
                (b":authority", b"second.example"),
                (b"authorization", key),
                (b"content-type", b"application/json"),
            ]
        )
        client.send_data(stream, json.dumps(body).encode(), end=True)
        return client.answer(stream)

    def test_further_attempts_go_by_the_same_connection(self, client: Client, second: Server) -> None:
        error = Reply(((b":status", b"500"), (b"content-type", b"application/json")), (b"{}",))
        second.answer_with(error)
        second.answer_with(error)
        second.answer_with(Reply(((b":status", b"200"),), (b"fine",)))
        sent = with_model("renamed")
        assert bytes(self.ask(client, sent).body) == b"{}"
        assert bytes(self.ask(client, sent, b"Bearer sk-ccinspect-second").body) == b"fine"
        heads = [dict(request.headers) for request in second.requests]
        assert [sent[b":authority"] for sent in heads] == [b"second.example"] * 3
        assert [sent[b"authorization"] for sent in heads] == [b"Bearer own"] * 2 + [b"Bearer second-key"]
        assert {json.loads(bytes(request.body))["model"] for request in second.requests} == {"claude-new"}

    @pytest.mark.parametrize(
        "ending", [ResetStream(ErrorCodes.REFUSED_STREAM), GoAway(last=0)], ids=["reset", "goaway"]
    )
    def test_what_was_not_taken_is_sent_again(
        self, client: Client, second: Server, ending: ResetStream | GoAway
    ) -> None:
        """One that was not read whole is for its client to send again."""
        second.answer_with(Reply(headers=(), pieces=[ending]))
        second.answer_with(Reply(pieces=[b"taken"]))
        asked = {"model": "passes", "messages": []}
        assert self.ask(client, asked).body == b"taken"
        assert [json.loads(request.body) for request in second.requests] == [asked, asked]

    def test_the_answer_may_come_from_another_provider(self, client: Client, provider: Provider) -> None:
        told = self.ask(client, with_model("to-anthropic"))
        assert json.loads(bytes(told.body))["object"] == "chat.completion", told
        (request,) = provider.requests
        assert request.header("host") == "api.anthropic.com"
        assert request.tls is not None
        assert request.tls["sni"] == "api.anthropic.com"
        assert request.header("x-api-key") == KEY
        assert request.header("authorization") is None

    def test_an_empty_frame_is_not_the_end(self, client: Client, second: Server) -> None:
        pieces = (b"data: one\n\n", b"", b"data: two\n\n")
        second.answer_with(Reply(((b":status", b"200"), (b"content-type", b"text/event-stream")), pieces))
        assert bytes(self.ask(client, with_model("gpt", stream=True)).body) == b"data: one\n\ndata: two\n\n"


@pytest.mark.jail
class TestJail:
    def curl(self, daemon: SharedDaemon, url: str, key: str, body: dict[str, Any], *more: str) -> str:
        """What a jailed curl gets for a request with a sentinel."""
        post = ["-H", f"x-api-key: {key}", "-H", "content-type: application/json", "-d", json.dumps(body)]
        done = daemon.run("run", "--inspect", "--keyless", "anthropic", "--", "curl", "-sS", *post, *more, url)
        assert done.returncode == 0, done
        return done.stdout

    def test_a_stream_comes_as_it_is_made(self, daemon: SharedDaemon, provider: Provider) -> None:
        told = self.curl(
            daemon, "https://api.anthropic.com/v1/messages", SENTINEL["x-api-key"], {**MESSAGES, "stream": True}, "-N"
        )
        assert told.endswith('event: message_stop\ndata: {"type": "message_stop"}\n\n'), told
        assert provider.requests[0].header("x-api-key") == KEY

    def test_a_key_goes_by_name_and_not_where_the_client_has_connected(
        self, daemon: SharedDaemon, provider: Provider
    ) -> None:
        fronted = ("https://api.openai.com/v1/messages", SENTINEL["x-api-key"])
        told = self.curl(daemon, *fronted, MESSAGES, "-H", "host: api.anthropic.com")
        assert json.loads(told)["type"] == "message"
        told = self.curl(daemon, *fronted, with_model("passes"), "-H", "host: api.anthropic.com")
        assert json.loads(told)["type"] == "message"
        for request in provider.requests:
            assert request.tls is not None
            assert (request.tls["sni"], request.header("x-api-key")) == ("api.anthropic.com", KEY)

    def test_a_key_never_goes_in_the_clear(self, daemon: SharedDaemon, provider: Provider) -> None:
        clear = ("http://api.anthropic.com/v1/messages", SENTINEL["x-api-key"])
        assert "no place of that provider" in self.curl(daemon, *clear, with_model("passes"))
        assert not provider.requests
        assert json.loads(self.curl(daemon, *clear, MESSAGES))["type"] == "message"
        assert provider.requests[0].tls is not None

    def test_another_host_is_verified_under_its_own_name(self, daemon: SharedDaemon, provider: Provider) -> None:
        told = self.curl(
            daemon, "https://api.anthropic.com/v1/messages", SENTINEL["x-api-key"], with_model("to-openai")
        )
        assert json.loads(told)["type"] == "message"
        (request,) = provider.requests
        assert request.tls is not None
        assert (request.tls["sni"], request.header("host")) == ("api.openai.com", "api.openai.com")
        assert request.header("authorization") == f"Bearer {OPENAI_KEY}"
        assert b"ccinspect" not in request.raw


class TestOwnEndpoints:
    @pytest.mark.parametrize("header", ["Host: [", "Host: localhost\r\nOrigin: http://[", "Host: evil.example"])
    def test_what_cannot_be_read_is_no_program(self, daemon: SharedDaemon, provider: Provider, header: str) -> None:
        with socket.create_connection(("127.0.0.1", daemon.ports["reverse"]), 20) as client:
            target = "http://localhost/mcp/notify" if header == "Host: [" else "/mcp/notify"
            client.sendall(
                f"POST {target} HTTP/1.1\r\n{header}\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{{}}".encode()
            )
            answered = client.makefile("rb").read()
        assert b'"status": "ok"' in answered or answered.startswith(b"HTTP/1.1 400"), answered
        assert not provider.requests


def test_calls_at_once_are_all_counted_against_a_budget(daemon: SharedDaemon, provider: Provider) -> None:
    with ControlClient.connect(daemon.paths.control_socket) as control, ThreadPoolExecutor(4) as threads:
        run = control.call("run.start", mode="base-url", command=["x"], budget={"max_tokens": 10})
        path = urlsplit(run["env"]["ANTHROPIC_BASE_URL"]).path + "/v1/messages"
        first = [threads.submit(ask, daemon, path=path) for _ in range(4)]
        # What each of them will cost is only known when it has ended.
        assert {call.result()[0] for call in first} <= {200, 429}
        assert [ask(daemon, path=path)[0] for _ in range(2)] == [429, 429]
        assert len(provider.requests) <= 4
        ended = control.call("run.end", run_id=run["run_id"], exit_code=0)
    assert ended["spent"]["tokens"] > 10


def test_a_reload_leaves_requests_alone(daemon: SharedDaemon, provider: Provider) -> None:
    gate = Gate()
    opening = head(200, [("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked")])
    provider.answer_with(Answer([opening, chunk(FIRST_EVENT), gate, chunk(LAST_EVENT), last_chunk()]))
    with asking(daemon, with_model("to-openai", stream=True)) as response:
        assert response.read1()
        daemon.run("reload", check=True)
        gate.open()
        assert response.read().endswith(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')
