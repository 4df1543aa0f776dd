"""Clients that speak HTTP/2 get of rules, keys and translation what those that speak HTTP/1 get."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx
import pytest
from h2.errors import ErrorCodes

from ccinspect.demo.answers import Answer, Gate, chunk, chunked, head, last_chunk
from ccinspect.demo.provider import Provider
from ccinspect.store.query import StoreReader
from tests.addons.conftest import Configure
from tests.conftest import StartDaemon
from tests.support.daemon import Daemon
from tests.support.http2 import Client, Fields, Message, Reply, ResetStream, Server

REAL = "the-real-key"
MESSAGES = json.dumps(
    {"model": "claude-x", "max_tokens": 50, "messages": [{"role": "user", "content": "hello"}]}
).encode()
SENTINEL = [(b"x-api-key", b"sk-ant-oat-ccinspect-anthropic"), (b"anthropic-version", b"2023-06-01")]
OWN = [(b"x-api-key", b"my-own-key"), (b"anthropic-version", b"2023-06-01")]

Connect = Callable[[Daemon], Client]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """How to speak HTTP/2 without TLS to the reverse listener."""
    with ExitStack() as open_sockets:

        def plain(daemon: Daemon) -> Client:
            address = ("127.0.0.1", daemon.ports["reverse"])
            return Client(open_sockets.enter_context(socket.create_connection(address, timeout=30)))

        yield plain


def post(
    client: Client, authority: str, headers: Fields, body: bytes = MESSAGES, *, trailers: Fields | None = None
) -> Message:
    """Ask for an answer of Anthropic's with a body that does not say its length."""
    return client.answer(begin(client, authority, headers, body, trailers=trailers))


def begin(
    client: Client, authority: str, headers: Fields, body: bytes = MESSAGES, *, trailers: Fields | None = None
) -> int:
    """As `post`, but the answer is still to be read from the stream of the number that is returned."""
    pseudo: Fields = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/v1/messages")]
    stream = client.send_headers([*pseudo, (b":authority", authority.encode()), *headers])
    client.send_data(stream, body, end=trailers is None)
    if trailers is not None:
        client.send_trailers(stream, trailers)
    return stream


def here(daemon: Daemon) -> str:
    return f"127.0.0.1:{daemon.ports['reverse']}"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        (b"GET /v1/files/x", b"/v1/messages"),
        (b"GET", b"/v1/messages /v1/files/x"),
        (b"GET", b"/v1/messages\tHTTP/1.1"),
        (b"G\xe9T", b"/v1/messages"),
    ],
)
def test_a_request_is_one_line_of_three_words(
    daemon: Daemon, connect: Connect, provider: Provider, method: bytes, path: bytes
) -> None:
    """Else an HTTP/1 upstream might take another word for the path than the policy has judged."""
    client = connect(daemon)
    pseudo: Fields = [(b":method", method), (b":scheme", b"http"), (b":path", path)]
    answer = client.answer(client.send_headers([*pseudo, (b":authority", here(daemon).encode())], end=True))
    assert status(answer) == 400
    assert b"malformed request" in answer.body
    assert provider.requests == []
    (record,) = daemon.wait_for(1)
    assert record["state"] == "error"
    assert record["error"]["msg"].startswith("malformed request")


def status(answer: Message) -> int:
    return int(dict(answer.headers)[b":status"])


@pytest.mark.parametrize("headers", [OWN, SENTINEL], ids=["streamed", "read whole"])
def test_a_body_without_a_length_is_no_second_request(
    configure: Configure, connect: Connect, provider: Provider, headers: Fields
) -> None:
    daemon = configure(providers={"anthropic": {"auth": f"echo {REAL}"}})
    hidden = b"POST /v1/messages HTTP/1.1\r\nhost: api.anthropic.com\r\ncontent-length: 0\r\n\r\n"
    for body, trailers in ((MESSAGES, None), (hidden, None), (MESSAGES, [(b"x-sum", b"1")])):
        post(connect(daemon), here(daemon), headers, body, trailers=trailers)
    daemon.wait_for(3)
    assert [request.body for request in provider.requests] == [MESSAGES, hidden, MESSAGES]
    assert {request.header("transfer-encoding") for request in provider.requests} == {"chunked"}


@pytest.mark.parametrize("authority", ["", "localhost:", "evil.example:"], ids=["address", "name", "rebound"])
def test_a_sentinel_is_honoured_under_our_own_name(
    configure: Configure, connect: Connect, provider: Provider, authority: str
) -> None:
    daemon = configure(providers={"anthropic": {"auth": f"echo {REAL}"}})
    asked = f"{authority}{daemon.ports['reverse']}" if authority else here(daemon)
    answer = post(connect(daemon), asked, SENTINEL)
    if "evil" in authority:
        assert (status(answer), provider.requests) == (401, [])
        assert "Host" in json.loads(answer.body)["error"]["message"]
    else:
        assert status(answer) == 200
        assert provider.requests[0].header("x-api-key") == REAL


TRANSLATING = {
    "providers": {"openai": {"auth": f"echo {REAL}"}},
    "inspector": {"transforms": [{"match_path": "/v1/messages", "action": "transform", "dest_provider": "openai"}]},
}
CHAT = {"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "usage": None} | {
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}]
}
PIECE = CHAT | {"choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": "stop"}]}
TRAILERS = [("x-sum", "1")]
ANSWERS: dict[str, Answer] = {
    "whole": chunked([json.dumps(CHAT).encode()], [("Content-Type", "application/json")], TRAILERS),
    "streamed": chunked(
        [f"data: {json.dumps(PIECE)}\n\ndata: [DONE]\n\n".encode()], [("Content-Type", "text/event-stream")], TRAILERS
    ),
}


