"""`ccinspect mcp`: the server over standard input and output, for clients that start it themselves.

No token is needed: who can start it can read the files.
"""

from __future__ import annotations

import anyio
from mcp.server.stdio import stdio_server

from ccinspect.mcp.captured import Captured
from ccinspect.mcp.catalogue import offered
from ccinspect.mcp.masking import prepare
from ccinspect.mcp.server import build_server
from ccinspect.paths import Paths


def serve_stdio(paths: Paths) -> None:
    """Serve until standard input ends. Raises ConfigError."""
    anyio.run(_serve, paths)


async def _serve(paths: Paths) -> None:
    prepare()
    captured = Captured(paths)
    server = build_server(captured, offered(captured.config().mcp.acting))
    async with stdio_server() as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())
