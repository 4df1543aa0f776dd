"""The daemon's handle on the process that serves MCP: its socket, its token, and its life."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import subprocess
import sys
from dataclasses import asdict
from typing import Any

from ccinspect.daemon.secrets_at_start import keep_token
from ccinspect.errors import PortBusy
from ccinspect.paths import Paths

logger = logging.getLogger("ccinspect.mcp")

MAX_RESTARTS = 5
_CLOSE_SECONDS = 4.0
_BACKLOG = 128


def mcp_status(process: McpProcess | None, port: int) -> dict[str, Any]:
    """The same where there may be none."""
    return _block(False, False, port, None) if process is None else process.status()


def _block(enabled: bool, running: bool, port: int, token: str | None) -> dict[str, Any]:
    return {
        "enabled": enabled,
        "running": running,
        "port": port,
        "url": f"http://127.0.0.1:{port}/mcp",
        "token": token,
    }


class McpProcess:
    """All methods belong to the event loop's thread. The listening socket is ours: it stays when the process does not,
    and clients that come meanwhile wait."""

    def __init__(self, paths: Paths, port: int, *, acting: bool) -> None:
        self._paths = paths
        self._acting = acting
        self.port = port
        self._listener: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._alive = False
        self._restarts = 0

    def start(self) -> None:
        """Listen, and start the process; what is asked before it serves waits. Raises PortBusy."""
        keep_token(self._paths.mcp_token)
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", self.port))
            listener.listen(_BACKLOG)
        except OSError as error:
            listener.close()
            raise PortBusy(
                f"the MCP server cannot listen on 127.0.0.1:{self.port}: {error.strerror}",
                "set mcp.port to another port",
            ) from error
        self._listener = listener
        self._watching = asyncio.get_running_loop().create_task(self._keep_running(listener))

    def status(self) -> dict[str, Any]:
        """For `ccinspect status`."""
        return _block(True, self._alive, self.port, str(self._paths.mcp_token))

    async def close(self) -> None:
        """End the process, and stop listening."""
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching
        process = self._process
        if process is not None:
            try:
                await asyncio.to_thread(process.wait, _CLOSE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                await asyncio.to_thread(process.wait)
        if self._listener is not None:
            self._listener.close()

    async def _keep_running(self, listener: socket.socket) -> None:
        while True:
            try:
                await self._one_life(listener)
            except OSError as error:
                logger.warning("The MCP server cannot be started: %s.", error.strerror)
                return
            self._restarts += 1
            if self._restarts > MAX_RESTARTS:
                logger.warning("The MCP server ended %d times and is left so. Traffic goes on.", self._restarts)
                return
            logger.warning("The MCP server ended unexpectedly; it is started again.")

    async def _one_life(self, listener: socket.socket) -> None:
        """Returns when the process has ended; cancelled, it hangs up, and the process ends."""
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                self._process = self._spawn(theirs, listener)
            self._alive = True
            ours.setblocking(False)
            try:
                with contextlib.suppress(ConnectionError):
                    # It says nothing: this returns when its end is closed.
                    await asyncio.get_running_loop().sock_recv(ours, 1)
            finally:
                self._alive = False
        await asyncio.to_thread(self._process.wait)

    def _spawn(self, channel: socket.socket, listener: socket.socket) -> subprocess.Popen[bytes]:
        setup = {
            "channel": channel.fileno(),
            "listener": listener.fileno(),
            "paths": {name: str(path) for name, path in asdict(self._paths).items()},
            "token": str(self._paths.mcp_token),
            "acting": self._acting,
        }
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "ccinspect.mcp.http_worker", json.dumps(setup)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[channel.fileno(), listener.fileno()],
            # As the analyst: no session of its own, for `nice` counts only within one.
            process_group=0,
        )