@pytest.mark.parametrize("way", ANSWERS)
def test_trailers_stay_with_the_body_they_tell_of(
    configure: Configure, connect: Connect, provider: Provider, way: str
) -> None:
    daemon = configure(**TRANSLATING)
    provider.answer_with(ANSWERS[way])
    body = json.dumps(json.loads(MESSAGES) | {"stream": way == "streamed"}).encode()
    answer = post(connect(daemon), here(daemon), OWN, body, trailers=[(b"x-own", b"2")])
    assert (status(answer), answer.trailers) == (200, [])
    assert b"hi" in answer.body
    assert provider.requests[0].trailers == b""
    (ended,) = daemon.wait_for(1)
    with StoreReader(daemon.paths.store_dir) as store:
        record = store.get(ended["id"])
    trailers = {side: record[side]["trailers"] for side in ("client_request", "request", "response", "client_response")}
    assert trailers == {
        "client_request": [["x-own", "2"]],
        "request": None,
        "response": [["x-sum", "1"]],
        "client_response": None,
    }
    notes = {note["code"]: note["message"] for note in record["changes"]["diagnostics"]}
    assert "x-own" in notes["trailers_dropped"]


def test_trailers_that_pass_are_recorded_on_both_sides(configure: Configure, connect: Connect) -> None:
    daemon = configure()
    post(connect(daemon), here(daemon), OWN, trailers=[(b"x-own", b"2")])
    (record,) = daemon.wait_for(1)
    assert record["client_request"]["trailers"] == record["request"]["trailers"] == [["x-own", "2"]]


def test_what_http1_writes_is_said_as_http2_knows_it(
    configure: Configure, connect: Connect, provider: Provider
) -> None:
    daemon = configure()
    lines = b"HTTP/1.1 200 OK\r\nX-Folded: one\r\n\ttwo\r\nTransfer-Encoding: chunked\r\nKeep-Alive: 5\r\n\r\n"
    trailers = [("X-Sum", "1"), ("Connection", "x-sum")]
    provider.answer_with(Answer([lines, chunk(b"body"), last_chunk(trailers)]))
    answer = post(connect(daemon), here(daemon), OWN)
    assert answer.headers == [(b":status", b"200"), (b"x-folded", b"one two")]
    assert (answer.body, answer.trailers) == (b"body", [(b"x-sum", b"1")])


def test_an_upstream_that_switches_protocols_unasked_breaks_its_own_answer_only(
    configure: Configure, connect: Connect, provider: Provider
) -> None:
    daemon = configure()
    client, gate = connect(daemon), Gate()
    provider.answer_with(Answer([head(200, [("Content-Length", "2")]) + b"o", gate, b"k"]))
    provider.answer_with(Answer([head(101, [("Upgrade", "h2c"), ("Connection", "Upgrade")])]))
    stream = begin(client, here(daemon), OWN)
    client.read_until_body(stream, b"o")
    answer = post(client, here(daemon), OWN)
    assert status(answer) == 502
    assert "another protocol" in json.loads(answer.body)["error"]["message"]
    gate.open()
    assert client.answer(stream).body == b"ok"


@pytest.fixture
def http2_only(provider: Provider) -> Iterator[Server]:
    with Server(provider.authority, ["api.anthropic.com", "api.openai.com"]) as server:
        yield server


def test_an_upstream_that_speaks_http2_only_is_reached(
    http2_only: Server, start_daemon: StartDaemon, connect: Connect, provider: Provider
) -> None:
    """As gRPC has it, from a client without TLS."""
    places = provider.connect_to() | {"api.anthropic.com:443": f"127.0.0.1:{http2_only.port}"}
    daemon = start_daemon(inspector={"connect_to": places})
    http2_only.answer_with(Reply(pieces=[b"ok"], trailers=[(b"grpc-status", b"0")]))
    answer = post(connect(daemon), here(daemon), OWN)
    assert (status(answer), answer.body, answer.trailers) == (200, b"ok", [(b"grpc-status", b"0")])
    assert dict(http2_only.wait_for(1)[0].headers)[b":authority"] == b"api.anthropic.com"


def test_an_answer_of_http2_that_is_cut_short_is_not_whole_in_http1(
    http2_only: Server, start_daemon: StartDaemon, provider: Provider
) -> None:
    places = provider.connect_to() | {"api.openai.com:443": f"127.0.0.1:{http2_only.port}"}
    rule = {"match_host": "api.anthropic.com", "action": "redirect", "dest_host": "api.openai.com"}
    daemon = start_daemon(inspector={"connect_to": places, "transforms": [rule]})
    trust = ssl.create_default_context(cafile=daemon.paths.ca_cert)
    proxy = f"http://127.0.0.1:{daemon.ports['proxy']}"
    with httpx.Client(http2=True, verify=trust, proxy=proxy, trust_env=False) as client:
        http2_only.answer_with(Reply(pieces=[b"who", b"le"]))
        answer = client.get("https://api.anthropic.com/v1/x")
        assert (answer.http_version, answer.text) == ("HTTP/1.1", "whole")
        http2_only.answer_with(Reply(pieces=[b"who", ResetStream(ErrorCodes.INTERNAL_ERROR)]))
        with pytest.raises(httpx.RemoteProtocolError):
            client.get("https://api.anthropic.com/v1/x")
