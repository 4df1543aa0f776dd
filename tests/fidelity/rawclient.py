"""A client that sends bytes as they are and keeps every byte of the answer (standard library only).

Imported by the tests, and run as a program inside the jail, where it takes one exchange per line on stdin (JSON) and
prints its outcome.
"""

from __future__ import annotations

import base64
import json
import socket
import ssl
import sys
from dataclasses import dataclass, field

TIMEOUT = 15.0
_PIECE = 65536


@dataclass
class Message:
    """One answer: its head and trailers byte for byte, its body without chunk framing."""

    head: bytes
    body: bytes = b""
    trailers: bytes = b""

    @property
    def status(self) -> int:
        return int(self.head.split(b" ", 2)[1][:3])


@dataclass
class Outcome:
    """All that came back for one exchange."""

    messages: list[Message] = field(default_factory=list)
    """Interim answers included, in their order."""
    closed: bool = False
    """The other side ended the connection before all answers were complete."""
    error: str = ""


class Reader:
    """Reads answers off a socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._buffer = bytearray()

    def message(self, method: str) -> Message:
        """The next answer, whatever its status. Raises EOFError when the connection ends within it."""
        message = Message(self.head())
        if method == "HEAD" or message.status in (204, 304) or message.status < 200:
            return message
        fields = _fields(message.head)
        if b"chunked" in fields.get(b"transfer-encoding", b"").lower():
            self._chunked(message)
        elif b"content-length" in fields:
            message.body = self.exactly(int(fields[b"content-length"]))
        else:
            message.body = self.rest()
        return message

    def line(self) -> bytes:
        while (end := self._buffer.find(b"\n")) < 0:
            self._more()
        return self._take(end + 1)

    def exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._more()
        return self._take(size)

    def rest(self) -> bytes:
        """Everything up to the end of the connection."""
        while data := self._socket.recv(_PIECE):
            self._buffer += data
        return self._take(len(self._buffer))

    def head(self) -> bytes:
        """The next head, blank line included."""
        head = self.line()
        while not head.endswith((b"\n\r\n", b"\n\n")):
            head += self.line()
        return head

    def chunk(self) -> bytes:
        """The content of the next chunk; empty for the last one, whose trailers are left to be read."""
        data = self.exactly(int(self.line().split(b";")[0], 16))
        if data:
            self.line()
        return data

    def _chunked(self, message: Message) -> None:
        while data := self.chunk():
            message.body += data
        while (line := self.line()).strip(b"\r\n"):
            message.trailers += line

    def _more(self) -> None:
        data = self._socket.recv(_PIECE)
        if not data:
            raise EOFError(f"the connection ended after {bytes(self._buffer[:200])!r}")
        self._buffer += data

    def _take(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken


def _fields(head: bytes) -> dict[bytes, bytes]:
    pairs = (line.partition(b":") for line in head.split(b"\n")[1:])
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def exchange(sock: socket.socket, parts: list[bytes], methods: list[str]) -> Outcome:
    """Send the first part, then each further one after an interim answer; read a final answer for each method.

    A final answer that comes instead of an interim one (a refusal) ends the exchange.
    """
    outcome = Outcome()
    reader = Reader(sock)
    try:
        sock.sendall(parts[0])
        for part in parts[1:]:
            outcome.messages.append(reader.message(methods[0]))
            if outcome.messages[-1].status >= 200:
                return outcome
            sock.sendall(part)
        for method in methods:
            while True:
                outcome.messages.append(reader.message(method))
                if outcome.messages[-1].status >= 200 or outcome.messages[-1].status == 101:
                    break
    except (OSError, EOFError) as error:
        outcome.closed = isinstance(error, EOFError | ConnectionError)
        outcome.error = f"{type(error).__name__}: {error}"
    return outcome


def connect(host: str, port: int, tls: ssl.SSLContext | None) -> socket.socket:
    """A connection to `host`, wrapped in TLS when there is a context."""
    sock = socket.create_connection((host, port), timeout=TIMEOUT)
    return tls.wrap_socket(sock, server_hostname=host) if tls else sock


def serve() -> None:
    """Carry out the exchanges that come on stdin until its end."""
    tls = ssl.create_default_context()
    for line in sys.stdin:
        task = json.loads(line)
        try:
            with connect(task["host"], task["port"], tls if task["tls"] else None) as sock:
                outcome = exchange(sock, [base64.b64decode(part) for part in task["parts"]], task["methods"])
        except OSError as error:
            outcome = Outcome(error=f"{type(error).__name__}: {error}")
        print(dump(outcome), flush=True)


def dump(outcome: Outcome) -> str:
    """One line of JSON."""
    messages = [
        [base64.b64encode(part).decode() for part in (message.head, message.body, message.trailers)]
        for message in outcome.messages
    ]
    return json.dumps({"messages": messages, "closed": outcome.closed, "error": outcome.error})


def load(line: str) -> Outcome:
    """The opposite of `dump`."""
    document = json.loads(line)
    messages = [Message(*(base64.b64decode(part) for part in message)) for message in document["messages"]]
    return Outcome(messages, document["closed"], document["error"])


if __name__ == "__main__":
    serve()
