"""What the client of a translated request wants back, and the form in which it wants it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import quote, unquote

from ccinspect.transform.toolnames import Original
from ccinspect.wire.model import Request

_MODEL_IN_PATH = re.compile(r"/(?:models|tunedModels|endpoints|model|deployments|engines)/([^/:?]+)")
_MAX_PATH = 4_000


@dataclass(frozen=True, slots=True)
class ClientNeeds:
    """Enough to turn the upstream's answer into the client's, without the request at hand."""

    dialect: str
    upstream: str
    """Dialect of the answer that will come."""
    kind: str = "generate"
    """As `wire.model.Request.kind`."""
    model: str | None = None
    """The model that the client asked for."""
    stream: bool = False
    include_usage: bool = True
    """Usage in a stream was asked for, or always comes in this dialect."""
    form: str = ""
    """Where a dialect has more than one form: `array` (a Gemini stream that is no event stream), `generate`
    (Ollama's older `/api/generate`)."""
    envelope: bool = False
    """Code Assist: Gemini's answers stand under `response`."""
    tools: Mapping[str, Original] = field(default_factory=lambda: MappingProxyType({}))
    """What the upstream's names of tools stand for, where they are not the client's own."""

    @property
    def translates(self) -> bool:
        """Whether the answer has to be changed at all."""
        return self.dialect != self.upstream or self.envelope


def needs_of(request: Request, upstream: str) -> ClientNeeds:
    """What the sender of a request wants, as its path and body say."""
    path, _, query = request.path.partition("?")
    form = ""
    if request.dialect == "gemini" and request.stream and "alt=sse" not in query:
        form = "array"
    elif request.dialect == "ollama" and path.rstrip("/").endswith("/api/generate"):
        form = "generate"
    return ClientNeeds(
        dialect=request.dialect,
        upstream=upstream,
        kind=request.kind,
        model=request.model or model_in_path(request.path),
        stream=request.stream,
        include_usage=request.include_usage,
        form=form,
        envelope=request.dialect == "gemini" and is_enveloped(path),
    )


def is_enveloped(path: str) -> bool:
    """Code Assist's way of telling Gemini's requests."""
    return path.startswith("/v1internal:")


def with_model_in_path(path: str, model: str) -> str:
    """The same path naming another model; a path that names none as it is."""
    bare, mark, query = path.partition("?")
    found = _MODEL_IN_PATH.search(bare[:_MAX_PATH])
    if found is None:
        return path
    return f"{bare[: found.start(1)]}{quote(model, safe='@.-_~')}{bare[found.end(1) :]}{mark}{query}"


def model_in_path(path: str) -> str | None:
    """The model that a path names (Gemini, Vertex, Bedrock, Azure), or None."""
    found = _MODEL_IN_PATH.search(path[:_MAX_PATH].partition("?")[0])
    return unquote(found[1]) if found else None
