"""`ccinspect mcp` inside of a run that was started with --mcp: standard input and output joined to the run's server.

So an entry that `ccinspect mcp install` made for a client works there too, and shows that run only.
"""

from __future__ import annotations

from typing import Any

import anyio
import httpx
from mcp.client.streamable_http import streamable_http_client
from mcp.server.stdio import stdio_server

_SECONDS = 120.0


def forward_stdio(url: str, token: str) -> None:
    """Serve until standard input ends."""
    anyio.run(_forward, url, token)


async def _forward(url: str, token: str) -> None:
    # Not through the proxy that the environment of a run may name.
    async with (
        httpx.AsyncClient(headers={"authorization": f"Bearer {token}"}, timeout=_SECONDS, trust_env=False) as client,
        stdio_server() as (from_client, to_client),
        streamable_http_client(url, http_client=client) as (from_server, to_server, _),
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(_pump, from_server, to_client)
        await _pump(from_client, to_server)
        tasks.cancel_scope.cancel()


async def _pump(source: Any, target: Any) -> None:
    async for message in source:
        if not isinstance(message, Exception):
            await target.send(message)
