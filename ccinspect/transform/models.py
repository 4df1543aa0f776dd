"""`GET /v1/models`: the models of all providers in one list, in the dialect of whoever asks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ccinspect.transform.destinations import Destination
from ccinspect.wire.model import JsonObject

_EPOCH = "1970-01-01T00:00:00Z"


def merged(destinations: Iterable[Destination]) -> list[tuple[str, str]]:
    """(model, provider) of each model that a provider lists; of one that several list, the first."""
    found: dict[str, str] = {}
    for destination in destinations:
        for model in destination.models:
            found.setdefault(model, destination.provider)
    return list(found.items())


def listing(models: Iterable[tuple[str, str]], path: str, headers: Mapping[str, str]) -> JsonObject:
    """The list as the asker's dialect has it: Anthropic's clients send `anthropic-version`, Gemini's ask `/v1beta`."""
    models = list(models)
    if path.startswith("/v1beta"):
        return {"models": [_gemini(model) for model, _ in models]}
    if "anthropic-version" in headers:
        data = [{"type": "model", "id": model, "display_name": model, "created_at": _EPOCH} for model, _ in models]
        ends = {"first_id": models[0][0], "last_id": models[-1][0]} if models else {"first_id": None, "last_id": None}
        return {"data": data, "has_more": False, **ends}
    listed: list[JsonObject] = [
        {"id": model, "object": "model", "created": 0, "owned_by": provider} for model, provider in models
    ]
    return {"object": "list", "data": listed}


def _gemini(model: str) -> JsonObject:
    methods = ["generateContent", "streamGenerateContent", "countTokens"]
    return {"name": f"models/{model}", "displayName": model, "supportedGenerationMethods": methods}
