"""A request on its way to another provider, told in the dialect spoken there."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ccinspect.errors import TransformError
from ccinspect.pipeline.message import Outgoing
from ccinspect.transform.answers import Answer, failed
from ccinspect.transform.destinations import Destination
from ccinspect.transform.headers import request_headers
from ccinspect.transform.needs import ClientNeeds, is_enveloped, needs_of
from ccinspect.transform.redirect import addressed, for_vertex, redirect_request
from ccinspect.transform.toolnames import adapt_tools
from ccinspect.wire.jsontext import as_list, as_object, dump
from ccinspect.wire.model import Diagnostic, ErrorKind, Json, JsonObject, Request
from ccinspect.wire.registry import DIALECTS

_KINDS = {"count_tokens": "counting tokens", "batch": "batches", "embeddings": "embeddings"}
_ENDPOINTS = ("openai_embeddings", "openai_completions")
"""Dialects that are an endpoint of their own, which other providers lack."""


@dataclass(frozen=True, slots=True)
class Translated:
    """What to send, and what its sender wants back."""

    outgoing: Outgoing
    client: ClientNeeds
    diagnostics: tuple[Diagnostic, ...] = ()


class Untranslatable(TransformError):
    """The request cannot be told there; `answer` says so to the client in its own dialect."""

    def __init__(self, message: str, answer: Answer, diagnostics: tuple[Diagnostic, ...] = ()) -> None:
        super().__init__(message, "let a `passthrough` rule take such requests, or name another destination")
        self.answer = answer
        self.diagnostics = diagnostics


def translate_request(
    outgoing: Outgoing, source_dialect: str, destination: Destination, model: str | None = None
) -> Translated:
    """The request as the destination understands it.

    `outgoing` has its body, without content encoding; it is not changed. `model` overrides the destination's. Where
    both speak one dialect, the body stays as it is but for the model. Raises Untranslatable.
    """
    if model is not None:
        destination = replace(destination, model=model)
    target = destination.dialect
    if outgoing.method != "POST" or outgoing.body is None:
        # Codex takes 426 for the sign to do without a WebSocket.
        message = "a WebSocket cannot be translated: send the request by HTTP POST"
        raise Untranslatable(message, failed(source_dialect, ErrorKind.INVALID_REQUEST, message, status=426))
    codec = DIALECTS.get(source_dialect)
    if codec is None or target is None or target not in DIALECTS:
        message = f"nothing is known of the dialect spoken at {destination.provider or destination.host}"
        raise Untranslatable(message, failed(source_dialect, ErrorKind.INVALID_REQUEST, message))
    if source_dialect == target and not is_enveloped(outgoing.path):
        client = ClientNeeds(source_dialect, target, model=destination.model)
        return Translated(redirect_request(outgoing, source_dialect, destination), client)
    encode = DIALECTS[target].encode_request
    if encode is None or codec.encode_response is None:
        message = f"requests in {source_dialect} cannot be told in {target}"
        kind = ErrorKind.NOT_FOUND if source_dialect in _ENDPOINTS else ErrorKind.INVALID_REQUEST
        raise Untranslatable(message, failed(source_dialect, kind, message))
    request = codec.decode_request(outgoing.body, outgoing.path)
    client = needs_of(request, target)
    _refuse_unreadable(request, source_dialect)
    asked = _prepared(request, destination, client)
    takes_free_text = target == "openai_responses" or (target == "openai_chat" and not destination.only_max_tokens)
    asked, tools, renamed = adapt_tools(asked, target, takes_free_text)
    client = replace(client, tools=tools)
    path = destination.path_for(asked.kind, asked.stream, asked.model)
    if path is None:
        what = _KINDS.get(asked.kind, f"a {asked.kind!r} request")
        message = f"{destination.provider or destination.host} has no way of {what} in {target}"
        raise Untranslatable(message, failed(source_dialect, ErrorKind.NOT_FOUND, message))
    encoded = encode(asked)
    notes = tuple(note for note in encoded.diagnostics if note.code != "kind_not_supported" or asked.kind == "generate")
    if fatal := next((note for note in notes if note.severity == "error"), None):
        raise Untranslatable(fatal.message, failed(source_dialect, ErrorKind.INVALID_REQUEST, fatal.message), notes)
    body, more = _adapted(encoded.body, asked, destination)
    headers, dropped = request_headers(outgoing.headers, source_dialect, target, asked.stream, destination.headers)
    if destination.model_in_path:
        headers.remove("anthropic-version")
    told = addressed(outgoing, destination, path, headers, dump(body))
    return Translated(told, client, (*request.diagnostics, *renamed, *notes, *more, *dropped))


def _refuse_unreadable(request: Request, dialect: str) -> None:
    for note in request.diagnostics:
        if note.severity == "error":
            message = f"the request cannot be read: {note.message}"
            answer = failed(dialect, ErrorKind.INVALID_REQUEST, message)
            raise Untranslatable(message, answer, request.diagnostics)


def _prepared(request: Request, destination: Destination, client: ClientNeeds) -> Request:
    """The request with the destination's model, and asking for the usage that its sender will want."""
    model = destination.model or client.model
    # Clients of other dialects always get usage, and the flow's record wants it: asked for wherever one may.
    usage = not destination.strict_fields
    raw = request.raw
    if client.envelope and destination.dialect == request.dialect and isinstance(raw, dict):
        raw = {key: value for key, value in as_object(raw.get("request")).items() if key != "session_id"}
        request = DIALECTS[request.dialect].decode_request(
            dump(raw), request.path.replace("/v1internal", f"/v1/models/{model}")
        )
    return replace(request, model=model, include_usage=usage)


def _adapted(body: JsonObject, request: Request, destination: Destination) -> tuple[JsonObject, list[Diagnostic]]:
    """What a provider wants otherwise than the dialect's author."""
    notes: list[Diagnostic] = []
    if destination.model_in_path:
        body = for_vertex(body, request.model, request.kind == "count_tokens")
    if destination.dialect != "openai_chat":
        return body, notes
    if destination.only_max_tokens:
        if "max_completion_tokens" in body:
            body["max_tokens"] = body.pop("max_completion_tokens")
        for message in body["messages"]:
            if message.get("role") == "developer":
                message["role"] = "system"
        notes += _without_allowed_tools(body, request)
    if destination.strict_fields:
        if "seed" in body:
            body["random_seed"] = body.pop("seed")
        for name in ("user", "service_tier", "reasoning_effort"):
            if body.pop(name, None) is not None:
                message = f"{destination.provider} has no parameter for {name}"
                notes.append(
                    Diagnostic("warning", "parameter_dropped", message, (name,), request.dialect, "openai_chat")
                )
    return body, notes


def _without_allowed_tools(body: JsonObject, request: Request) -> list[Diagnostic]:
    """Name no allowed tools: only OpenAI knows that. Others are told of these tools alone, which means the same."""
    choice = request.tool_choice
    if choice is None or not choice.names or choice.mode == "tool":
        return []
    body["tool_choice"] = choice.mode
    tools = [as_object(tool) for tool in as_list(body.get("tools"))]
    told: list[Json] = [tool for tool in tools if as_object(tool.get("function")).get("name") in choice.names]
    if not told or len(told) == len(tools):
        return []
    body["tools"] = told
    message = "tools that the request does not allow to be called are left out"
    return [Diagnostic("info", "tools_left_out", message, ("tools",), request.dialect, "openai_chat")]
