"""The daemon's end of the control socket."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

from ccinspect.control import protocol
from ccinspect.daemon.analyst import AnalystProcess
from ccinspect.daemon.events import Events
from ccinspect.daemon.runs import FLUSH_SECONDS, Runs
from ccinspect.errors import CcinspectError, ControlError
from ccinspect.store.recorder import Recorder

logger = logging.getLogger("ccinspect.control")

Handler = Callable[[dict[str, Any]], Awaitable[Any]]

# Whoever asks next waits for the rest; a command that has ended should give the prompt back.
_ANALYST_SECONDS = 2.0


class ControlServer:
    """Serves the methods of docs/architecture.md to processes of the same user."""

    def __init__(
        self,
        path: Path,
        runs: Runs,
        events: Events,
        recorder: Recorder,
        analyst: AnalystProcess,
        status: Callable[[], Awaitable[dict[str, Any]]],
        reload: Callable[[], Awaitable[dict[str, Any]]],
        shutdown: Callable[[], None],
    ) -> None:
        self._path = path
        self._runs = runs
        self._events = events
        self._recorder = recorder
        self._analyst = analyst
        self._status = status
        self._reload = reload
        self._shutdown = shutdown
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen; a socket that a killed daemon left behind is replaced (the caller holds the daemon's lock)."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        fresh = self._path.with_suffix(".new")
        with contextlib.suppress(FileNotFoundError):
            fresh.unlink()
        with protocol.socket_address(fresh) as address:
            listener.bind(address)
        fresh.chmod(0o600)
        self._server = await asyncio.start_unix_server(self._serve, sock=listener, limit=protocol.MAX_LINE)
        # Under its name there is never a socket that nobody listens on yet: one of those is a dead daemon's.
        fresh.rename(self._path)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._connections):
            task.cancel()
        if self._connections:
            await asyncio.wait(list(self._connections))
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        started: set[str] = set()
        try:
            if _peer_uid(writer) in (0, os.getuid()):
                await self._converse(reader, writer, started)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)
            writer.close()
            for run_id in started:
                # The supervisor died without saying goodbye, or said it already (then this is harmless).
                if run_id in self._runs.live:
                    await self._runs.end(run_id, None)
                    self._analyst.run_ended()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, started: set[str]) -> None:
        while True:
            try:
                line = await reader.readline()
            except ValueError:
                return
            if not line.endswith(b"\n"):
                return
            number = 0
            try:
                message = protocol.decode(line)
                number = int(message.get("id", 0))
                method, params = message.get("method"), message.get("params") or {}
                if method == protocol.EVENTS:
                    await self._stream_events(reader, writer, number, params)
                    return
                if method == protocol.REANALYSE:
                    await self._reanalyse(writer, number, params)
                    return
                answer = protocol.result(number, await self._call(method, params, started, writer))
            except (ValueError, TypeError) as error:
                answer = protocol.failure(number, ControlError(f"not a control message: {error}"))
            except CcinspectError as error:
                answer = protocol.failure(number, error)
            except Exception as error:
                logger.exception("the control method %r failed", message.get("method"))
                answer = protocol.failure(number, error)
            writer.write(protocol.encode(answer))
            await writer.drain()

    async def _call(
        self, method: object, params: dict[str, Any], started: set[str], writer: asyncio.StreamWriter
    ) -> Any:
        match method:
            case protocol.STATUS:
                return await self._status()
            case protocol.RUN_START:
                answer = await self._runs.start(params)
                started.add(answer["run_id"])
                self._runs.live[answer["run_id"]].notify = partial(_notify, writer)
                if params.get("can_ask"):
                    self._runs.live[answer["run_id"]].ask = partial(_ask, writer)
                return answer
            case protocol.RUN_ANSWER:
                self._runs.answer(params.get("question"), params.get("yes"))
                return {}
            case protocol.RUN_END:
                run = str(params.get("run_id"))
                ended = await self._runs.end(run, params.get("exit_code"))
                self._analyst.run_ended()
                return {**ended, "spent": await self._analyst.spend(run, _ANALYST_SECONDS)}
            case protocol.RUN_LIST:
                return [run.record for run in self._runs.live.values()]
            case protocol.FLUSH:
                await self._recorder.flush(FLUSH_SECONDS)
                await self._analyst.flush()
                return {}
            case protocol.FLOWS_CLEAR:
                removed = await self._recorder.command("clear", params)
                self._analyst.sweep()
                return {"removed": removed}
            case protocol.VACUUM:
                return {"freed": await self._recorder.command("vacuum")}
            case protocol.RELOAD:
                return await self._reload()
            case protocol.SHUTDOWN:
                self._shutdown()
                return {}
        raise ControlError(f"unknown control method {method!r}", "the daemon may be older than the command: restart it")

    async def _reanalyse(self, writer: asyncio.StreamWriter, number: int, params: dict[str, Any]) -> None:
        since = params.get("since")
        if since is not None and not isinstance(since, int | float):
            raise ControlError("`since` is a number of seconds since the epoch")
        await self._recorder.flush(FLUSH_SECONDS)
        writer.write(protocol.encode(protocol.result(number, {})))
        try:
            async for message in self._analyst.reanalyse(since):
                if "progress" in message:
                    writer.write(protocol.encode(protocol.event("progress", message["progress"])))
                else:
                    writer.write(protocol.encode(protocol.event("done", message)))
                await writer.drain()
        except CcinspectError as error:
            writer.write(protocol.encode(protocol.event("failed", protocol.error_to_json(error))))
            await writer.drain()

    async def _stream_events(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int, params: dict[str, Any]
    ) -> None:
        queue = self._events.subscribe(params.get("run"))
        hung_up = asyncio.ensure_future(reader.read(1))
        try:
            writer.write(protocol.encode(protocol.result(number, {})))
            while True:
                waiting = asyncio.ensure_future(queue.get())
                await asyncio.wait([waiting, hung_up], return_when=asyncio.FIRST_COMPLETED)
                if not waiting.done():
                    waiting.cancel()
                    return
                writer.write(protocol.encode(protocol.event("flow", waiting.result())))
                await writer.drain()
        finally:
            hung_up.cancel()
            self._events.unsubscribe(queue)


def _notify(writer: asyncio.StreamWriter, text: str) -> None:
    """Tell whoever runs a command something, unless they are gone."""
    if not writer.is_closing():
        writer.write(protocol.encode(protocol.event(protocol.NOTICE, {"text": text})))


def _ask(writer: asyncio.StreamWriter, number: int, text: str, seconds: float) -> None:
    if not writer.is_closing():
        question = {"id": number, "text": text, "seconds": seconds}
        writer.write(protocol.encode(protocol.event(protocol.QUESTION, question)))


def _peer_uid(writer: asyncio.StreamWriter) -> int:
    peer: socket.socket = writer.get_extra_info("socket")
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    uid: int = struct.unpack("3i", credentials)[1]
    return uid
