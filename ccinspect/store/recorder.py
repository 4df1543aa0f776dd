"""The proxy's handle on the recorder: hand over and go on. Belongs to one event loop; imports no mitmproxy.

Nothing here waits for the disk or for the recorder, and nothing that goes wrong with them reaches the traffic: what
cannot be kept is counted, said once in the log, and shown by `stats`.
"""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import math
import os
import secrets
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import msgpack

from ccinspect import errors
from ccinspect.errors import ControlError, StoreUnavailable
from ccinspect.store.journal import JournalWriter
from ccinspect.store.options import StoreOptions
from ccinspect.store.schema import SPOOL
from ccinspect.store.spool import IN_MEMORY, TOO_LONG, BodySink, CountingSink, MemorySink, SpoolArea

log = logging.getLogger(__name__)

# With more than this waiting, bodies go to files whatever their size; with twice as much, records are lost.
PENDING_BYTES = 32 << 20
# So many new workers in a row that committed nothing, and no more are started.
MAX_RESTARTS = 5
# The module that is the recorder's process.
WORKER = "ccinspect.store.worker"
# A message with this key is to be masked by the worker before it is written.
RULES = "redact"
_RETRY_SECONDS = 0.02
_BODY_FIELDS = ("request_body", "response_body", "client_request_body", "client_response_body", "content")


@dataclass
class _Asked:
    """A question put to the worker, and the future of its answer."""

    message: dict[str, Any]
    answer: asyncio.Future[Any]


