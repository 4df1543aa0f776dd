"""The daemon's handle on the process that serves MCP: its socket, its token, and its life."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
import socket
import subprocess
import sys
from dataclasses import asdict
from typing import Any

from ccinspect.control import run_token
from ccinspect.daemon.secrets_at_start import keep_token
from ccinspect.errors import PortBusy, RunError
from ccinspect.paths import Paths

logger = logging.getLogger("ccinspect.mcp")

MAX_RESTARTS = 5
_CLOSE_SECONDS = 4.0
_BACKLOG = 128


class McpProcess:
    """All methods belong to the event loop's thread. The listening socket is ours: it stays when the process does not,
    and clients that come meanwhile wait.

    Where `mcp.enabled` is off, it only serves runs that asked for it, from the first of them on.
    """

    def __init__(self, paths: Paths, port: int, *, enabled: bool, acting: bool) -> None:
        self._paths = paths
        self._acting = acting
        self.port = port
        self.enabled = enabled
        self._key = secrets.token_bytes(run_token.KEY_BYTES)
        self._listener: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._alive = False
        self._restarts = 0

    def start(self) -> None:
        """Take the port, and serve if that is enabled; what is asked before the process serves waits.

        Raises PortBusy.
        """
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            if self.enabled:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", self.port))
        except OSError as error:
            listener.close()
            raise PortBusy(
                f"the MCP server cannot listen on 127.0.0.1:{self.port}: {error.strerror}",
                "set mcp.port to another port",
            ) from error
        self._listener = listener
        if self.enabled:
            keep_token(self._paths.mcp_token)
            self._serve(listener)

    def admit(self, run: str) -> dict[str, Any]:
        """Serve this run, as long as it goes on, what is its own: {port, url, token}. Raises RunError."""
        if self._listener is not None and self._watching is None:
            self._serve(self._listener)
        if self._watching is None or self._watching.done():
            raise RunError("the MCP server does not run, so --mcp cannot be had", "see why: ccinspect logs")
        return {
            "port": self.port,
            "url": self.url,
            "token": run_token.make(self._key, run),
        }

    def _serve(self, listener: socket.socket) -> None:
        listener.listen(_BACKLOG)
        self._watching = asyncio.get_running_loop().create_task(self._keep_running(listener))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    def status(self) -> dict[str, Any]:
        """For `ccinspect status`."""
        return {
            "enabled": self.enabled,
            "running": self.enabled and self._alive,
            # Also where it is off: there the servers of runs are, once one asks for it.
            "port": self.port,
            "url": self.url,
            "token": str(self._paths.mcp_token) if self.enabled else None,
        }

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
            with contextlib.suppress(OSError):
                ours.sendall(self._key)
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
            "token": str(self._paths.mcp_token) if self.enabled else None,
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
