"""`/mcp` on the reverse listener: handed to the MCP server's process as it is, and no flow of the user's.

The server itself asks for the token and looks at Host and Origin (`mcp/gate.py`); the Host stays as the client sent it.
"""

from __future__ import annotations

import json

from mitmproxy import exceptions, http

from ccinspect.addons.own_endpoints import comes_from_a_program
from ccinspect.addons.sources import Sources

_PATHS = ("/mcp", "/mcp/")
_HANDED_ON = "ccinspect.mcp"
"""Metadata: the request is for the MCP server, and nobody else's business."""


class McpEndpoint:
    """Addon, before all others that look at requests: for what is meant for the MCP server they are not called."""

    name = "ccinspect_mcp_endpoint"

    def __init__(self, sources: Sources, port: int | None) -> None:
        """`port`: where the MCP server listens on the loopback; None when there is none."""
        self.sources = sources
        self.port = port

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        listener = self.sources.of(flow.client_conn)
        if listener.kind != "reverse" or listener.target is not None or flow.is_replay:
            return
        request = flow.request
        if request.path.partition("?")[0] not in _PATHS:
            return
        flow.metadata[_HANDED_ON] = True
        if listener.run is not None:
            flow.response = _refusal(
                403, "from a jail, only the server of its own run is reached: `ccinspect run --mcp`"
            )
        elif not comes_from_a_program(request):
            flow.response = _refusal(403, "web pages may not use this server")
        elif self.port is None:
            flow.response = _refusal(
                404, "the MCP server is off: set `mcp.enabled: true` in ccinspect.yaml, then `ccinspect restart`"
            )
        else:
            request.scheme, request.data.host, request.data.port = "http", "127.0.0.1", self.port
            request.stream = True
        raise exceptions.AddonHalt

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        if _HANDED_ON in flow.metadata:
            assert flow.response is not None
            flow.response.stream = True
            raise exceptions.AddonHalt

    def request(self, flow: http.HTTPFlow) -> None:
        if _HANDED_ON in flow.metadata:
            raise exceptions.AddonHalt

    response = error = request


def _refusal(status: int, message: str) -> http.Response:
    body = json.dumps({"error": {"message": message, "type": "refused"}}).encode() + b"\n"
    return http.Response.make(status, body, {"content-type": "application/json"})
