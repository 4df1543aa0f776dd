"""The hook `shape`: put the envelope of a known-good request around what a client sent."""

from __future__ import annotations

import uuid

from ccinspect.errors import ShapeError
from ccinspect.pipeline.context import Context, Head
from ccinspect.pipeline.declaration import hook
from ccinspect.pipeline.message import Outgoing
from ccinspect.shapes.fill import fill, why_not
from ccinspect.shapes.library import Library
from ccinspect.shapes.settings import ShapeParams


def _is_for_it(head: Head) -> bool:
    outgoing = Outgoing(head.method, head.scheme, head.host, head.port, head.path, head.headers)
    try:
        shape = head.services.get(Library).load(head.params.shape)
    except ShapeError:
        # The hook's turn comes, and then it is told.
        return True
    return why_not(shape, outgoing, head.facts, head.params.agents) is None


@hook(
    reads=("headers", "url", "body"),
    writes=("headers", "url.path", "body"),
    guard=_is_for_it,
    params=ShapeParams,
)
def shape(ctx: Context, params: ShapeParams) -> None:
    """Put a shape's envelope around the request."""
    known = ctx.services.get(Library).load(params.shape)
    filled = fill(known, ctx.request, ctx.facts, lambda: str(uuid.uuid4()), params.agents)
    ctx.request = filled.outgoing
    if filled.notes or filled.skipped:
        ctx.notes["shape"] = {"shape": params.shape, "notes": list(filled.notes)[:50], "skipped": filled.skipped}