class Recorder:
    """Made by `start`. All methods belong to the thread of the event loop that ran then."""

    def __init__(
        self, store_dir: Path, options: StoreOptions, loop: asyncio.AbstractEventLoop, worker: str = WORKER
    ) -> None:
        self._worker = worker
        self._store_dir = store_dir
        self._options = options
        self._loop = loop
        self._journal = JournalWriter()
        self._spool = SpoolArea(store_dir / SPOOL / f"{os.getpid()}-{secrets.token_hex(4)}")
        self._packer = msgpack.Packer(default=repr, unicode_errors="surrogatepass")
        self._tokens = count(1)
        self._waiting: dict[int, _Asked] = {}
        self._settling: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._ready: asyncio.Future[None] = loop.create_future()
        self._gone: asyncio.Event = asyncio.Event()
        self._channel: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._restarts = 0
        self._restarts_in_vain = 0
        self._restarted_at = 0
        self._closing = False
        self._lost_records = 0
        self._worker_losses = {"lost_records": 0, "lost_bodies": 0}
        self._earlier_losses = {"lost_records": 0, "lost_bodies": 0}
        self._last_error = ""
        self._failing = False
        self._told = False

    @classmethod
    def start(cls, store_dir: Path, options: StoreOptions, worker: str = WORKER) -> Recorder:
        """Start the recorder's process. Returns at once; `ready` tells when it can work.

        `worker` is the module to run: `store.worker`, or one that prepares messages before they are written.
        Must be called in a running event loop. Raises StoreUnavailable when no process can be started.
        """
        recorder = cls(store_dir, options, asyncio.get_running_loop(), worker)
        try:
            recorder._spawn()
        except OSError as error:
            recorder._journal.close()
            raise StoreUnavailable(
                f"the recorder's process cannot be started: {error.strerror}",
                "free some memory or processes, and try again",
            ) from error
        return recorder

    async def ready(self, timeout: float | None = None) -> bool:  # noqa: ASYNC109
        """Wait until the store is open: True. False when an earlier recorder is still draining after `timeout` seconds.

        Raises StoreUnavailable when the store cannot be used.
        """
        done, _ = await asyncio.wait([self._ready], timeout=timeout)
        if not done:
            return False
        self._ready.result()
        return True

    def put(self, message: dict[str, Any]) -> None:
        """Hand over one message (docs/architecture.md). Never blocks, never raises."""
        try:
            if self._journal.pending > 2 * PENDING_BYTES:
                self._lose_record(message, "the recorder is too far behind")
                return
            self._journal.append(self._packer.pack(self._light(message)))
            self._journal.wake()
        except Exception as error:
            self._packer.reset()
            self._lose_record(message, f"a record could not be handed over: {type(error).__name__}")

    def new_body(self, unwritten: bool = False) -> BodySink:
        """A place to gather one body in; with `unwritten` it is in no file before the recorder's process has it."""
        if not self._options.keeps_bodies:
            return CountingSink(self._spool)
        return MemorySink(self._spool) if unwritten else BodySink(self._spool)

    async def flush(self, timeout: float = 10.0) -> bool:  # noqa: ASYNC109
        """Wait until everything put so far can be read from the store; False when that takes longer."""
        try:
            await self._ask({"kind": "flush"}, timeout)
        except (TimeoutError, StoreUnavailable):
            return False
        return True

    async def settled(self) -> None:
        """Wait until everything put so far can be read from the store, without asking for haste.

        Also returns when the recorder is closed or gone for good.
        """
        if self._channel is not None and self._journal.committed < self._journal.position:
            reached: asyncio.Future[None] = self._loop.create_future()
            self._settling.append((self._journal.position, reached))
            await reached

    async def command(self, name: str, params: dict[str, Any] | None = None, timeout: float = 600.0) -> Any:  # noqa: ASYNC109
        """Let the recorder carry out a command (`clear`). Raises CcinspectError."""
        try:
            return await self._ask({"kind": "command", "name": name, "params": params or {}}, timeout)
        except TimeoutError as error:
            raise StoreUnavailable(
                f"the recorder did not answer within {timeout:g} s", "look at `ccinspect status` and `ccinspect logs`"
            ) from error

    def stats(self) -> dict[str, Any]:
        """pid, alive, ready, queued_bytes, lost_records, lost_bodies, last_error, failing (now), restarts."""
        return {
            "pid": self._process.pid if self._process else None,
            "alive": self._channel is not None,
            "ready": self._ready.done() and not self._ready.cancelled() and self._ready.exception() is None,
            "queued_bytes": self._journal.pending,
            "lost_records": self._lost_records + self._sum("lost_records"),
            "lost_bodies": self._spool.lost_bodies + self._sum("lost_bodies"),
            "last_error": self._last_error or self._spool.last_error,
            "failing": self._failing or self._channel is None,
            "restarts": self._restarts,
        }

    async def close(self, timeout: float = 30.0) -> bool:  # noqa: ASYNC109
        """Let the recorder write what it has, and end.

        False when it is not done after `timeout` seconds: it goes on alone.
        """
        self._closing = True
        drained = True
        if self._channel is not None:
            try:
                async with asyncio.timeout(timeout):
                    await self._hand_over()
                    self._hang_up()
                    await self._gone.wait()
            except TimeoutError:
                drained = False
        self._disconnect()
        self._journal.close()
        if drained and self._process is not None:
            await asyncio.to_thread(self._process.wait)
        self._fail_waiting("it was closed", and_flushes=True)
        if not self._ready.done():
            self._ready.cancel()
        return drained

    async def _hand_over(self) -> None:
        while self._channel is not None and not self._journal.handed_over:
            self._journal.wake()
            await asyncio.sleep(_RETRY_SECONDS)

    def _hang_up(self) -> None:
        """Tell the worker that nothing more will come."""
        if self._channel is not None:
            self._channel.shutdown(socket.SHUT_WR)

    def _sum(self, name: str) -> int:
        return self._earlier_losses[name] + self._worker_losses[name]

    def _light(self, message: dict[str, Any]) -> dict[str, Any]:
        """The message with large bodies in files, and with none at all if none are to be kept.

        Bodies of one that is to be masked stay in it: files are on the disk.
        """
        crowded = self._journal.pending > PENDING_BYTES
        light = message
        for field in _BODY_FIELDS:
            body = message.get(field)
            if body is None or isinstance(body, dict):
                continue
            if not self._options.keeps_bodies:
                light = {**light, field: None}
                if field == "content":
                    light["size"] = len(body)
            elif RULES in message:
                if crowded and body:
                    self._spool.lose(OSError(errno.ENOBUFS, TOO_LONG))
                    light = {**light, field: {"lost": True, "size": len(body)}}
            elif len(body) > IN_MEMORY or (crowded and body):
                light = {**light, field: self._spool.write(bytes(body))}
        return light

    def _lose_record(self, message: dict[str, Any], why: str) -> None:
        self._lost_records += 1
        self._last_error = why
        for field in _BODY_FIELDS:
            body = message.get(field)
            if isinstance(body, dict) and "spool" in body:
                self._spool.remove(body)
        self._tell(why)

    def _tell(self, why: str) -> None:
        if not self._told:
            self._told = True
            log.warning(
                "Not everything is being recorded: %s. Traffic goes on; `ccinspect status` counts the loss.", why
            )

    async def _ask(self, message: dict[str, Any], timeout: float) -> Any:  # noqa: ASYNC109
        if self._channel is None:
            raise self._dead()
        token = next(self._tokens)
        asked = self._waiting[token] = _Asked({**message, "token": token}, self._loop.create_future())
        try:
            self._journal.append(self._packer.pack(asked.message))
            self._journal.wake(urgent=True)
            return await asyncio.wait_for(asked.answer, timeout)
        except OSError as error:
            raise StoreUnavailable("no memory left to ask the recorder", "free some memory") from error
        finally:
            self._waiting.pop(token, None)

    def _spawn(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        setup = {
            "fd": theirs.fileno(),
            "store": str(self._store_dir),
            "spool": str(self._spool.directory),
            "options": self._options.to_json(),
        }
        try:
            # -P: the directory we were started in must not lend the recorder a module.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", self._worker, json.dumps(setup)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                # No session of its own: Linux shares the processor out by session, and `nice` counts only within one.
                process_group=0,
            )
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.setblocking(False)
        self._channel = ours
        self._loop.add_reader(ours, self._receive)
        self._journal.connect(ours)

    def _receive(self) -> None:
        while self._channel is not None:
            try:
                packet = self._channel.recv(1 << 20)
            except BlockingIOError:
                return
            except ConnectionResetError:
                # It went without reading all that we had sent. That is told once, and before its last words.
                continue
            except OSError:
                packet = b""
            if not packet:
                self._disconnect()
                if self._closing and not self._journal.pending:
                    self._gone.set()
                else:
                    self._worker_died()
                return
            self._heard(msgpack.unpackb(packet, unicode_errors="surrogatepass"))

    def _heard(self, message: dict[str, Any]) -> None:
        if "ack" in message:
            self._journal.commit(message["ack"])
            self._settle(self._journal.committed)
            self._worker_losses = {name: message[name] for name in self._worker_losses}
            self._failing = message["failing"]
            if message["error"]:
                self._last_error = message["error"]
            if message["lost_records"] or message["lost_bodies"]:
                self._tell(message["error"])
        elif "ready" in message:
            if not self._ready.done():
                self._ready.set_result(None)
        elif "failed" in message:
            self._refused(StoreUnavailable(message["failed"]["message"], message["failed"]["hint"]))
        else:
            self._answered(message)

    def _answered(self, message: dict[str, Any]) -> None:
        asked = self._waiting.get(message.get("flushed") or message.get("token") or 0)
        if asked is None or asked.answer.done():
            return
        answer = asked.answer
        if "error" in message:
            told = message["error"]
            kind: Callable[[str, str], Exception] = getattr(errors, told["type"], ControlError)
            answer.set_exception(kind(told["message"], told["hint"]))
        else:
            answer.set_result(message.get("result"))

    def _refused(self, error: StoreUnavailable) -> None:
        """The worker cannot work at all; another would not fare better."""
        self._restarts_in_vain = MAX_RESTARTS
        self._last_error = error.message
        if not self._ready.done():
            self._ready.set_exception(error)
            self._ready.exception()  # asked for or not, it is no "exception was never retrieved"

    def _worker_died(self) -> None:
        """Start another: it reads again what was not committed. Not for ever: something may kill each of them."""
        for name, value in self._worker_losses.items():
            self._earlier_losses[name] += value
        self._worker_losses = dict.fromkeys(self._worker_losses, 0)
        if self._process is not None:
            self._loop.run_in_executor(None, self._process.wait)
        if self._journal.committed > self._restarted_at:
            self._restarts_in_vain = 0
        self._restarted_at = self._journal.committed
        if self._restarts_in_vain < MAX_RESTARTS:
            self._restarts += 1
            self._restarts_in_vain += 1
            log.warning("The recorder's process ended unexpectedly; a new one takes over where it stopped.")
            try:
                self._spawn()
                self._ask_again()
                if self._closing:
                    self._hang_up()
                return
            except OSError as error:
                self._last_error = f"the recorder's process cannot be started: {error.strerror}"
        self._gone.set()
        self._last_error = self._last_error or "the recorder's process ended"
        self._tell(self._last_error)
        self._fail_waiting(self._last_error, and_flushes=True)
        if not self._ready.done():
            self._ready.set_exception(self._dead())
            self._ready.exception()

    def _settle(self, position: float) -> None:
        while self._settling and self._settling[0][0] <= position:
            reached = self._settling.popleft()[1]
            if not reached.done():
                reached.set_result(None)

    def _ask_again(self) -> None:
        """A worker died with questions: the next answers a flush; a command may have been half done, so it fails."""
        self._fail_waiting("its process ended in the middle; what you asked for may have been done in part")
        for asked in self._waiting.values():
            if not asked.answer.done():
                self._journal.append(self._packer.pack(asked.message))
        self._journal.wake(urgent=True)

    def _fail_waiting(self, why: str, and_flushes: bool = False) -> None:
        if and_flushes:
            self._settle(math.inf)
        for asked in self._waiting.values():
            if not asked.answer.done() and (and_flushes or asked.message["kind"] != "flush"):
                asked.answer.set_exception(
                    StoreUnavailable(f"the recorder cannot answer: {why}", "see `ccinspect status`, and try again")
                )

    def _dead(self) -> StoreUnavailable:
        return StoreUnavailable(
            f"the recorder is not running: {self._last_error or 'it was closed'}",
            "restart the daemon: `ccinspect restart`",
        )

    def _disconnect(self) -> None:
        if self._channel is not None:
            self._loop.remove_reader(self._channel)
            self._channel.close()
            self._channel = None
        self._journal.connect(None)
