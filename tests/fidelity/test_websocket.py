"""WebSocket messages, compressed and in fragments, arrive as they were sent and are recorded."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import zlib
from dataclasses import dataclass

import pytest

from ccinspect.demo.answers import Answer, Gate, Step, head
from ccinspect.demo.provider import Provider
from ccinspect.store.query import StoreReader
from tests.fidelity.corpus import HOST
from tests.fidelity.rawclient import Reader
from tests.fidelity.test_responses import SOCKETS
from tests.fidelity.ways import Ways
from tests.support.daemon import Daemon

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
KEY = base64.b64encode(os.urandom(16)).decode()
ACCEPT = base64.b64encode(hashlib.sha1(f"{KEY}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()).decode()  # noqa: S324
DEFLATE = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"


@dataclass(frozen=True)
class Frame:
    opcode: int
    payload: bytes
    final: bool = True
    compressed: bool = False

    def encode(self, mask: bool) -> bytes:
        first = self.final << 7 | self.compressed << 6 | self.opcode
        size = len(self.payload)
        length = bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2)
        if not mask:
            return bytes([first]) + length + self.payload
        key = os.urandom(4)
        masked = bytes(byte ^ key[index % 4] for index, byte in enumerate(self.payload))
        return bytes([first, length[0] | 0x80]) + length[1:] + key + masked


def squeeze(data: bytes) -> bytes:
    """A message as permessage-deflate has it (RFC 7692, section 7.2.1)."""
    squeezer = zlib.compressobj(wbits=-15)
    return (squeezer.compress(data) + squeezer.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\x00\x00\xff\xff")


def read_frame(reader: Reader) -> Frame:
    first, second = reader.exactly(2)
    size = second & 0x7F
    if size == 126:
        size = int.from_bytes(reader.exactly(2))
    key = reader.exactly(4) if second & 0x80 else bytes(4)
    payload = bytes(byte ^ key[index % 4] for index, byte in enumerate(reader.exactly(size)))
    return Frame(first & 0x0F, payload, bool(first & 0x80), bool(first & 0x40))


def read_message(reader: Reader) -> tuple[int, bytes]:
    """The next message: (opcode, payload), put together and decompressed."""
    frame = read_frame(reader)
    opcode, compressed, data = frame.opcode, frame.compressed, frame.payload
    while not frame.final:
        frame = read_frame(reader)
        data += frame.payload
    return opcode, zlib.decompressobj(wbits=-15).decompress(data + b"\x00\x00\xff\xff") if compressed else data


def upgrade(
    provider: Provider, ways: Ways, name: str, extension: str | None, steps: list[Step], path: str = "/ws"
) -> socket.socket:
    """Open a WebSocket over which the server then does `steps`."""
    offer = f"Sec-WebSocket-Extensions: {extension}\r\n" if extension else ""
    request = (
        f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{offer}\r\n"
    )
    accepted = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", ACCEPT)]
    if extension:
        accepted.append(("Sec-WebSocket-Extensions", extension))
    provider.answer_with(Answer([head(101, accepted), *steps]))
    way = ways.sockets(name)
    sock = way.connect()
    sock.sendall(way.rewritten(request.encode()))
    return sock


def sent_by_server(frames: list[Frame]) -> list[Step]:
    return [frame.encode(mask=False) for frame in frames]


@pytest.mark.parametrize("name", SOCKETS)
@pytest.mark.parametrize("extension", [None, DEFLATE], ids=["plain", "deflate"])
def test_messages_of_the_server(provider: Provider, ways: Ways, name: str, extension: str | None) -> None:
    gate = Gate()
    words = b'{"type": "response.created"}' * 20
    frames = [
        Frame(TEXT, squeeze(words) if extension else words, compressed=bool(extension)),
        Frame(BINARY, bytes(range(256))),
        Frame(TEXT, "in pièces".encode()[:4], final=False),
        Frame(0, "in pièces".encode()[4:]),
        Frame(TEXT, b""),
        Frame(CLOSE, (1001).to_bytes(2) + b"going"),
    ]
    with upgrade(provider, ways, name, extension, [*sent_by_server(frames), gate]) as sock:
        reader = Reader(sock)
        assert reader.head().startswith(b"HTTP/1.1 101")
        assert read_message(reader) == (TEXT, words)
        assert read_message(reader) == (BINARY, bytes(range(256)))
        assert read_message(reader) == (TEXT, "in pièces".encode())
        assert read_message(reader) == (TEXT, b"")
        assert read_message(reader) == (CLOSE, (1001).to_bytes(2) + b"going")


@pytest.mark.parametrize("extension", [None, DEFLATE], ids=["plain", "deflate"])
def test_messages_are_recorded_in_both_directions(
    provider: Provider, ways: Ways, shared_daemon: Daemon, extension: str | None
) -> None:
    gate = Gate()
    path = f"/recorded-{bool(extension)}"
    words = b'{"type": "response.create"}' * 20
    answer = Frame(TEXT, squeeze(words[::-1]) if extension else words[::-1], compressed=bool(extension))
    closing = Frame(CLOSE, (1000).to_bytes(2))
    steps = [gate, *sent_by_server([answer, closing])]
    with upgrade(provider, ways, "proxy-connect", extension, steps, path) as sock:
        reader = Reader(sock)
        reader.head()
        question = Frame(TEXT, squeeze(words) if extension else words, compressed=bool(extension))
        sock.sendall(question.encode(mask=True))
        gate.open()
        assert read_message(reader) == (TEXT, words[::-1])
        assert read_message(reader)[0] == CLOSE
        sock.sendall(closing.encode(mask=True))
        (flow,) = shared_daemon.wait_for(1, when=lambda record: record.get("request", {}).get("path") == path)
    assert flow["response"]["status_code"] == 101
    with StoreReader(shared_daemon.paths.store_dir) as store:
        messages = list(store.messages(flow["id"]))
    assert [(message["from_client"], message["content"]) for message in messages] == [
        (True, words),
        (False, words[::-1]),
    ]
