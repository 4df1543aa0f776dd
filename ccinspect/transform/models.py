"""The list of models that all providers of the configuration offer, in the dialect of who asks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ccinspect.pipeline.message import Headers
from ccinspect.transform.destinations import Destinations
from ccinspect.wire.model import JsonObject

_NO_DATE = "1970-01-01T00:00:00Z"


class Offer(NamedTuple):
    """One model under the name it is asked for by."""

    name: str
    provider: str


def offers(destinations: Destinations) -> list[Offer]:
    """All models of all providers, in the order of the configuration; of two with one name, the first."""
    found: dict[str, Offer] = {}
    for provider, known in destinations.known.items():
        for name in known.models:
            found.setdefault(name, Offer(name, provider))
    return list(found.values())


def asker(path: str, headers: Headers) -> str | None:
    """The dialect in which a list of models is asked for; None when the request asks for none."""
    where = path.partition("?")[0].rstrip("/")
    if where.endswith("/api/tags"):
        return "ollama"
    if not where.endswith("/models"):
        return None
    if "v1beta" in where or "x-goog-api-key" in headers or "x-goog-api-client" in headers:
        return "gemini"
    if "anthropic-version" in headers or "x-api-key" in headers:
        return "anthropic"
    return "openai_chat"


def listing(models: Iterable[Offer], dialect: str) -> JsonObject:
    """The list as the official clients of a dialect read it: one page."""
    told = list(models)
    if dialect == "anthropic":
        named = [_model_info(model) for model in told]
        first, last = (told[0].name, told[-1].name) if told else (None, None)
        return {"data": named, "has_more": False, "first_id": first, "last_id": last}
    if dialect == "gemini":
        return {
            "models": [
                {
                    "name": f"models/{model.name}",
                    "displayName": model.name,
                    "supportedGenerationMethods": ["generateContent", "countTokens"],
                }
                for model in told
            ]
        }
    if dialect == "ollama":
        return {"models": [_tag(model) for model in told]}
    data = [{"id": model.name, "object": "model", "created": 0, "owned_by": model.provider} for model in told]
    return {"object": "list", "data": data}


def _model_info(model: Offer) -> JsonObject:
    # The epoch is Anthropic's own word for a date that is not known.
    return {
        "type": "model",
        "id": model.name,
        "display_name": model.name,
        "created_at": _NO_DATE,
        "lifecycle": "active",
    }


def _tag(model: Offer) -> JsonObject:
    return {
        "name": model.name,
        "model": model.name,
        "modified_at": _NO_DATE,
        "size": 0,
        "digest": "",
        "details": {},
    }
