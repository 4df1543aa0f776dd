"""What may be said of a shape: the parameters of the `shape` hook, and of the inner hooks of a shape."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

MAX_MARKERS = 4
"""Cache markers that Anthropic takes in one request."""

NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)*"
"""Of a shape: it is also the name of its file."""

Name = Annotated[str, Field(pattern=f"^{NAME_PATTERN}$", max_length=64)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ShapeParams(_Model):
    """Parameters of the hook `shape`."""

    shape: Name = Field(description="Name of the shape, as `ccinspect shapes list` shows it.")
    agents: tuple[str, ...] = Field(
        default=(),
        description="Only requests of these agents or SDKs (`anthropic-python`); empty: all but the shape's own.",
    )


class FreshIdsParams(_Model):
    paths: tuple[str, ...] = Field(
        default=(), description="Places of the body that get the new id, as `.metadata.user_id`."
    )
    headers: tuple[str, ...] = Field(default=(), description="Headers that get it.")


class InsertCacheMarkersParams(_Model):
    breakpoints: tuple[str, ...] = Field(
        default=("tools", "system", "last_user"),
        description=(
            "Where, the most wanted first: `tools` (the last definition), `system` (its last block), `last_user` and "
            "`previous_user` (the last block of the last user message and of the one before), or a path to a block."
        ),
    )
    ttl: Literal["5m", "1h"] | None = Field(
        default=None, description="How long the cache lives; the provider's default."
    )
    limit: int = Field(
        default=MAX_MARKERS, ge=1, le=MAX_MARKERS, description="Markers in all, those already there too."
    )


class FreshIds(_Model):
    """A new id, the same in all places of one request."""

    hook: Literal["fresh_ids"]
    params: FreshIdsParams = FreshIdsParams()


class StripCacheMarkers(_Model):
    """Takes away all cache markers, also the client's own."""

    hook: Literal["strip_cache_markers"]


class InsertCacheMarkers(_Model):
    """Marks places for the provider's cache, as far as markers are left."""

    hook: Literal["insert_cache_markers"]
    params: InsertCacheMarkersParams = InsertCacheMarkersParams()


def _named(entry: Any) -> Any:
    return {"hook": entry} if isinstance(entry, str) else entry


InnerHook = Annotated[
    Annotated[FreshIds | StripCacheMarkers | InsertCacheMarkers, Field(discriminator="hook")], BeforeValidator(_named)
]
