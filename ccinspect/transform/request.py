"""A request for another place: its address, its headers, and its body in the dialect spoken there."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from urllib.parse import quote

from ccinspect.pipeline.message import Headers, Outgoing
from ccinspect.transform.destinations import TRANSLATED, Destination
from ccinspect.wire.jsonedit import rewrite
from ccinspect.wire.jsontext import dump, parse
from ccinspect.wire.model import Diagnostic, ErrorKind, JsonObject, Request
from ccinspect.wire.registry import DIALECTS

AUTH_HEADERS = ("authorization", "x-api-key", "x-goog-api-key", "api-key")

# Of the connection, of the body as it was, or of the client's account.
_NEVER = {
    *AUTH_HEADERS,
    *("host", "connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "expect"),
    *("content-length", "content-encoding", "content-type", "content-md5", "digest", "accept", "cookie"),
    *("originator", "session_id", "conversation_id", "version", "x-app", "chatgpt-account-id", "http-referer"),
    *("x-client-request-id", "idempotency-key"),
}
_NEVER_PREFIXES = ("anthropic-", "openai-", "x-goog-", "x-stainless-", "x-amz-", "x-codex-", "x-claude-", "copilot-")

_VERTEX_ANTHROPIC = "vertex-2023-10-16"
_ANTHROPIC_VERSION = "2023-06-01"
_GEMINI_MODEL = re.compile(r"(/(?:models|tunedModels)/)[^/:?]+(?=[:/?]|$)")


class Untranslatable(Exception):
    """The request has no meaning that the destination could be asked for."""

    def __init__(self, kind: ErrorKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


@dataclass(frozen=True, slots=True)
class ClientNeeds:
    """What the client expects of the answer."""

    dialect: str
    stream: bool = False
    include_usage: bool = True
    """False for a Chat Completions stream whose client did not ask for usage."""
    array: bool = False
    """A Gemini stream without `alt=sse` is one JSON array."""
    envelope: bool = False
    """Gemini CLI's Code Assist wraps each answer in `{"response": ...}`."""
    kind: str = "generate"


@dataclass(frozen=True, slots=True)
class Translated:
    """A request ready to be sent, without credentials."""

    outgoing: Outgoing
    needs: ClientNeeds
    upstream_dialect: str
    model: str | None
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def translates(self) -> bool:
        """The answer has to be translated back."""
        return self.upstream_dialect != self.needs.dialect


def needs_of(request: Request, path: str) -> ClientNeeds:
    """What a client that sent this request to `path` (with query) expects."""
    return ClientNeeds(
        request.dialect,
        request.stream,
        request.include_usage,
        array=request.dialect == "gemini" and "alt=sse" not in path.partition("?")[2].split("&"),
        envelope="/v1internal" in path.partition("?")[0],
        kind=request.kind,
    )


def redirect(
    outgoing: Outgoing, destination: Destination, model: str | None = None, path: str | None = None
) -> Outgoing:
    """The same request for another place: its body as it is, but for the model where another one is wanted."""
    target = _addressed(outgoing, destination, path or _base_joined(outgoing, destination))
    if path is None and destination.provider == "ollama" and outgoing.path.startswith("/v1/"):
        target.path = outgoing.path
    if model is not None:
        target.path = _GEMINI_MODEL.sub(lambda found: found[1] + quote(model, safe="-._~"), target.path)
        if outgoing.body is not None:
            target.body = _with_model(outgoing.body, model)
    for name, value in destination.headers.items():
        target.headers.set(name, value)
    return target


def _with_model(body: bytes, model: str) -> bytes:
    value, problem = parse(body)
    if problem is not None or not isinstance(value, dict) or "model" not in value:
        return body
    return rewrite(body, value | {"model": model})


def _base_joined(outgoing: Outgoing, destination: Destination) -> str:
    return destination.base + outgoing.path


def _addressed(outgoing: Outgoing, destination: Destination, path: str) -> Outgoing:
    target = replace(
        outgoing,
        scheme=destination.scheme,
        host=destination.host,
        port=destination.port,
        path=path,
        headers=Headers(outgoing.headers.fields),
    )
    if "host" in target.headers:
        target.headers.set("host", destination.netloc)
    return target


