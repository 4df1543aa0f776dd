"""The hook `verbose_mode`: have the provider send the model's thinking that the agent asked not to be sent."""

from __future__ import annotations

from ccinspect.pipeline.context import Context, Head
from ccinspect.pipeline.declaration import hook

HEADER = "anthropic-beta"
_REDACTS = "redact-thinking-"


def _asks_for_redaction(head: Head) -> bool:
    return any(_REDACTS in value.lower() for value in head.headers.get_all(HEADER))


@hook(reads=("headers.anthropic-beta",), writes=("headers.anthropic-beta",), guard=_asks_for_redaction, inline=True)
def verbose_mode(ctx: Context) -> None:
    """Drop `redact-thinking-*` from `anthropic-beta`, so that the model's thinking can be read."""
    given = ctx.headers.get_all(HEADER)
    kept = []
    for value in given:
        words = [word.strip() for word in value.split(",")]
        left = [word for word in words if word and not word.lower().startswith(_REDACTS)]
        kept.append(",".join(left) if left != words else value)
    if kept == given:
        return
    lines = [value for value in kept if value]
    if not lines:
        ctx.headers.remove(HEADER)
        return
    ctx.headers.set(HEADER, lines[0])
    for value in lines[1:]:
        ctx.headers.add(HEADER, value)
