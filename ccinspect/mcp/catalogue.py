"""All tools there are: those that only read, and apart from them those that change something."""

from __future__ import annotations

from ccinspect.mcp import acting as acting_tools
from ccinspect.mcp import flow_changes, flow_content, flow_messages, flow_search, model_calls, runs, sql
from ccinspect.mcp.tool import Tool

READING: tuple[Tool, ...] = (
    *flow_search.TOOLS,
    *flow_content.TOOLS,
    *flow_messages.TOOLS,
    *flow_changes.TOOLS,
    *model_calls.TOOLS,
    *runs.TOOLS,
    *sql.TOOLS,
)

ACTING: tuple[Tool, ...] = acting_tools.TOOLS
ACTING_NAMES = frozenset(tool.name for tool in ACTING)


def offered(acting: bool) -> tuple[Tool, ...]:
    """The tools of a server; `acting` is the setting `mcp.acting`."""
    return READING + ACTING if acting else READING
