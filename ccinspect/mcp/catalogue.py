"""All tools there are."""

from __future__ import annotations

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
