"""A request on its way to another provider: the same body, or told in the dialect spoken there."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ccinspect.errors import TransformError
from ccinspect.pipeline.message import Headers, Outgoing
from ccinspect.transform.answers import Answer, failed
from ccinspect.transform.destinations import Destination
from ccinspect.transform.headers import request_headers, without_credentials
from ccinspect.transform.needs import ClientNeeds, is_enveloped, model_in_path, needs_of, with_model_in_path
from ccinspect.wire.jsonedit import rewrite
from ccinspect.wire.jsontext import as_name, as_object, dump, parse
from ccinspect.wire.model import Diagnostic, ErrorKind, JsonObject, Request
from ccinspect.wire.registry import DIALECTS, recognise

VERTEX_VERSION = "vertex-2023-10-16"
"""What Anthropic's bodies say on Vertex in the place of the header `anthropic-version`."""

_KINDS = {"count_tokens": "counting tokens", "batch": "batches", "embeddings": "embeddings"}


@dataclass(frozen=True, slots=True)
class Translated:
    """What to send, and what its sender wants back."""

    outgoing: Outgoing
    client: ClientNeeds
    diagnostics: tuple[Diagnostic, ...] = ()

    def as_record(self) -> dict[str, object]:
        return {"client": self.client.as_record(), "diagnostics": [record_of(note) for note in self.diagnostics]}


class Untranslatable(TransformError):
    """The request cannot be told there; `answer` says so to the client in its own dialect."""

    def __init__(self, message: str, answer: Answer, diagnostics: tuple[Diagnostic, ...] = ()) -> None:
        super().__init__(message, "let a `passthrough` rule take such requests, or name another destination")
        self.answer = answer
        self.diagnostics = diagnostics


def record_of(note: Diagnostic) -> dict[str, object]:
    """A diagnostic as the flow's record holds it."""
    return {
        "severity": note.severity,
        "code": note.code,
        "message": note.message,
        "path": list(note.path),
        "source": note.source,
        "target": note.target,
    }


def redirect_request(outgoing: Outgoing, dialect: str | None, destination: Destination) -> Outgoing:
    """The same request at another place: nothing of its body changes but the model, where that is another one.

    `dialect` is what the client speaks; None where this is no model call. The body may be unread when no model is to
    be changed.
    """
    headers = Headers(outgoing.headers.fields)
    if not destination.keeps_credentials:
        headers = without_credentials(headers)
    for name, value in destination.headers.items():
        headers.set(name, value)
    told, body = None, outgoing.body
    if dialect is None:
        told = destination.path if destination.dialect is None else destination.below_prefix(outgoing.path)
    elif destination.dialect == dialect:
        kind, stream = _kind_and_stream(outgoing, dialect)
        model = destination.model or read_model(outgoing, dialect)
        told = destination.path_for(kind, stream, model)
        if body is not None and model is not None:
            body = _with_model(body, model, dialect, destination)
    if told is None:
        told = outgoing.path.partition("?")[0]
        told = with_model_in_path(told, destination.model) if destination.model else told
    path = _with_query(told, outgoing.path, dialect, destination.keeps_credentials)
    return _addressed(outgoing, destination, path, headers, body)


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
        raise Untranslatable(message, failed(source_dialect, ErrorKind.INVALID_REQUEST, message))
    request = codec.decode_request(outgoing.body, outgoing.path)
    client = needs_of(request, target)
    _refuse_unreadable(request, source_dialect)
    asked = _prepared(request, destination, client)
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
    told = _addressed(outgoing, destination, path, headers, dump(body))
    return Translated(told, client, (*request.diagnostics, *notes, *more, *dropped))


def read_model(outgoing: Outgoing, dialect: str | None) -> str | None:
    """The model that a request names, in its path or (when it was read) its body."""
    return model_in_path(outgoing.path) or (_model_in_body(outgoing.body) if dialect else None)


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
        body = {"anthropic_version": VERTEX_VERSION, **body}
        body.pop("model", None)
    if destination.dialect != "openai_chat":
        return body, notes
    if destination.only_max_tokens:
        if "max_completion_tokens" in body:
            body["max_tokens"] = body.pop("max_completion_tokens")
        for message in body["messages"]:
            if message.get("role") == "developer":
                message["role"] = "system"
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


def _addressed(
    outgoing: Outgoing, destination: Destination, path: str, headers: Headers, body: bytes | None
) -> Outgoing:
    moved = (outgoing.scheme, outgoing.host, outgoing.port) != (destination.scheme, destination.host, destination.port)
    told = Outgoing(outgoing.method, destination.scheme, destination.host, destination.port, path, headers, body)
    if moved and "host" in headers:
        headers.set("host", told.url.partition("://")[2].removesuffix(path))
    if body is not None and body is not outgoing.body:
        headers.remove("content-encoding", "content-md5", "digest", "content-digest")
        headers.set("content-length", str(len(body)))
    return told


def _kind_and_stream(outgoing: Outgoing, dialect: str) -> tuple[str, bool]:
    """Of a request that stays in its dialect; whether it streams matters only where the path says so."""
    found = recognise(outgoing.method, outgoing.path)
    streams = ":stream" in outgoing.path.partition("?")[0]
    if dialect == "anthropic" and not streams and outgoing.body is not None:
        streams = b'"stream"' in outgoing.body and DIALECTS[dialect].decode_request(outgoing.body, "").stream
    return (found.kind if found is not None else "generate"), streams


def _with_query(told: str, asked: str, dialect: str | None, keeps_credentials: bool) -> str:
    """The new path with the client's own query, which belongs to the dialect; an API key in it may have to stay."""
    path, _, own = told.partition("?")
    parts = [part for part in own.split("&") if part]
    if dialect == "gemini" and ":stream" in asked:
        # The client has said whether it wants an event stream.
        parts = []
    names = {part.partition("=")[0] for part in parts} | (set() if keeps_credentials else {"key"})
    parts += [part for part in asked.partition("?")[2].split("&") if part and part.partition("=")[0] not in names]
    if dialect == "ollama" and asked.partition("?")[0].endswith("/api/generate"):
        path = path.removesuffix("/api/chat") + "/api/generate"
    return f"{path}?{'&'.join(parts)}" if parts else path


def _model_in_body(body: bytes | None) -> str | None:
    return None if body is None else as_name(as_object(parse(body)[0]).get("model"))


def _with_model(body: bytes, model: str, dialect: str, destination: Destination) -> bytes:
    """The body with another model in it, where the dialect says it there; not a byte else changes."""
    value, _ = parse(body)
    if dialect == "gemini" or not isinstance(value, dict):
        return body
    changed = {**value, "model": model}
    if destination.model_in_path:
        del changed["model"]
        changed["anthropic_version"] = VERTEX_VERSION
    elif dialect == "anthropic":
        changed.pop("anthropic_version", None)
    return rewrite(body, value, changed)
