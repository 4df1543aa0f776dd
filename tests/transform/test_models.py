"""The merged list of models, as each dialect's official client reads it."""

from __future__ import annotations

import json

import httpx2
import ollama
import openai
import pytest
from anthropic.pagination import SyncPage
from anthropic.types import ModelInfo
from google.genai import types as gemini

from ccinspect.pipeline.message import Headers
from ccinspect.transform.destinations import Destinations
from ccinspect.transform.models import Offer, asker, listing, offers
from ccinspect.transform.settings import Upstream

DESTINATIONS = Destinations(
    {
        "mine": Upstream(host="h.example", models={"small": "claude-haiku", "big": "claude-opus"}),
        "openai": Upstream(models=["gpt-5", "small"]),
    }
)
NAMES = ["gpt-5", "small", "big"]


def test_all_providers_models_are_offered_once() -> None:
    assert offers(DESTINATIONS) == [Offer("gpt-5", "openai"), Offer("small", "openai"), Offer("big", "mine")]
    assert offers(Destinations()) == []


def test_openais_client_reads_the_list() -> None:
    body = json.dumps(listing(offers(DESTINATIONS), "openai_chat")).encode()
    transport = httpx2.MockTransport(lambda request: httpx2.Response(200, content=body))
    with openai.OpenAI(api_key="none", http_client=httpx2.Client(transport=transport)) as client:
        assert [model.id for model in client.models.list()] == NAMES


def test_anthropics_types_read_the_list() -> None:
    page = SyncPage[ModelInfo].model_validate(listing(offers(DESTINATIONS), "anthropic"))
    assert [model.id for model in page.data] == NAMES
    assert (page.has_more, page.first_id, page.last_id) == (False, "gpt-5", "big")


def test_geminis_types_read_the_list() -> None:
    body = listing(offers(DESTINATIONS), "gemini")
    assert [gemini.Model.model_validate({"name": m["name"]}).name for m in body["models"]] == [
        f"models/{name}" for name in NAMES
    ]


def test_ollamas_types_read_the_list() -> None:
    body = listing(offers(DESTINATIONS), "ollama")
    assert [model.model for model in ollama.ListResponse(**body).models] == NAMES


@pytest.mark.parametrize("dialect", ["openai_chat", "anthropic", "gemini", "ollama"])
def test_an_empty_list_is_a_list(dialect: str) -> None:
    body = listing([], dialect)
    assert [] in body.values()


@pytest.mark.parametrize(
    ("path", "headers", "dialect"),
    [
        ("/v1/models", {}, "openai_chat"),
        ("/v1/models/", {"authorization": "Bearer x"}, "openai_chat"),
        ("/v1/models?limit=20", {"anthropic-version": "2023-06-01"}, "anthropic"),
        ("/v1/models", {"x-api-key": "k"}, "anthropic"),
        ("/v1beta/models?key=k", {}, "gemini"),
        ("/v1/models", {"x-goog-api-key": "k"}, "gemini"),
        ("/api/tags", {}, "ollama"),
        ("/v1/messages", {}, None),
        ("/v1/models/gpt-5", {}, None),
    ],
)
def test_who_asks_is_told_by_path_and_headers(path: str, headers: dict[str, str], dialect: str | None) -> None:
    fields = Headers((name.encode(), value.encode()) for name, value in headers.items())
    assert asker(path, fields) == dialect
