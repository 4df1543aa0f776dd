"""The hook `cache_breakpoints`: say what of a request Anthropic is to keep in its cache."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from ccinspect.pipeline.context import Context, Head
from ccinspect.pipeline.declaration import hook
from ccinspect.shapes import cache_markers
from ccinspect.shapes.settings import MAX_MARKERS
from ccinspect.wire.registry import recognise


class CacheBreakpointsParams(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    where: tuple[str, ...] = Field(
        ("tools", "system", "last_user", "previous_user"),
        max_length=20,
        description="Places, the most wanted first: `tools` (the last definition), `system` (its last block), "
        "`last_user` and `previous_user` (the last block of the last user message, and of the one before), or a path "
        "like `.messages[0].content[1]`.",
    )
    count: int = Field(
        MAX_MARKERS, ge=1, le=MAX_MARKERS, description="Markers in all, the client's own that stay among them."
    )
    ttl: Literal["5m", "1h"] | None = Field(
        None, description="How long what they mark is kept; the provider's default."
    )
    strip: bool = Field(False, description="First take away the markers that the client set.")


def _is_for_anthropic(head: Head) -> bool:
    found = recognise(head.method, head.path)
    return found is not None and found.dialect == "anthropic" and found.kind == "generate"


@hook(reads=("body",), writes=("body",), guard=_is_for_anthropic, params=CacheBreakpointsParams, stage="outbound")
def cache_breakpoints(ctx: Context, params: CacheBreakpointsParams) -> None:
    """Mark places of a request to Anthropic for its cache."""
    body = ctx.json
    if not isinstance(body, dict):
        return
    if params.strip:
        cache_markers.strip(body)
    _, notes = cache_markers.insert(body, params.where, params.ttl, params.count)
    if notes:
        ctx.notes["cache_breakpoints"] = notes[:20]
