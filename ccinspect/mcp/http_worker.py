"""The process that serves MCP over HTTP: tool calls take time of the processor, and here none of the proxy's.

Started by the daemon; argument: a JSON object {channel, listener, paths, token, acting}: descriptors of a socket of
the daemon's and of the listening socket, the directories of the instance, the file with the token that opens everything
(or null), and `mcp.acting`. The channel first brings the key of the tokens of runs. It ends when the daemon does: then
the channel does.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from pathlib import Path

import uvicorn

from ccinspect.control.run_token import KEY_BYTES
from ccinspect.mcp.doors import Doors
from ccinspect.mcp.gate import Gate
from ccinspect.paths import Paths
from ccinspect.policy.unreadable import prepare

NICENESS = 8
_MAX_CONNECTIONS = 200
_GRACE_SECONDS = 1


async def serve(channel: socket.socket, listener: socket.socket, doors: Doors) -> None:
    """Serve until the channel ends."""
    prepare()
    config = uvicorn.Config(
        Gate(doors.behind),
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        limit_concurrency=_MAX_CONNECTIONS,
    )
    server = uvicorn.Server(config)
    async with doors.open():
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        channel.setblocking(False)
        with contextlib.suppress(OSError):
            # Nothing is ever said to us: this returns when the daemon has closed its end.
            await asyncio.get_running_loop().sock_recv(channel, 1)
        # At once: the next daemon wants the port.
        listener.close()
        server.should_exit = True
        await serving


def main(argument: str) -> None:
    setup = json.loads(argument)
    os.nice(NICENESS)
    # The daemon tells us when to end; Ctrl-C in its terminal is for the daemon.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    channel, listener = (socket.socket(fileno=setup[name]) for name in ("channel", "listener"))
    paths = Paths(**{name: Path(value) for name, value in setup["paths"].items()})
    token = None if setup["token"] is None else Path(setup["token"]).read_text().strip()
    with channel, listener:
        key = channel.recv(KEY_BYTES, socket.MSG_WAITALL)
        if len(key) == KEY_BYTES:
            asyncio.run(serve(channel, listener, Doors(paths, token, key, acting=bool(setup["acting"]))))


if __name__ == "__main__":
    main(sys.argv[1])
