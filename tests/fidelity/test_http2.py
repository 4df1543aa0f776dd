"""HTTP/2 to HTTP/2: the same header list in the same order, trailers, streams in both directions."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from h2.errors import ErrorCodes

from ccinspect.demo.answers import Gate
from ccinspect.demo.provider import Provider
from tests.fidelity import rawclient
from tests.support.daemon import Daemon, settings_for, started
from tests.support.http2 import Client, Fields, GoAway, Message, Reply, ResetStream, Server, wrap
from tests.support.shared_daemon import SharedDaemon

HOST = "api.openai.com"
GET: Fields = [(b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/a"), (b":authority", HOST.encode())]
POST: Fields = [(b":method", b"POST"), *GET[1:]]

Connect = Callable[[], Client]


@pytest.fixture(scope="module")
def server(shared_provider: Provider) -> Iterator[Server]:
    with Server(shared_provider.authority, [HOST], most_streams=2) as running:
        yield running


@pytest.fixture(scope="module")
def shared_daemon(
    shared_provider: Provider, server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SharedDaemon]:
    directory: Path = tmp_path_factory.mktemp("http2")
    settings = settings_for(shared_provider, directory)
    settings["inspector"]["connect_to"] = {f"{HOST}:443": f"127.0.0.1:{server.port}"}
    with started(SharedDaemon(directory / "instance", settings)) as running:
        yield running


@pytest.fixture
def connections(shared_provider: Provider, server: Server, daemon: Daemon) -> Iterator[tuple[Connect, Connect]]:
    """How to connect: (straight to the server, through the forward proxy)."""
    server.requests.clear()
    with ExitStack() as open_sockets:

        def straight() -> Client:
            trust = ssl.create_default_context(cadata=shared_provider.authority.pem.decode())
            sock = rawclient.connect("127.0.0.1", server.port, None)
            return Client(open_sockets.enter_context(wrap(sock, HOST, trust)))

        def proxied() -> Client:
            sock = rawclient.connect("127.0.0.1", daemon.ports["proxy"], None)
            sock.sendall(f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n\r\n".encode())
            assert rawclient.Reader(sock).message("HEAD").status == 200
            trust = ssl.create_default_context(cafile=daemon.paths.ca_cert)
            return Client(open_sockets.enter_context(wrap(sock, HOST, trust)))

        yield straight, proxied


def regular(headers: Fields) -> Fields:
    return [field for field in headers if not field[0].startswith(b":")]


def same(before: Message, after: Message) -> None:
    """Equal but for the order among the pseudo-headers, which has no meaning (RFC 9113, section 8.3)."""
    assert sorted(after.headers) == sorted(before.headers)
    assert regular(after.headers) == regular(before.headers)
    assert after.body == before.body
    assert after.trailers == before.trailers


REQUESTS: list[tuple[str, Fields, bytes | None, Fields]] = [
    ("order and duplicates", [*GET, (b"b", b"1"), (b"a", b"2"), (b"b", b"3"), (b"x-api-key", b"k")], None, []),
    ("cookie crumbs", [*GET, (b"cookie", b"a=1"), (b"x", b"y"), (b"cookie", b"b=2")], None, []),
    ("odd values", [*GET, (b"x-empty", b""), (b"x-latin", b"caf\xe9\xff"), (b"x-in", b"a  b")], None, []),
    ("te trailers", [*GET, (b"te", b"trailers")], None, []),
    ("odd path", [*GET[:2], (b":path", b"//a/../%2f?x=%zz&&"), GET[3]], None, []),
    ("body with a length", [*POST, (b"content-length", b"5")], b"\x00\xff\x01zz", []),
    ("body without a length", [*POST, (b"content-type", b"application/grpc")], b"\x00\x00\x00\x00\x01z", []),
    ("empty body", POST, b"", []),
    ("trailers", [*POST, (b"te", b"trailers")], b"data", [(b"x-sum", b"1"), (b"grpc-status", b"0")]),
    ("big header", [*GET, (b"x-big", b"b" * 30000)], None, []),
]


def transmit(client: Client, headers: Fields, body: bytes | None, trailers: Fields) -> Message:
    stream = client.send_headers(headers, end=body is None)
    if body is not None:
        client.send_data(stream, body, end=not trailers)
        if trailers:
            client.send_trailers(stream, trailers)
    return client.answer(stream)


@pytest.mark.parametrize(("headers", "body", "trailers"), [pytest.param(*rest, id=name) for name, *rest in REQUESTS])
def test_the_server_sees_what_was_sent(
    connections: tuple[Connect, Connect], server: Server, headers: Fields, body: bytes | None, trailers: Fields
) -> None:
    for connect in connections:
        answer = transmit(connect(), headers, body, trailers)
        assert (answer.headers, answer.reset) == ([(b":status", b"200")], None)
    before, after = server.wait_for(2)
    assert (before.headers, before.body, before.trailers) == (headers, body or b"", trailers)
    same(before, after)


REPLIES = [
    ("headers", Reply([(b":status", b"201"), (b"b", b"1"), (b"a", b"\xff"), (b"set-cookie", b"x"), (b"b", b"")])),
    ("body", Reply(pieces=[b"one", b"two", bytes(range(256))])),
    ("trailers", Reply(pieces=[b"one"], trailers=[(b"grpc-status", b"0"), (b"grpc-message", b"")])),
    ("trailers only", Reply(trailers=[(b"grpc-status", b"7")])),
    ("204", Reply([(b":status", b"204")])),
    ("early hints", Reply(pieces=[b"ok"], interim=[[(b":status", b"103"), (b"link", b"</s.css>; rel=preload")]])),
]


@pytest.mark.parametrize("reply", [pytest.param(reply, id=name) for name, reply in REPLIES])
def test_the_client_gets_what_was_sent(connections: tuple[Connect, Connect], server: Server, reply: Reply) -> None:
    answers = []
    for connect in connections:
        server.answer_with(reply)
        client = connect()
        answers.append(client.answer(client.send_headers(GET, end=True)))
    before, after = answers
    assert after == before


def test_each_piece_arrives_before_the_next_is_sent(connections: tuple[Connect, Connect], server: Server) -> None:
    gates = [Gate(), Gate(), Gate()]
    server.answer_with(Reply(pieces=[b"a", gates[0], b"b", gates[1], b"c", gates[2]]))
    client = connections[1]()
    stream = client.send_headers(GET, end=True)
    for gate, body in zip(gates, (b"a", b"ab", b"abc"), strict=True):
        client.read_until_body(stream, body)
        gate.open()
    assert client.answer(stream).body == b"abc"


def test_both_sides_may_talk_at_once(connections: tuple[Connect, Connect], server: Server) -> None:
    """A gRPC call in both directions: the answer begins while the request is still being sent."""
    server.answer_with(Reply(pieces=[b"early"], trailers=[(b"grpc-status", b"0")], early=True))
    client = connections[1]()
    stream = client.send_headers(POST)
    client.read_until_body(stream, b"early")
    client.send_data(stream, b"late", end=True)
    answer = client.answer(stream)
    assert (answer.body, answer.trailers, answer.reset) == (b"early", [(b"grpc-status", b"0")], None)
    assert server.wait_for(1)[0].body == b"late"


def test_an_answer_goes_on_after_the_server_has_said_goodbye(
    connections: tuple[Connect, Connect], server: Server, daemon: Daemon
) -> None:
    gate = Gate()
    server.answer_with(Reply(pieces=[b"a", GoAway(), gate, b"b"]))
    server.answer_with(Reply(pieces=[b"another"]))
    client = connections[1]()
    first = client.send_headers(GET, end=True)
    client.read_until_body(first, b"a")
    gate.wait_reached()
    second = client.send_headers(GET, end=True)
    assert client.answer(second).body == b"another"
    gate.open()
    answer = client.answer(first)
    assert (answer.body, answer.reset) == (b"ab", None)
    records = daemon.wait_for(2)
    assert [record["state"] for record in records] == ["complete", "complete"]
    assert len({record["server_conn"]["id"] for record in records}) == 2


def test_a_request_that_was_not_taken_fails_and_the_others_go_on(
    connections: tuple[Connect, Connect], server: Server
) -> None:
    gate, client = Gate(), connections[1]()
    server.answer_with(Reply(pieces=[b"a", gate, b"b"]))
    first = client.send_headers(GET, end=True)
    client.read_until_body(first, b"a")
    # Of the server's first connection with us it is the second stream, number 3.
    server.answer_with(Reply(headers=(), pieces=[GoAway(last=1)]))
    second = client.send_headers(POST)
    client.send_data(second, b"x", end=True)
    assert client.answer(second) == Message(ended=True, reset=ErrorCodes.REFUSED_STREAM)
    gate.open()
    assert client.answer(first).body == b"ab"


def test_an_answer_goes_on_after_the_client_has_said_goodbye(
    connections: tuple[Connect, Connect], server: Server
) -> None:
    gate = Gate()
    server.answer_with(Reply(pieces=[b"a", gate, b"b"]))
    client = connections[1]()
    stream = client.send_headers(GET, end=True)
    client.read_until_body(stream, b"a")
    client.send_goaway()
    gate.open()
    answer = client.answer(stream)
    assert (answer.body, answer.reset) == (b"ab", None)


@pytest.mark.parametrize("code", [ErrorCodes.ENHANCE_YOUR_CALM, ErrorCodes.CANCEL, ErrorCodes.NO_ERROR])
def test_a_reset_keeps_its_code(
    connections: tuple[Connect, Connect], server: Server, daemon: Daemon, code: ErrorCodes
) -> None:
    for connect in connections:
        server.answer_with(Reply(pieces=[b"a", ResetStream(code)]))
        client = connect()
        answer = client.answer(client.send_headers(GET, end=True))
        assert (answer.body, answer.reset) == (b"a", code)
    (record,) = daemon.wait_for(1)
    assert record["error"]["msg"] == f"stream reset by the upstream ({code.name})"


def test_a_refused_request_may_be_sent_again(connections: tuple[Connect, Connect], server: Server) -> None:
    """Which clients do by themselves (RFC 9113, section 8.7)."""
    for connect in connections:
        server.answer_with(Reply(headers=(), pieces=[ResetStream(ErrorCodes.REFUSED_STREAM)]))
        assert transmit(connect(), POST, b"x", []).reset == ErrorCodes.REFUSED_STREAM


def test_a_client_that_leaves_is_named(connections: tuple[Connect, Connect], server: Server, daemon: Daemon) -> None:
    server.answer_with(Reply(pieces=[b"a", Gate()]))
    client = connections[1]()
    client.read_until_body(client.send_headers(GET, end=True), b"a")
    client.close()
    (record,) = daemon.wait_for(1)
    assert record["error"]["msg"] == "Client disconnected."
    assert record["hint"] == "the client hung up before the answer was complete"


def test_what_a_client_gives_up_is_given_up_upstream(connections: tuple[Connect, Connect], server: Server) -> None:
    gate, client = Gate(), connections[1]()
    server.answer_with(Reply(pieces=[b"a", gate], early=True))
    stream = client.send_headers(POST)
    client.read_until_body(stream, b"a")
    client.send_reset(stream, ErrorCodes.ENHANCE_YOUR_CALM)
    assert server.wait_for(1)[0].reset == ErrorCodes.ENHANCE_YOUR_CALM


def test_a_request_that_waits_for_its_turn_may_be_given_up(
    connections: tuple[Connect, Connect], server: Server, daemon: Daemon
) -> None:
    """The server has as many as it wants at once."""
    gates, client = [Gate(), Gate()], connections[1]()
    open_ones = []
    for gate in gates:
        server.answer_with(Reply(pieces=[b"a", gate]))
        open_ones.append(client.send_headers(GET, end=True))
        client.read_until_body(open_ones[-1], b"a")
    client.send_reset(client.send_headers([*GET, (b"x-given-up", b"1")], end=True))
    daemon.wait_for(1)
    last = client.send_headers([*GET, (b"x-last", b"1")], end=True)
    for gate, stream in zip(gates, open_ones, strict=True):
        gate.open()
        client.answer(stream)
    assert client.answer(last).reset is None
    assert [list(request.headers[4:]) for request in server.wait_for(3)] == [[], [], [(b"x-last", b"1")]]


def test_an_answer_may_end_before_its_request(connections: tuple[Connect, Connect], server: Server) -> None:
    server.answer_with(Reply([(b":status", b"413")], [b"too long"], early=True))
    client = connections[1]()
    stream = client.send_headers(POST)
    answer = client.answer(stream)
    assert (answer.headers, answer.body, answer.reset) == ([(b":status", b"413")], b"too long", None)
    client.send_data(stream, b"late", end=True)
    assert server.wait_for(1)[0].body == b"late"


def test_the_rest_of_a_request_may_be_unwanted(
    connections: tuple[Connect, Connect], server: Server, daemon: Daemon
) -> None:
    """A server that has refused an upload says so behind its whole answer (RFC 9113, section 8.1)."""
    enough = ResetStream(ErrorCodes.NO_ERROR, behind_end=True)
    server.answer_with(Reply([(b":status", b"413")], [b"too long", enough], early=True))
    client = connections[1]()
    stream = client.send_headers(POST)
    answer = client.answer(stream)
    assert client.wait_for_reset(stream) == ErrorCodes.NO_ERROR
    assert (answer.headers, answer.body) == ([(b":status", b"413")], b"too long")
    (record,) = daemon.wait_for(1)
    assert (record["state"], record["error"]) == ("complete", None)


def test_a_slow_stream_does_not_hold_up_another(connections: tuple[Connect, Connect], server: Server) -> None:
    gate = Gate()
    server.answer_with(Reply(pieces=[gate, b"slow"]))
    client = connections[1]()
    slow = client.send_headers(GET, end=True)
    gate.wait_reached()
    server.answer_with(Reply(pieces=[b"fast"]))
    assert client.answer(client.send_headers(GET, end=True)).body == b"fast"
    gate.open()
    assert client.answer(slow).body == b"slow"


CURL = ["curl", "-sS", "--http2", "-H", "Zulu: 1", "-H", "alpha: 2", "-H", "Zulu: 3", "-H", "Accept:", "-d", "x=1"]


@pytest.mark.parametrize("way", ["proxy", "jail"])
def test_curl(server: Server, shared_provider: Provider, daemon: Daemon, tmp_path: Path, way: str) -> None:
    server.requests.clear()
    authority = str(shared_provider.write_ca(tmp_path / "ca.pem"))
    url = f"https://{HOST}/v1/x?y"
    straight = [*CURL, "--cacert", authority, "--connect-to", f"{HOST}:443:127.0.0.1:{server.port}", url]
    daemon.execute(straight)
    if way == "proxy":
        proxy = f"http://127.0.0.1:{daemon.ports['proxy']}"
        daemon.execute([*CURL, "--cacert", str(daemon.paths.ca_cert), "--proxy", proxy, url])
    else:
        daemon.run("run", "--inspect", "--", *CURL, url, check=True)
    before, after = server.wait_for(2)
    assert (b"zulu", b"1") in before.headers
    same(before, after)
