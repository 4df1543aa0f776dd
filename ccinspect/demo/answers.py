"""Scripted answers: what the fake provider writes to a connection, step by step.

A step is a piece of bytes, written as it is, or one of the small classes here. Nothing is added by the
server, so that a script decides every byte of the answer, broken ones included.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

HeaderList = Sequence[tuple[str, str]]

REASONS = {
    100: "Continue",
    101: "Switching Protocols",
    103: "Early Hints",
    200: "OK",
    201: "Created",
    204: "No Content",
    304: "Not Modified",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    413: "Content Too Large",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
    529: "Overloaded",
}


class Gate:
    """A place where an answer stops until somebody opens it. May be opened from any thread, also beforehand."""

    def __init__(self) -> None:
        self.future: Future[None] = Future()
        self._reached = threading.Event()

    def open(self) -> None:
        """Let the answer go on."""
        if not self.future.done():
            self.future.set_result(None)

    def mark_reached(self) -> None:
        """Called by the server when it stops here."""
        self._reached.set()

    def wait_reached(self, timeout: float = 10) -> None:
        """Return once all before the gate was written. Raises TimeoutError."""
        if not self._reached.wait(timeout):
            raise TimeoutError("the provider never came to this gate")


@dataclass(frozen=True)
class Pause:
    """Wait this many seconds, as a model does between two tokens."""

    seconds: float


@dataclass(frozen=True)
class Close:
    """End the connection in order (TLS: with close_notify)."""


@dataclass(frozen=True)
class Truncate:
    """End the connection as a crashed server does: FIN, but no TLS close_notify."""


@dataclass(frozen=True)
class Reset:
    """Tear the connection down with a TCP RST."""


@dataclass(frozen=True)
class Echo:
    """Send back whatever comes, until the client's end of file (for upgraded connections)."""


@dataclass(frozen=True)
class Converse:
    """Hand on whatever comes, and send what is said to it, until it ends the talk or the client goes."""

    talk: Callable[[bytes], tuple[bytes, bool]]
    """Gets what came; gives what to send, and whether to go on."""


Step = bytes | Gate | Pause | Close | Truncate | Reset | Echo | Converse


@dataclass(frozen=True)
class Answer:
    """One answer. `on_head` is written when the request's head has come, before its body is read."""

    steps: Iterable[Step] = ()
    on_head: Iterable[Step] = ()


def head(status: int, headers: HeaderList = (), version: str = "HTTP/1.1") -> bytes:
    """The bytes of a response's head, blank line included."""
    lines = [f"{version} {status} {REASONS.get(status, 'Unknown')}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def plain(status: int, body: bytes, headers: HeaderList = ()) -> Answer:
    """An answer with a Content-Length."""
    return Answer([head(status, [*headers, ("Content-Length", str(len(body)))]) + body])


def json_answer(status: int, document: Any, headers: HeaderList = ()) -> Answer:
    """A JSON answer with a Content-Length."""
    return plain(status, json.dumps(document).encode(), [("Content-Type", "application/json"), *headers])


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body; empty data would end the body, so it gives nothing."""
    return b"%x\r\n%s\r\n" % (len(data), data) if data else b""


def last_chunk(trailers: HeaderList = ()) -> bytes:
    """The end of a chunked body."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in trailers)
    return b"0\r\n" + lines.encode("latin-1") + b"\r\n"


def chunked(pieces: Iterable[bytes | Gate | Pause], headers: HeaderList = (), trailers: HeaderList = ()) -> Answer:
    """A 200 whose body is sent in these chunks, with gates and pauses between them."""
    steps: list[Step] = [head(200, [*headers, ("Transfer-Encoding", "chunked")])]
    steps += [chunk(piece) if isinstance(piece, bytes) else piece for piece in pieces]
    return Answer([*steps, last_chunk(trailers)])


def event_stream(events: Iterable[bytes], pace: float = 0, headers: HeaderList = ()) -> Answer:
    """A 200 of server-sent events, one chunk each, `pace` seconds apart."""
    pieces: list[bytes | Gate | Pause] = []
    for event in events:
        pieces += [event, Pause(pace)] if pace else [event]
    kind = [("Content-Type", "text/event-stream; charset=utf-8"), ("Cache-Control", "no-cache")]
    return chunked(pieces, [*kind, *headers])


def without_body(answered: Answer) -> Answer:
    """The answer to HEAD: the same head, and nothing after it."""
    first = next(step for step in answered.steps if isinstance(step, bytes))
    return Answer([first.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"])


CONTINUE = head(100)
"""What a client that sent `Expect: 100-continue` waits for before it sends its body."""
