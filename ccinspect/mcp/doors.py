"""Which server a token opens: the one that shows everything, or a run's own, for as long as the run goes on.

No server keeps sessions: each request is answered by itself. So a client goes on after we were started again, and those
that go without a word leave nothing behind that could fill up.
"""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup, TaskStatus
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

from ccinspect.control import protocol, run_token
from ccinspect.control.client import ControlClient
from ccinspect.errors import CcinspectError
from ccinspect.mcp.captured import Captured
from ccinspect.mcp.catalogue import offered
from ccinspect.mcp.server import build_server
from ccinspect.paths import Paths

Application = Callable[[Any, Any, Any], Any]

_MAX_REQUEST = 1 << 20
_CONTROL_SECONDS = 5.0


@dataclass(frozen=True)
class _Room:
    application: Application
    closed: anyio.Event


class Doors:
    """Use `open` around the time in which `behind` is asked."""

    def __init__(self, paths: Paths, token: str | None, key: bytes, *, acting: bool) -> None:
        """`token` opens everything, None: nothing does. `key` is that of the tokens of runs."""
        self._paths = paths
        self._token = token
        self._key = key
        self._acting = acting
        self._rooms: dict[str | None, _Room] = {}
        self._opening = anyio.Lock()
        self._tasks: TaskGroup

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """The life of all servers behind the doors."""
        async with anyio.create_task_group() as self._tasks:
            try:
                yield
            finally:
                self._tasks.cancel_scope.cancel()

    async def behind(self, token: str) -> Application | None:
        """The server that a token opens; None when it opens none."""
        if self._token is not None and hmac.compare_digest(token.encode(), self._token.encode()):
            return await self._room(None)
        run = run_token.run_of(self._key, token)
        if run is None:
            return None
        live = await anyio.to_thread.run_sync(self._live_runs)
        for ended in [one for one in self._rooms if one is not None and one not in live]:
            self._rooms.pop(ended).closed.set()
        return await self._room(run) if run in live else None

    def _live_runs(self) -> set[str]:
        try:
            with ControlClient.connect(self._paths.control_socket, _CONTROL_SECONDS) as client:
                return {str(run["id"]) for run in client.call(protocol.RUN_LIST)}
        except CcinspectError:
            # Who cannot be asked has not said that the run goes on.
            return set()

    async def _room(self, run: str | None) -> Application:
        async with self._opening:
            if run not in self._rooms:
                self._rooms[run] = await self._tasks.start(self._keep, run)
        return self._rooms[run].application

    async def _keep(self, run: str | None, *, task_status: TaskStatus[_Room]) -> None:
        tools = offered(self._acting and run is None)
        manager = StreamableHTTPSessionManager(
            build_server(Captured(self._paths, run), tools),
            json_response=True,
            stateless=True,
            max_request_body_size=_MAX_REQUEST,
        )
        closed = anyio.Event()
        async with manager.run():
            task_status.started(_Room(manager.handle_request, closed))
            await closed.wait()
