"""From a request to an answer: which endpoint of which vendor it is, and how refusals look there."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from ccinspect.demo import anthropic_messages, gemini, ollama, openai_chat, openai_responses
from ccinspect.demo.answers import Answer, Converse, HeaderList, chunked, event_stream, json_answer
from ccinspect.demo.http1 import Received
from ccinspect.demo.mind import ApiError, Ask, Reply
from ccinspect.demo.websocket import WebSocket, wants_websocket

HOSTS = ("api.anthropic.com", "api.openai.com", "generativelanguage.googleapis.com", "ollama.com")
ANTHROPIC_MODELS = ["claude-fake-large", "claude-fake-small"]
OPENAI_MODELS = ["gpt-fake-large", "gpt-fake-small"]
GEMINI_MODELS = ["gemini-fake-large", "gemini-fake-small"]

Vendor = Literal["anthropic", "openai", "gemini", "ollama"]

_GEMINI_CALL = re.compile(rf"/v1(?:beta|alpha)?/models/(?P<model>[^/:]+):(?P<method>{'|'.join(gemini.METHODS)})")


@dataclass(frozen=True)
class Call:
    """One API call on its way to an answer."""

    request: Received
    request_id: str
    pace: float
    """Seconds between two events of a stream."""
    think: Callable[[Ask], Reply]
    """Asks the model."""

    @property
    def vendor(self) -> Vendor:
        """Which vendor is meant. Some paths are the same at several, so that the host or the headers decide."""
        path, host = self.request.path, self.request.header("host") or ""
        if path.startswith("/api/"):
            return "ollama"
        if path.startswith("/v1/messages"):
            return "anthropic"
        if path.startswith(("/v1/chat/", "/v1/responses")):
            return "openai"
        if "googleapis" in host or path.startswith("/v1beta/") or _GEMINI_CALL.fullmatch(path):
            return "gemini"
        is_anthropic = "anthropic" in host or self.request.header("anthropic-version") is not None
        return "anthropic" if is_anthropic else "openai"

    @property
    def headers(self) -> HeaderList:
        names = {"anthropic": "request-id", "gemini": "x-goog-request-id"}
        return [(names.get(self.vendor, "x-request-id"), self.request_id)]

    def document(self) -> dict[str, Any]:
        """The body as a JSON object. Raises ApiError(400)."""
        try:
            document = json.loads(self.request.body)
        except (ValueError, RecursionError) as error:
            raise ApiError(400, f"the body could not be parsed as JSON: {error}") from error
        if not isinstance(document, dict):
            raise ApiError(400, "the body must be a JSON object")
        return document


def answer(call: Call) -> Answer:
    """Answer one request as the real provider would; refusals come in the vendor's own form."""
    try:
        _check_key(call)
        endpoint = _endpoint(call)
        try:
            return endpoint(call)
        except (AttributeError, KeyError, TypeError) as error:
            # The dialects read requests without a schema; a field of the wrong type shows here.
            raise ApiError(400, f"the request has a field of the wrong type: {error}") from error
    except ApiError as problem:
        return _refusal(call, problem)


def _refusal(call: Call, problem: ApiError) -> Answer:
    match call.vendor:
        case "anthropic":
            document = anthropic_messages.error(problem, call.request_id)
        case "openai":
            document = openai_chat.error(problem)
        case "gemini":
            document = gemini.error(problem)
        case "ollama":
            document = ollama.error(problem)
    # Without it the SDKs repeat the call after a wait.
    no_retry = [("x-should-retry", "false")]
    return json_answer(problem.status, document, [*call.headers, *no_retry])


def _check_key(call: Call) -> None:
    names = {"anthropic": ["x-api-key"], "gemini": ["x-goog-api-key"]}.get(call.vendor, [])
    in_query = call.vendor == "gemini" and "key" in call.request.query
    if not in_query and not any(call.request.header(name) for name in ["authorization", *names]):
        raise ApiError(401, "no API key was sent")


