"""The daemon's handle on the analyst's process: started when there is something to analyse, told when there is more.

For the proxy's loop a flow that ends costs a look at its method and, while the analyst is told of others, nothing more.
Nothing that goes wrong here reaches the traffic: what is not analysed now is analysed when somebody asks.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from ccinspect.analysis.options import AnalysisOptions
from ccinspect.errors import StoreUnavailable
from ccinspect.store.recorder import Recorder
from ccinspect.telemetry import names
from ccinspect.telemetry.settings import OtelSettings

logger = logging.getLogger("ccinspect.analyst")

FLUSH_SECONDS = 5.0
MAX_RESTARTS = 5
"""So many processes in a row that died without having finished anything, and no more are started for a while."""
PAUSE_SECONDS = 60.0
"""That while; also after one said that it cannot work: a full disk may have room again then."""
_CLOSE_SECONDS = 2.0
_WORKERS = {False: "ccinspect.analysis.worker", True: "ccinspect.telemetry.worker"}
"""The second one exports as well."""


class AnalystProcess:
    """All methods belong to the event loop's thread."""

    def __init__(
        self,
        store_dir: Path,
        options: AnalysisOptions,
        recorder: Recorder,
        *,
        enabled: bool,
        idle: float,
        otel: OtelSettings | None = None,
    ) -> None:
        """`otel`: have what is analysed exported too; None where that is off."""
        self._otel = otel
        self._since = time.time()
        """Flows that ended before are not exported."""
        self._leaving: subprocess.Popen[bytes] | None = None
        """One whose place another is to take."""
        self._exported: dict[str, Any] = {}
        """The newest that was told of the queue before the collector."""
        self._dropped_before = 0
        """By processes that are gone."""
        self._store_dir = store_dir
        self._options = options
        self._recorder = recorder
        self._enabled = enabled
        self._idle = idle
        self._channel: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._wanted = 0
        """Pokes asked for; the newest that the analyst has seen to is `_done`."""
        self._done = 0
        self._telling: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._reanalysis: asyncio.Queue[dict[str, Any]] | None = None
        self._asked: dict[str, asyncio.Future[dict[str, Any]]] = {}
        """Runs whose spend was asked for."""
        self._deaths = 0
        self._deaths_in_vain = 0
        self._paused_until = 0.0
        """By the event loop's clock."""
        self._last_error = ""
        self._closing = False

    def publish(self, record: dict[str, Any]) -> None:
        """A flow has ended. Called on the proxy's loop for every flow."""
        if self._enabled and (may_be_call(record) or self._is_exported(record)):
            self._want()

    def run_ended(self) -> None:
        """A run has ended: its span can be made."""
        if self._enabled and self._otel is not None:
            self._want()

    async def flush(self, seconds: float = FLUSH_SECONDS) -> bool:
        """Wait until all flows that can be read from the store are analysed; False when that takes longer.

        Where no process runs and no model call may have come, there is nothing to wait for.
        """
        if self._channel is None:
            if self._wanted == self._done or not self._enabled:
                return True
            # None was started while the last one's fault was fresh.
            self._ensure()
            if self._channel is None:
                return False
        self._wanted += 1
        self._poke()
        try:
            await asyncio.wait_for(self._until(self._wanted), seconds)
        except TimeoutError:
            return False
        return self._done >= self._wanted

    async def spend(self, run: str, seconds: float) -> dict[str, Any] | None:
        """What a run's model calls added up to: {calls, tokens, basis, dollars, unpriced}; None when it cannot be told
        within so many seconds, or there were none."""
        if not await self.flush(seconds) or self._channel is None:
            return None
        answer = self._asked[run] = asyncio.get_running_loop().create_future()
        self._send({"spend": run})
        try:
            spent = await asyncio.wait_for(answer, seconds)
        except TimeoutError:
            return None
        finally:
            self._asked.pop(run, None)
        return spent if spent["calls"] else None

    async def reanalyse(self, since: float | None) -> AsyncIterator[dict[str, Any]]:
        """Have all flows (since then) analysed anew. Yields {progress: {done, total}}, at the end {flows}.

        Raises StoreUnavailable when a reanalysis is under way, or the analyst dies of it.
        """
        if self._reanalysis is not None:
            raise StoreUnavailable("the analysis is being made anew already", "wait for it to end")
        queue = self._reanalysis = asyncio.Queue()
        try:
            self._resume()
            self._ensure()
            if self._channel is None:
                raise StoreUnavailable(self._last_error or "the analyst cannot be started", "see the daemon's log")
            self._send({"reanalyse": since})
            while True:
                message = await queue.get()
                if "lost" in message:
                    raise StoreUnavailable(message["lost"], "the rest is done at the next question; see the log")
                yield message
                if "flows" in message:
                    return
        finally:
            self._reanalysis = None

    @property
    def otel(self) -> OtelSettings | None:
        """What holds for the export to OpenTelemetry; None where it is off."""
        return self._otel

    def reload(self, options: AnalysisOptions, otel: OtelSettings | None) -> None:
        """Other settings hold from now on."""
        self._options = options
        self._resume()
        self._send({"reload": options.to_json()})
        before, self._otel = self._otel, otel
        if before == otel:
            return
        if before is None:
            self._since = time.time()
        stays = before is not None and otel is not None
        if not (stays and self._send({"otel": otel.model_dump(mode="json") if otel else None})):
            self._replace()

    def sweep(self) -> None:
        """Flows were removed: what belongs to them may go."""
        self._send({"sweep": True})

    def status(self) -> dict[str, Any]:
        """For `ccinspect status`."""
        return {
            "enabled": self._enabled,
            "running": self._channel is not None,
            "pid": self._process.pid if self._process is not None and self._channel is not None else None,
            "behind": self._wanted > self._done,
            "restarts": self._deaths,
            "last_error": self._last_error,
        }

    def export_status(self) -> dict[str, Any] | None:
        """How the export to OpenTelemetry is doing: {queued, exported, dropped, failing, last_error}; None where it is
        off."""
        if self._otel is None:
            return None
        bare: dict[str, Any] = {"queued": 0, "exported": 0, "dropped": 0, "failing": False, "last_error": ""}
        told = bare | self._exported
        return told | {"dropped": told["dropped"] + self._dropped_before}

    async def close(self) -> None:
        """End the process; what it had not done is done later."""
        self._closing = True
        if self._telling is not None:
            self._telling.cancel()
        self._disconnect()
        self._release()
        process = self._process
        if process is not None:
            try:
                await asyncio.wait_for(asyncio.to_thread(process.wait, _CLOSE_SECONDS), 2 * _CLOSE_SECONDS)
            except (TimeoutError, subprocess.TimeoutExpired):
                process.kill()
                await asyncio.to_thread(process.wait)
        if self._leaving is not None:
            self._leaving.kill()
        if self._ending is not None:
            await self._ending

    def _is_exported(self, record: dict[str, Any]) -> bool:
        return self._otel is not None and self._otel.http and bool(record["type"] == "http")

    def _want(self) -> None:
        self._wanted += 1
        if self._telling is None or self._telling.done():
            self._telling = asyncio.get_running_loop().create_task(self._tell())

    async def _tell(self) -> None:
        """Poke the analyst once what has ended can be read, and again for what ended meanwhile."""
        told = -1
        while told != self._wanted:
            # Lets the flow that is being published be put into the recorder's queue first.
            await asyncio.sleep(0)
            told = self._wanted
            await self._recorder.settled()
            self._ensure()
            self._poke(told)

    def _poke(self, number: int | None = None) -> None:
        if self._otel is not None:
            self._send({"gauges": _gauges(self._recorder.stats(), self._store_dir)})
        self._send({"poke": self._wanted if number is None else number})

    def _send(self, message: dict[str, Any]) -> bool:
        """Whether the message went off."""
        if self._channel is None:
            return False
        try:
            self._channel.send(json.dumps(message).encode())
        except OSError:
            # A full socket holds pokes enough; a closed one will be noticed.
            return False
        return True

    def _replace(self) -> None:
        """Let the process finish what it has begun and go; the next one is of the kind that is wanted now."""
        if self._channel is not None:
            self._leaving = self._process
            self._disconnect()
            self._ending = asyncio.get_running_loop().create_task(self._ended())

    def _ensure(self) -> None:
        if self._channel is not None or self._closing or self._is_paused():
            return
        try:
            self._spawn(careful=self._deaths_in_vain > 0)
        except OSError as error:
            self._fail(f"the analyst's process cannot be started: {error.strerror}")

    def _spawn(self, careful: bool) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        setup = {
            "fd": theirs.fileno(),
            "store": str(self._store_dir),
            "options": self._options.to_json(),
            "idle": self._idle,
            "careful": careful,
        }
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", _WORKERS[self._otel is not None], json.dumps(setup)],
                stdin=subprocess.DEVNULL if self._otel is None else subprocess.PIPE,
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
        if self._otel is not None:
            self._hand_over(self._process, self._otel)
        ours.setblocking(False)
        self._channel = ours
        asyncio.get_running_loop().add_reader(ours, self._receive)

    def _hand_over(self, process: subprocess.Popen[bytes], otel: OtelSettings) -> None:
        """Tell it what it shall export; a pipe holds that much, so this does not wait for the process."""
        said = {"settings": otel.model_dump(mode="json"), "since": self._since}
        self._dropped_before += int(self._exported.get("dropped", 0)) + int(self._exported.get("queued", 0))
        self._exported = {}
        assert process.stdin is not None
        with process.stdin, contextlib.suppress(OSError):
            process.stdin.write(json.dumps(said).encode() + b"\n")

    def _receive(self) -> None:
        while self._channel is not None:
            try:
                packet = self._channel.recv(1 << 16)
            except BlockingIOError:
                return
            except ConnectionResetError:
                # It left pokes unread. Told once: its last words are still to be read.
                continue
            except OSError:
                packet = b""
            if not packet:
                self._disconnect()
                self._ending = asyncio.get_running_loop().create_task(self._ended())
                return
            self._heard(json.loads(packet))

    def _heard(self, message: dict[str, Any]) -> None:
        if "done" in message:
            self._done = max(self._done, message["done"])
            self._deaths_in_vain = 0
            self._last_error = ""
            self._release(self._done)
        elif "failed" in message:
            self._pause()
            self._fail(message["failed"])
        elif "spent" in message:
            asked = self._asked.get(message["run"])
            if asked is not None and not asked.done():
                asked.set_result(message["spent"])
        elif "telemetry" in message:
            self._exported = message["telemetry"]
        elif self._reanalysis is not None:
            self._reanalysis.put_nowait(message)

    async def _ended(self) -> None:
        """It was idle, or it died; what was asked for in between or left undone is for a new one."""
        process = self._process
        code = await asyncio.to_thread(process.wait) if process is not None else 0
        self._leaving = None
        if self._closing:
            return
        if code != 0:
            self._deaths += 1
            self._deaths_in_vain += 1
            self._last_error = self._last_error or f"the analyst's process ended with {code}"
            logger.warning("The analyst's process ended unexpectedly; another goes on where it stopped.")
            if self._deaths_in_vain > MAX_RESTARTS:
                self._pause()
            if self._reanalysis is not None:
                self._reanalysis.put_nowait({"lost": self._last_error})
        if self._wanted > self._done:
            self._ensure()
            self._poke()
        if self._channel is None:
            self._release()

    def _pause(self) -> None:
        self._paused_until = asyncio.get_running_loop().time() + PAUSE_SECONDS

    def _is_paused(self) -> bool:
        return asyncio.get_running_loop().time() < self._paused_until

    def _resume(self) -> None:
        self._deaths_in_vain = 0
        self._paused_until = 0.0

    def _fail(self, why: str) -> None:
        self._last_error = why
        logger.warning("Model calls are not being analysed: %s. They are when it is asked for.", why)
        self._release()

    async def _until(self, number: int) -> None:
        if self._done < number:
            reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((number, reached))
            await reached

    def _release(self, number: float = float("inf")) -> None:
        waiting, self._waiting = self._waiting, []
        for wanted, reached in waiting:
            if wanted > number:
                self._waiting.append((wanted, reached))
            elif not reached.done():
                reached.set_result(None)

    def _disconnect(self) -> None:
        if self._channel is not None:
            asyncio.get_running_loop().remove_reader(self._channel)
            self._channel.close()
            self._channel = None


def _gauges(recorder: dict[str, Any], store_dir: Path) -> dict[str, float]:
    """What the metrics say of the capture, by name."""
    found: dict[str, float] = {
        names.CAPTURE_QUEUE_METRIC: recorder["queued_bytes"],
        names.CAPTURE_LOST_METRIC: recorder["lost_records"] + recorder["lost_bodies"],
    }
    with contextlib.suppress(OSError):
        found[names.STORE_SIZE_METRIC] = sum(path.stat().st_size for path in store_dir.glob("flows.db*"))
    return found


def may_be_call(record: dict[str, Any]) -> bool:
    """Whether a finished flow is worth starting the analyst for: a POST of JSON, or a WebSocket."""
    request, response = record.get("request"), record.get("response")
    if record["type"] != "http" or request is None:
        return False
    if response is not None and response.get("status_code") == 101:
        return True
    if request.get("method") != "POST" or not record["sizes"]["request"]:
        return bool(request.get("method") == "CONNECT")
    kind = next((value.lower() for name, value in request["headers"] if name.lower() == b"content-type"), b"json")
    return b"json" in kind or b"amz" in kind
