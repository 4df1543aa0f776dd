"""The recorder's process: reads the journal, writes the database, ends when the proxy has.

Started by `recorder.Recorder`; argument: a JSON object {fd, store, spool, options}. Says on its socket, as msgpack
maps: `ready`, `failed` (it cannot work at all), `ack` (position, and what was lost so far), `flushed`, and answers of
commands.

It outlives the proxy on purpose: it ignores SIGINT, SIGTERM and SIGHUP, and stops at the end of the socket, with all
that was handed over committed. SIGKILL costs nothing either while the proxy lives: the next worker reads again from
`ack` on.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from select import POLLIN, POLLOUT, poll
from typing import Any

import msgpack

from ccinspect.control import protocol
from ccinspect.errors import CcinspectError, StoreUnavailable
from ccinspect.store import journal
from ccinspect.store.database import Database, claim_spool
from ccinspect.store.journal import JournalReader
from ccinspect.store.losses import Losses
from ccinspect.store.options import StoreOptions

BATCH_MESSAGES = 256
BATCH_BYTES = 8 << 20
BATCH_SECONDS = 0.05
# Wait this long after the first sign of work for more to come: one commit for many, and a flow that is over as soon
# as it began costs one row. An urgent sign (a flush) cuts it short.
GATHER_SECONDS = 0.02
MAINTENANCE_SECONDS = 300.0


Prepare = Callable[[dict[str, Any], Losses], dict[str, Any]]
"""What is done to a message before it is written. What raises loses the message."""


class Worker:
    """The loop between the socket and the database."""

    def __init__(self, channel: socket.socket, database: Database, prepare: Prepare | None = None) -> None:
        self._channel = channel
        self._prepare = prepare
        channel.setblocking(False)
        self._database = database
        self._journal = JournalReader()
        self._outbox: deque[bytes] = deque()
        self._urgent = False
        self._at_end = False
        self._next_maintenance = 0.0
        self._poll = poll()
        self._poll.register(channel, POLLIN)

    def run(self) -> None:
        """Work until the proxy hangs up and everything it handed over is committed."""
        self.say({"ready": True})
        while True:
            self._wait(self._patience())
            if not (self._urgent or self._at_end):
                self._gather()
            self._urgent = False
            self._drain()
            self._maintain()
            self._post()
            if self._at_end:
                return

    def say(self, message: dict[str, Any]) -> None:
        """Send a message to the proxy; should its socket be full, later."""
        self._outbox.append(msgpack.packb(message, unicode_errors="surrogatepass"))
        self._post()

    def _maintain(self) -> None:
        """Every few minutes, and once in a life however short."""
        if time.monotonic() < self._next_maintenance or (self._at_end and self._next_maintenance):
            return
        for _ in self._database.maintain():
            self._receive()
            self._drain()
        self._next_maintenance = time.monotonic() + MAINTENANCE_SECONDS

    def _patience(self) -> float:
        return max(0.0, self._next_maintenance - time.monotonic())

    def _gather(self) -> None:
        until = time.monotonic() + GATHER_SECONDS
        while not (self._urgent or self._at_end) and (left := until - time.monotonic()) > 0:
            self._wait(left)

    def _wait(self, seconds: float) -> None:
        """Wait for the proxy's packets and take in all there are."""
        self._poll.modify(self._channel, POLLIN | (POLLOUT if self._outbox else 0))
        events = self._poll.poll(seconds * 1000)
        if any(event & ~POLLOUT for _, event in events):
            self._receive()
        self._post()

    def _receive(self) -> None:
        resets = 0
        while not self._at_end:
            try:
                packet, fds, _, _ = socket.recv_fds(self._channel, 64, 1)
            except BlockingIOError:
                return
            except ConnectionResetError:
                # The proxy was killed with unread messages of ours; what it sent is still to be read after this.
                resets += 1
                self._at_end = resets > 3
                continue
            if not packet:
                self._at_end = True
            elif packet[:1] == journal.SEGMENT:
                self._journal.accept(packet, list(fds))
            elif packet == journal.URGENT:
                self._urgent = True

    def _post(self) -> None:
        while self._outbox:
            try:
                self._channel.send(self._outbox[0])
            except BlockingIOError:
                return
            except OSError:
                self._outbox.clear()
                return
            self._outbox.popleft()

    def _drain(self) -> None:
        """Commit everything that the journal holds now, in batches."""
        while True:
            batch, answers = self._next_batch()
            if not batch and not answers:
                return
            if batch:
                self._database.write(batch)
            self.say({"ack": self._journal.position, **self._database.losses.to_message()})
            for message in answers:
                self._answer(message)
            self._receive()

    def _next_batch(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """The next messages to be written together, and the requests that ended the batch."""
        batch: list[dict[str, Any]] = []
        size, until = 0, time.monotonic() + BATCH_SECONDS
        for frame in self._journal.frames():
            try:
                message = msgpack.unpackb(frame, unicode_errors="surrogatepass", strict_map_key=False)
                kind = message["kind"]
            except (ValueError, TypeError, KeyError, msgpack.UnpackException):
                self._database.losses.lose_record("a message could not be read")
                continue
            if kind in ("flush", "command"):
                return batch, [message]
            if self._prepare is not None:
                try:
                    message = self._prepare(message, self._database.losses)
                except Exception as error:  # it may hold what must not be written
                    self._database.losses.lose_record(f"a record could not be masked: {type(error).__name__}")
                    continue
            batch.append(message)
            size += len(frame) + _spooled(message)
            if len(batch) >= BATCH_MESSAGES or size >= BATCH_BYTES or time.monotonic() > until:
                break
        return batch, []

    def _answer(self, message: dict[str, Any]) -> None:
        if message["kind"] == "flush":
            self.say({"flushed": message["token"]})
            return
        answer: dict[str, Any] = {"token": message["token"]}
        try:
            answer["result"] = self._database.command(message["name"], message.get("params") or {})
        except CcinspectError as error:
            answer["error"] = {"type": type(error).__name__, "message": error.message, "hint": error.hint}
        except Exception as error:  # whatever is wrong with one command, the recorder goes on
            answer["error"] = {
                "type": "StoreUnavailable",
                "message": f"the store could not do that: {error}",
                "hint": "check that the disk is not full; see `ccinspect status`",
            }
        self.say(answer)


def _spooled(message: dict[str, Any]) -> int:
    return sum(value.get("size", 0) for key, value in message.items() if key != "flow" and isinstance(value, dict))


def _remove_dead_socket(path: Path) -> None:
    """Remove a socket that nobody listens on. A daemon puts its own in place only when it listens already."""
    with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
        try:
            with protocol.socket_address(path) as address:
                probe.connect(address)
        except ConnectionRefusedError:
            path.unlink()


def _limit_itself() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.umask(0o077)
    os.chdir("/")
    with contextlib.suppress(OSError):
        os.nice(5)  # the proxy goes first


def main(arguments: list[str], prepare: Prepare | None = None) -> int:
    """Run the worker that `arguments` describe; the exit code is 0 when all was committed."""
    _limit_itself()
    setup = json.loads(arguments[0])
    channel = socket.socket(fileno=setup["fd"])
    spool = Path(setup["spool"])
    claim_spool(spool)  # until we end: a later recorder must not take it for a leftover
    options = StoreOptions.from_json(setup["options"])
    database = Database(Path(setup["store"]), options)
    try:
        database.open()
    except (CcinspectError, OSError) as error:
        failure = error if isinstance(error, CcinspectError) else _unusable(error)
        with contextlib.suppress(OSError):
            channel.send(msgpack.packb({"failed": {"message": failure.message, "hint": failure.hint}}))
        return 3
    try:
        Worker(channel, database, prepare).run()
    finally:
        database.close()
        channel.close()
    shutil.rmtree(spool, ignore_errors=True)
    if options.control_socket:
        _remove_dead_socket(Path(options.control_socket))
    return 0


def _unusable(error: OSError) -> StoreUnavailable:
    what = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else error.strerror or str(error)
    return StoreUnavailable(
        f"the store cannot be written: {what}", "free some space, or make its directory writable for you"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