def _endpoint(call: Call) -> Callable[[Call], Answer]:
    method, path = call.request.method, call.request.path
    if path == "/v1/responses" and method == "GET" and wants_websocket(call.request.header("upgrade")):
        return _responses
    if path.startswith(("/v1/models/", "/v1beta/models/")) and method == "GET":
        return _model
    if call.vendor == "gemini" and method == "POST" and _GEMINI_CALL.fullmatch(path):
        return _gemini
    endpoint = _ENDPOINTS.get(path)
    if endpoint is None:
        raise ApiError(404, f"there is no {path} here")
    wanted, function = endpoint
    if method != wanted and not (method == "HEAD" and wanted == "GET"):
        raise ApiError(405, f"{path} wants {wanted}, not {method}")
    return function


def _messages(call: Call) -> Answer:
    ask = anthropic_messages.parse(call.document())
    reply = call.think(ask)
    if ask.stream:
        return event_stream(anthropic_messages.events(reply), call.pace, call.headers)
    return json_answer(200, anthropic_messages.document(reply), call.headers)


def _count_tokens(call: Call) -> Answer:
    return json_answer(200, anthropic_messages.parse_count(call.document()), call.headers)


def _chat_completions(call: Call) -> Answer:
    body = call.document()
    ask = openai_chat.parse(body)
    reply = call.think(ask)
    if ask.stream:
        include_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        return event_stream(openai_chat.events(reply, include_usage), call.pace, call.headers)
    return json_answer(200, openai_chat.document(reply), call.headers)


def _responses(call: Call) -> Answer:
    if call.request.method == "GET":
        socket = WebSocket(call.request.head, openai_responses.Talk(call.think).hear)
        return Answer([socket.opening, Converse(socket.talk)])
    ask = openai_responses.parse(call.document())
    reply = call.think(ask)
    if ask.stream:
        return event_stream(openai_responses.events(reply), call.pace, call.headers)
    return json_answer(200, openai_responses.document(reply), call.headers)


def _gemini(call: Call) -> Answer:
    found = _GEMINI_CALL.fullmatch(call.request.path)
    assert found is not None
    model, method = found["model"], found["method"]
    if method == "countTokens":
        return json_answer(200, gemini.token_count(model, call.document()), call.headers)
    ask = gemini.parse(model, call.document(), stream=method == "streamGenerateContent")
    reply = call.think(ask)
    if not ask.stream:
        return json_answer(200, gemini.document(reply), call.headers)
    if call.request.query.get("alt") == ["sse"]:
        return event_stream(gemini.events(reply), call.pace, call.headers)
    return chunked(gemini.array(reply), [("Content-Type", "application/json"), *call.headers])


def _ollama(call: Call) -> Answer:
    ask = ollama.parse(call.document())
    reply = call.think(ask)
    if not ask.stream:
        return json_answer(200, ollama.document(reply), call.headers)
    return chunked(ollama.events(reply), [("Content-Type", "application/x-ndjson"), *call.headers])


_LISTS: dict[Vendor, Callable[[list[str]], dict[str, Any]]] = {
    "anthropic": anthropic_messages.models,
    "openai": openai_chat.models,
    "gemini": gemini.models,
}
_SINGLE: dict[Vendor, Callable[[str], dict[str, Any]]] = {
    "anthropic": anthropic_messages.model,
    "openai": openai_chat.model,
    "gemini": gemini.model,
}
_NAMES: dict[Vendor, list[str]] = {"anthropic": ANTHROPIC_MODELS, "openai": OPENAI_MODELS, "gemini": GEMINI_MODELS}


def _models(call: Call) -> Answer:
    return json_answer(200, _LISTS[call.vendor](_NAMES[call.vendor]), call.headers)


def _model(call: Call) -> Answer:
    name = call.request.path.rpartition("/models/")[2]
    if name not in _NAMES[call.vendor]:
        raise ApiError(404, f"there is no model {name!r}")
    return json_answer(200, _SINGLE[call.vendor](name), call.headers)


_ENDPOINTS: dict[str, tuple[str, Callable[[Call], Answer]]] = {
    "/v1/messages": ("POST", _messages),
    "/v1/messages/count_tokens": ("POST", _count_tokens),
    "/v1/chat/completions": ("POST", _chat_completions),
    "/v1/responses": ("POST", _responses),
    "/api/chat": ("POST", _ollama),
    "/v1/models": ("GET", _models),
    "/v1beta/models": ("GET", _models),
}