def translate(
    outgoing: Outgoing, dialect: str, destination: Destination, model: str | None = None, path: str | None = None
) -> Translated:
    """Say the request in the dialect of its destination. Raises Untranslatable.

    `dialect` is the client's; `model` and `path` come before those of the request and of the destination.
    """
    body = outgoing.body or b""
    request = DIALECTS[dialect].decode_request(body, outgoing.path)
    needs = needs_of(request, outgoing.path)
    wanted = destination.own_name(model or request.model)
    target = destination.dialect_for(dialect) or dialect
    new_path = path or destination.path_for(target, request.kind, wanted, request.stream)
    if target == dialect:
        changed = model is not None or wanted != request.model
        same = redirect(outgoing, destination, wanted if changed else None, new_path)
        return Translated(same, needs, target, wanted)
    _check(request, target, destination, new_path)
    encode = DIALECTS[target].encode_request
    assert encode is not None
    # Usage is always asked for: it is recorded, and some dialects have to tell it.
    encoded = encode(replace(request, model=wanted, include_usage=True))
    errors = [note for note in encoded.diagnostics if note.severity == "error"]
    if errors:
        raise Untranslatable(ErrorKind.INVALID_REQUEST, f"{errors[0].message} ({errors[0].code})")
    content = _on_vertex(encoded.body) if target == "anthropic" and destination.provider == "vertex" else encoded.body
    result = _addressed(outgoing, destination, _filled(new_path or "", wanted, request.stream))
    result.method = "POST"
    result.body = dump(content)
    result.headers = _translated_headers(outgoing.headers, destination, target, needs)
    return Translated(result, needs, target, wanted, (*request.diagnostics, *encoded.diagnostics))


def _check(request: Request, target: str, destination: Destination, path: str | None) -> None:
    if request.dialect not in TRANSLATED or target not in TRANSLATED:
        raise Untranslatable(ErrorKind.INVALID_REQUEST, f"there is no translation from {request.dialect} to {target}")
    unreadable = next((note for note in request.diagnostics if note.code == "unreadable_body"), None)
    if unreadable is not None:
        raise Untranslatable(ErrorKind.INVALID_REQUEST, f"the request's body cannot be read: {unreadable.message}")
    if request.kind != "generate":
        raise Untranslatable(
            ErrorKind.NOT_FOUND, f"a {request.kind} request of {request.dialect} has no counterpart in {target}"
        )
    if path is None:
        raise Untranslatable(ErrorKind.NOT_FOUND, f"{destination.provider} has no path for {request.kind} requests")


def _on_vertex(body: JsonObject) -> JsonObject:
    """Claude on Vertex has its model in the path and its version in the body."""
    return {"anthropic_version": _VERTEX_ANTHROPIC, **{key: value for key, value in body.items() if key != "model"}}


def _filled(path: str, model: str | None, stream: bool) -> str:
    action = "streamGenerateContent" if stream else "generateContent"
    values = {"model": quote(model or "", safe="-._~/:"), "action": action}
    return re.sub(r"\{(model|action)\}", lambda found: values[found[1]], path)


def _translated_headers(headers: Headers, destination: Destination, dialect: str, needs: ClientNeeds) -> Headers:
    kept = [
        (name, value)
        for name, value in headers.fields
        if (lower := name.lower().decode("latin-1")) not in _NEVER and not lower.startswith(_NEVER_PREFIXES)
    ]
    out = Headers([(b"host", destination.netloc.encode("ascii", "replace")), *kept])
    out.set("content-type", "application/json")
    streamed = "application/x-ndjson" if dialect == "ollama" else "text/event-stream"
    out.set("accept", streamed if needs.stream else "application/json")
    if dialect == "anthropic":
        out.set("anthropic-version", _ANTHROPIC_VERSION)
    for name, value in destination.headers.items():
        out.set(name, value)
    return out


def without_credentials(headers: Headers) -> bool:
    """Take the client's credentials off; says whether there were any."""
    had = any(name in headers for name in AUTH_HEADERS)
    headers.remove(*AUTH_HEADERS)
    return had
