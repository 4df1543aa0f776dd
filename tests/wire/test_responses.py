"""Buffered answers and errors."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ccinspect.wire.model import (
    ApiError,
    Citation,
    ErrorKind,
    Outcome,
    Response,
    Signature,
    StopReason,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from ccinspect.wire.registry import DIALECTS
from tests.wire import samples


def decode(dialect: str, body: Any, status: int = 200) -> Response:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return DIALECTS[dialect].decode_response(data, status)


@pytest.mark.parametrize(("dialect", "body"), samples.RESPONSES)
def test_an_answer_is_complete_and_has_its_usage(dialect: str, body: dict[str, Any]) -> None:
    response = decode(dialect, body)
    assert (response.outcome, response.stop_reason, response.error) == (Outcome.COMPLETE, StopReason.TOOL_USE, None)
    assert response.usage is not None
    assert response.usage.total > 0
    assert not response.diagnostics


@pytest.mark.parametrize(("dialect", "body"), [case for case in samples.RESPONSES if case[0] in samples.FIVE])
def test_at_home_an_answer_is_written_as_it_came(dialect: str, body: dict[str, Any]) -> None:
    encode = DIALECTS[dialect].encode_response
    assert encode is not None
    assert encode(decode(dialect, body)).body == body


def test_anthropic() -> None:
    response = decode("anthropic", samples.ANTHROPIC_RESPONSE)
    thinking, text, search, found, cited, call = response.blocks
    assert thinking == Thinking("Look it up.", signature=Signature("EqQBCkYIBxgCKkD=", "anthropic"))
    assert text == Text("I will search.")
    assert isinstance(search, ToolCall)
    assert search.executor == "provider"
    assert isinstance(found, ToolResult)
    assert found.kind == "web_search_tool_result"
    assert cited == Text("It is 20 degrees.", (Citation("Weather", "https://example.com/w", "20 degrees"),))
    assert call == ToolCall("toolu_01C", "Read", {"file_path": "/c", "limit": 3})
    assert call.path == ("content", 5)
    assert response.service_tier == "standard"
    assert decode("anthropic", {"input_tokens": 2095}).count == 2095


def test_responses_statuses() -> None:
    base = samples.RESPONSES_RESPONSE
    cut = decode(
        "openai_responses", {**base, "status": "incomplete", "incomplete_details": {"reason": "content_filter"}}
    )
    assert (cut.stop_reason, cut.stop_detail) == (StopReason.CONTENT_FILTER, "content_filter")
    error = {"code": "rate_limit_exceeded", "message": "slow down"}
    failed = decode("openai_responses", {**base, "status": "failed", "error": error})
    assert failed.outcome is Outcome.ERROR
    assert failed.error is not None
    assert failed.error.kind is ErrorKind.RATE_LIMIT
    refused = {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}
    assert decode("openai_responses", {**base, "output": [refused]}).stop_reason is StopReason.REFUSAL
    assert decode("openai_responses", {"object": "response.input_tokens", "input_tokens": 11}).count == 11


def test_chat_with_several_choices_and_citations() -> None:
    message = {
        "role": "assistant",
        "content": "a",
        "annotations": [
            {"type": "url_citation", "url_citation": {"url": "u", "title": "t", "start_index": 0, "end_index": 1}}
        ],
    }
    choices = [
        {"index": 0, "message": message, "finish_reason": "length"},
        {"index": 1, "message": {"role": "assistant", "content": "b"}, "finish_reason": "stop"},
    ]
    response = decode("openai_chat", {"choices": choices})
    assert response.blocks == (Text("a", (Citation("t", "u"),)),)
    assert response.alternatives == ((Text("b"),),)
    assert response.stop_reason is StopReason.MAX_TOKENS
    assert response.usage is None


def test_gemini_blocked_and_grounded_and_enveloped() -> None:
    blocked = decode("gemini", {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 4}})
    assert (blocked.stop_reason, blocked.stop_detail) == (StopReason.CONTENT_FILTER, "SAFETY")
    candidate = {
        "content": {"parts": [{"text": "t"}], "role": "model"},
        "finishReason": "STOP",
        "groundingMetadata": {"groundingChunks": [{"web": {"uri": "u", "title": "T"}}]},
    }
    grounded = decode("gemini", {"response": {"candidates": [candidate]}, "traceId": "x"})
    assert grounded.blocks == (Text("t", (Citation("T", "u"),)),)
    assert "groundingMetadata" in grounded.extra
    assert decode("gemini", {"totalTokens": 31}).count == 31
    assert decode("gemini", samples.GEMINI_ARRAY).blocks == decode("gemini", samples.GEMINI_RESPONSE).blocks


def test_embeddings_and_completions() -> None:
    usage = {"prompt_tokens": 8, "total_tokens": 8}
    embedded = decode("openai_embeddings", {"object": "list", "data": [{"embedding": [0.1]}] * 3, "usage": usage})
    assert (embedded.count, embedded.usage and embedded.usage.input) == (3, 8)
    assert decode("ollama", {"embeddings": [[0.1], [0.2]], "prompt_eval_count": 8}).count == 2
    completed = decode("openai_completions", {"choices": [{"text": "x", "index": 0, "finish_reason": "stop"}]})
    assert (completed.blocks, completed.stop_reason) == ((Text("x"),), StopReason.END_TURN)


ERRORS: list[tuple[str, int, Any, ErrorKind, str]] = [
    (
        "anthropic",
        529,
        {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
        ErrorKind.OVERLOADED,
        "Overloaded",
    ),
    (
        "anthropic",
        400,
        {"type": "error", "error": {"type": "invalid_request_error", "message": "m"}},
        ErrorKind.INVALID_REQUEST,
        "m",
    ),
    (
        "anthropic",
        413,
        {"type": "error", "error": {"type": "request_too_large", "message": "m"}},
        ErrorKind.TOO_LARGE,
        "m",
    ),
    (
        "openai_chat",
        401,
        {"error": {"message": "bad key", "type": "invalid_request_error", "code": "invalid_api_key"}},
        ErrorKind.AUTHENTICATION,
        "bad key",
    ),
    (
        "openai_chat",
        429,
        {"error": {"message": "q", "type": "insufficient_quota", "code": "insufficient_quota"}},
        ErrorKind.QUOTA,
        "q",
    ),
    (
        "openai_chat",
        400,
        {"error": {"message": "long", "type": "invalid_request_error", "code": "context_length_exceeded"}},
        ErrorKind.TOO_LARGE,
        "long",
    ),
    ("openai_chat", 200, {"error": {"message": "router", "code": 502}}, ErrorKind.SERVER, "router"),
    ("openai_responses", 404, {"error": {"message": "m", "code": "model_not_found"}}, ErrorKind.NOT_FOUND, "m"),
    (
        "openai_chat",
        404,
        {"error": {"message": "no such path", "type": "invalid_request_error", "code": None}},
        ErrorKind.NOT_FOUND,
        "no such path",
    ),
    (
        "gemini",
        429,
        {
            "error": {
                "code": 429,
                "message": "q",
                "status": "RESOURCE_EXHAUSTED",
                "details": [{"@type": "x.RetryInfo", "retryDelay": "34.5s"}],
            }
        },
        ErrorKind.RATE_LIMIT,
        "q",
    ),
    (
        "gemini",
        400,
        [{"error": {"code": 400, "message": "m", "status": "INVALID_ARGUMENT"}}],
        ErrorKind.INVALID_REQUEST,
        "m",
    ),
    ("ollama", 404, {"error": "model 'x' not found"}, ErrorKind.NOT_FOUND, "model 'x' not found"),
    ("bedrock", 429, {"message": "Too many tokens"}, ErrorKind.RATE_LIMIT, "Too many tokens"),
    ("amazon_q", 400, {"__type": "ValidationException", "message": "m"}, ErrorKind.INVALID_REQUEST, "m"),
    ("anthropic", 502, b"<html>Bad gateway</html>", ErrorKind.SERVER, ""),
    ("openai_chat", 503, b"", ErrorKind.OVERLOADED, ""),
]


@pytest.mark.parametrize(("dialect", "status", "body", "kind", "message"), ERRORS)
def test_errors_have_a_kind(dialect: str, status: int, body: Any, kind: ErrorKind, message: str) -> None:
    response = decode(dialect, body, status)
    assert response.outcome is Outcome.ERROR
    assert response.error is not None
    assert (response.error.kind, response.error.message) == (kind, message)
    assert response.error.status is not None


def test_googles_delay_is_read() -> None:
    response = decode("gemini", next(body for dialect, _, body, _, _ in ERRORS if "RetryInfo" in str(body)), 429)
    assert response.error is not None
    assert response.error.retry_after == 34.5


@pytest.mark.parametrize("dialect", samples.FIVE)
@pytest.mark.parametrize("kind", ErrorKind)
def test_an_error_told_in_any_dialect_keeps_its_kind(dialect: str, kind: ErrorKind) -> None:
    encode = DIALECTS[dialect].encode_error
    assert encode is not None
    encoded = encode(ApiError(kind, "why"))
    from ccinspect.wire.apierror import STATUS

    again = decode(dialect, encoded.data(), STATUS[kind])
    assert again.error is not None
    assert again.error.message == "why"
    # Gemini and Ollama have fewer words than there are kinds; the status then tells.
    coarse = {ErrorKind.QUOTA: ErrorKind.RATE_LIMIT, ErrorKind.TOO_LARGE: ErrorKind.INVALID_REQUEST}
    assert again.error.kind in ({kind} if dialect not in ("gemini", "ollama") else {kind, coarse.get(kind)})


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_cut_body_is_truncated_and_does_not_raise(dialect: str) -> None:
    body = json.dumps(dict(samples.RESPONSES).get(dialect, {"a": "b"})).encode()
    response = decode(dialect, body[: len(body) // 2])
    assert response.outcome is Outcome.TRUNCATED
    assert response.diagnostics
