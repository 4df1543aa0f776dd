"""The hooks that are always there, beside those of the configuration."""

from __future__ import annotations

from collections.abc import Iterable

from ccinspect.pipeline.settings import HookEntry, HooksConfig
from ccinspect.policy.settings import RedactConfig

FIRST = ("extract_session_id", "inject_mcp_notifications")
"""Of the stage `inbound`: others may want to know the session."""
LAST = ("redact",)
"""Of the stage `outbound`, where there are rules for it: what another hook puts into a body is searched, too."""


def with_defaults(configured: HooksConfig, rules: Iterable[RedactConfig]) -> HooksConfig:
    """All hooks that run. A configured one stands in for its default, at the place where it was configured."""
    named = {entry.hook for entry in (*configured.inbound, *configured.outbound)}
    last = LAST if any(rule.where == "upstream" for rule in rules) else ()
    return configured.model_copy(
        update={
            "inbound": [*_entries(FIRST, named), *configured.inbound],
            "outbound": [*configured.outbound, *_entries(last, named)],
        }
    )


def _entries(defaults: Iterable[str], named: set[str]) -> list[HookEntry]:
    return [HookEntry(hook=name) for name in defaults if name not in named]
