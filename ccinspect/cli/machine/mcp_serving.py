"""`ccinspect mcp`: which server is meant, this machine's or that of the run we are in."""

from __future__ import annotations

import os
import sys

from ccinspect.cli.instance import Instance
from ccinspect.cli.run.running import MCP_TOKEN, MCP_URL, RUN_ID_ENV
from ccinspect.errors import RunError


def serve_here(instance: Instance) -> int:
    """Serve until standard input ends; returns the exit status.

    Raises ConfigError, and RunError in a jail whose run may not ask.
    """
    url, token = os.environ.get(MCP_URL), os.environ.get(MCP_TOKEN)
    if url and token:
        from ccinspect.mcp.forwarding import forward

        for line in forward(sys.stdin, url, token):
            sys.stdout.write(line)
            sys.stdout.flush()
        return 0
    run = os.environ.get(RUN_ID_ENV)
    if run and not instance.paths.control_socket.exists():
        raise RunError(f"run {run} may not see what is captured of it", "start it with: ccinspect run -i --mcp -- CMD")
    from ccinspect.mcp.stdio import serve_stdio

    serve_stdio(instance.paths)
    return 0
