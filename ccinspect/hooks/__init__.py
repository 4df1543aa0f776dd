"""The built-in hooks, each a thin use of a room below."""

from __future__ import annotations

BUILT_IN: dict[str, str] = {
    name: f"ccinspect.hooks.{name}.{name}"
    for name in (
        "cache_breakpoints",
        "extract_session_id",
        "inject_auth",
        "inject_mcp_notifications",
        "policy",
        "redact",
        "shape",
        "verbose_mode",
    )
}
"""Short names for the configuration, and where the hooks are."""
