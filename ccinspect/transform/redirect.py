"""A request sent to another place with the body it has; only the model's name in it may change."""

from __future__ import annotations

from ccinspect.pipeline.message import Headers, Outgoing
from ccinspect.transform.destinations import Destination
from ccinspect.transform.headers import without_credentials
from ccinspect.transform.needs import model_in_path, with_model_in_path
from ccinspect.wire.jsonedit import rewrite
from ccinspect.wire.jsontext import as_name, as_object, parse
from ccinspect.wire.model import Json, JsonObject
from ccinspect.wire.registry import recognise

VERTEX_VERSION = "vertex-2023-10-16"
"""What Anthropic's bodies say on Vertex in the place of the header `anthropic-version`."""


def redirect_request(outgoing: Outgoing, dialect: str | None, destination: Destination) -> Outgoing:
    """The same request at another place.

    `dialect` is what the client speaks; None where this is no model call. Not a byte of the body changes but the
    model, where another one is asked for; the body may be unread where `Router.needs_body` says so.
    """
    headers = Headers(outgoing.headers.fields)
    if not destination.keeps_credentials:
        headers = without_credentials(headers)
    for name, setting in destination.headers.items():
        headers.set(name, setting)
    told, body = None, outgoing.body
    if dialect is None:
        told = destination.below_prefix(outgoing.path)
    elif destination.path is not None or destination.model is not None:
        value = parse(body)[0] if body is not None else None
        model = destination.model or model_in_path(outgoing.path) or as_name(as_object(value).get("model"))
        kind, stream = _kind_and_stream(outgoing, dialect, value)
        if destination.dialect in (None, dialect):
            told = destination.path_for(kind, stream, model)
        if body is not None and model is not None:
            body = _with_model(body, value, model, dialect, destination, kind == "count_tokens")
    if told is None:
        told = outgoing.path.partition("?")[0]
        told = with_model_in_path(told, destination.model) if destination.model else told
    path = _with_query(told, outgoing.path, dialect, destination.keeps_credentials)
    return addressed(outgoing, destination, path, headers, body)


def read_model(outgoing: Outgoing, dialect: str | None) -> str | None:
    """The model that a request names, in its path or (when it was read) its body."""
    named = model_in_path(outgoing.path)
    if named is not None or dialect is None or outgoing.body is None:
        return named
    return as_name(as_object(parse(outgoing.body)[0]).get("model"))


def addressed(
    outgoing: Outgoing, destination: Destination, path: str, headers: Headers, body: bytes | None
) -> Outgoing:
    """The request with another address, and headers that fit it and the body. `headers` is changed in place."""
    moved = (outgoing.scheme, outgoing.host, outgoing.port) != (destination.scheme, destination.host, destination.port)
    told = Outgoing(outgoing.method, destination.scheme, destination.host, destination.port, path, headers, body)
    if moved and "host" in headers:
        headers.set("host", told.url.partition("://")[2].removesuffix(path))
    if body is not None and body is not outgoing.body:
        headers.remove("content-encoding", "content-md5", "digest", "content-digest", "transfer-encoding")
        headers.set("content-length", str(len(body)))
    return told


def _kind_and_stream(outgoing: Outgoing, dialect: str, value: Json) -> tuple[str, bool]:
    """Of a request that stays in its dialect: whether it streams matters only where the path says so."""
    found = recognise(outgoing.method, outgoing.path)
    streams = ":stream" in outgoing.path.partition("?")[0]
    if dialect == "anthropic":
        streams = streams or as_object(value).get("stream") is True
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


def for_vertex(body: JsonObject, model: str | None, counts: bool) -> JsonObject:
    """One of Anthropic's bodies as Vertex takes it; only for counting tokens does the model stand in it."""
    told = {key: value for key, value in body.items() if key != "model"}
    if counts and model is not None:
        told["model"] = model
    return {**told, "anthropic_version": VERTEX_VERSION}


def _with_model(body: bytes, value: Json, model: str, dialect: str, destination: Destination, counts: bool) -> bytes:
    """The body with another model in it, where the dialect says it there. `value` is what the body says."""
    if dialect == "gemini" or not isinstance(value, dict):
        return body
    changed = {**value, "model": model}
    if destination.model_in_path:
        changed = for_vertex(value, model, counts)
    elif dialect == "anthropic":
        changed.pop("anthropic_version", None)
    return rewrite(body, value, changed)
