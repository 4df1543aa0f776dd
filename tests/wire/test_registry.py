"""Which dialect a path speaks."""

from __future__ import annotations

import pytest

from ccinspect.wire.registry import DIALECTS, recognise

PATHS = [
    ("/v1/messages", "anthropic", "generate"),
    ("/v1/messages?beta=true", "anthropic", "generate"),
    ("/messages", "anthropic", "generate"),
    ("/api/anthropic/v1/messages", "anthropic", "generate"),
    ("/v1/messages/count_tokens?beta=true", "anthropic", "count_tokens"),
    ("/v1/messages/batches", "anthropic", "batch"),
    (
        "/v1/projects/p/locations/us/publishers/anthropic/models/claude-opus-4@1:streamRawPredict",
        "anthropic",
        "generate",
    ),
    ("/v1/chat/completions", "openai_chat", "generate"),
    ("/openai/deployments/gpt-5/chat/completions?api-version=2025-01-01", "openai_chat", "generate"),
    ("/api/v1/chat/completions", "openai_chat", "generate"),
    ("/chat/completions", "openai_chat", "generate"),
    ("/v1/completions", "openai_completions", "generate"),
    ("/v1/embeddings", "openai_embeddings", "embeddings"),
    ("/v1/responses", "openai_responses", "generate"),
    ("/backend-api/codex/responses", "openai_responses", "generate"),
    ("/v1/responses/compact", "openai_responses", "compact"),
    ("/v1/responses/input_tokens", "openai_responses", "count_tokens"),
    ("/v1beta/models/gemini-2.5-pro:generateContent", "gemini", "generate"),
    ("/v1alpha/models/gemini-2.5-pro:streamGenerateContent?alt=sse", "gemini", "generate"),
    ("/v1internal:streamGenerateContent?alt=sse", "gemini", "generate"),
    ("/v1internal:countTokens", "gemini", "count_tokens"),
    ("/v1/projects/p/locations/l/publishers/google/models/gemini-2.5-pro:generateContent", "gemini", "generate"),
    ("/v1beta/models/text-embedding-004:batchEmbedContents", "gemini", "embeddings"),
    ("/api/chat", "ollama", "generate"),
    ("/api/generate", "ollama", "generate"),
    ("/api/embed", "ollama", "embeddings"),
    ("/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse-stream", "bedrock", "generate"),
    ("/model/arn%3Aaws%3Abedrock/invoke-with-response-stream", "bedrock", "generate"),
    ("/model/x/invoke", "bedrock", "generate"),
    ("/model/x/count-tokens", "bedrock", "count_tokens"),
    ("/generateAssistantResponse", "amazon_q", "generate"),
]


@pytest.mark.parametrize(("path", "dialect", "kind"), PATHS)
def test_a_path_is_recognised(path: str, dialect: str, kind: str) -> None:
    assert recognise("POST", path) == (dialect, kind)
    assert dialect in DIALECTS
    request = DIALECTS[dialect].decode_request(b"{}", path)
    if kind in ("count_tokens", "embeddings", "batch", "compact"):
        assert request.kind == kind


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "",
        "/v1/models",
        "/v1/messages/msg_1",
        "/v1/messages/batches/b1",
        "/api/tags",
        "/v1/responses/resp_1/cancel",
        "/messages/x",
        "/api/event_logging/batch",
        "/v1/metrics",
        "/completions.html",
        "/" * 9000,
    ],
)
def test_other_paths_are_not(path: str) -> None:
    assert recognise("POST", path) is None


def test_a_get_is_a_request_only_as_a_websocket() -> None:
    assert recognise("GET", "/v1/responses") == ("openai_responses", "generate")
    assert recognise("GET", "/v1/messages") is None
    assert recognise("DELETE", "/v1/messages") is None


def test_names_are_keys() -> None:
    assert all(name == codec.name for name, codec in DIALECTS.items())
