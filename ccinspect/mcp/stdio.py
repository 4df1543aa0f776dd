"""`ccinspect mcp`: the server over standard input and output, for clients that start it themselves.

No token is needed: who can start it can read the files.
"""

from __future__ import annotations

import os
from typing import TextIO

import anyio
from mcp.server.stdio import stdio_server

from ccinspect.mcp.captured import Captured
from ccinspect.mcp.catalogue import offered
from ccinspect.mcp.server import build_server
from ccinspect.paths import Paths
from ccinspect.policy.unreadable import prepare


def serve_stdio(paths: Paths) -> None:
    """Serve until standard input ends. Raises ConfigError."""
    # Descriptors of our own: what wraps them closes them, and the program still has to end.
    with (
        open(os.dup(0), encoding="utf-8", errors="replace") as incoming,
        open(os.dup(1), "w", encoding="utf-8") as outgoing,
    ):
        anyio.run(_serve, paths, incoming, outgoing)


async def _serve(paths: Paths, incoming: TextIO, outgoing: TextIO) -> None:
    prepare()
    captured = Captured(paths)
    server = build_server(captured, offered(captured.config().mcp.acting))
    async with stdio_server(anyio.wrap_file(incoming), anyio.wrap_file(outgoing)) as (messages, answers):
        await server.run(messages, answers, server.create_initialization_options())
