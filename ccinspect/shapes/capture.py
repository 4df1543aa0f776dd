"""A shape from a request that was seen to work: stripped of what is private, refused if anything private is left."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from ccinspect.errors import ShapeError
from ccinspect.shapes import cache_markers, envelope, fieldpath, private
from ccinspect.shapes.envelope import ENVELOPES, Envelope
from ccinspect.shapes.private import Finding
from ccinspect.shapes.shape import Shape
from ccinspect.wire.jsontext import as_list, as_object, parse
from ccinspect.wire.model import JsonObject, Path
from ccinspect.wire.registry import recognise

_USUAL_PATHS = {
    "anthropic": "/v1/messages",
    "openai_chat": "/v1/chat/completions",
    "openai_responses": "/v1/responses",
    "gemini": "/v1beta/models/gemini:generateContent",
    "ollama": "/api/chat",
}
_PATHS = {
    "anthropic": re.compile(r"/v1/messages$"),
    "openai_chat": re.compile(r"/v1/chat/completions$"),
    "openai_responses": re.compile(r"/v1/responses$"),
    "gemini": re.compile(r"/models/[\w.-]+:(?:streamGenerateContent|generateContent)$"),
    "ollama": re.compile(r"/api/(?:chat|generate)$"),
}
_HEADER = "headers."
_TOLD = 10
"""Findings in the message of a refusal."""
# Of the one call, not of the way in which calls are made.
_QUERY_OF_THE_CALL = {"alt", "stream"}
# Content that is as good a default as any, for requests that do not say it.
_DEFAULTS = {
    ".model",
    ".max_tokens",
    ".max_completion_tokens",
    ".max_output_tokens",
    ".generationConfig.maxOutputTokens",
}
# Models of one account: fine-tuned, deployed, or named by a project.
_OWN_MODEL = re.compile(r"ft:|arn:|projects/|accounts/|tunedModels/|.*:ft-")


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it was captured: header values as text, the body without content encoding."""

    method: str
    path: str
    headers: Sequence[tuple[str, str]]
    body: bytes
    flow: str
    agent: str | None = None
    dialect: str | None = None
    """As the provider's entry says; None: as the path says."""


Removed = tuple[str, str]
"""The place (`headers.NAME`, `query.NAME`, or a path with `body` before it), and the kind; no value."""


@dataclass(frozen=True, slots=True)
class Captured:
    shape: Shape
    removed: tuple[Removed, ...]
    """What was taken out."""
    left: tuple[Finding, ...]
    """What is still private. A shape with any must not be saved."""


def capture(
    seen: Seen,
    name: str,
    saved_at: str,
    *,
    keep: Collection[str] = (),
    drop: Collection[str] = (),
    names: Collection[str] = (),
) -> Shape:
    """The shape of a request, fit to be saved.

    `keep` and `drop` are paths into the body: what would be stripped and shall stay (system prompt, tools), and what
    would stay and shall not; `drop` also takes `headers.NAME`. `names` are words of this user and machine. Raises
    ShapeError.
    """
    return checked(strip(seen, name, saved_at, keep=keep, drop=drop, names=names))


def checked(captured: Captured) -> Shape:
    """The shape, if nothing private is left in it. Raises ShapeError."""
    if captured.left:
        told = "; ".join(map(str, captured.left[:_TOLD]))
        more = f"; and {len(captured.left) - _TOLD} more" if len(captured.left) > _TOLD else ""
        raise ShapeError(
            f"the shape was not saved, something private is left in it: {told}{more}",
            f"leave those parts out: --drop '{_droppable(captured.left[0].where)}'",
        )
    return captured.shape


def kept_definitions(shape: Shape) -> list[str]:
    """What `keep` was when this shape was made."""
    fields = ENVELOPES[shape.dialect].definitions
    return [f".{field}" for field in fields if field in shape.body]


def _droppable(where: str) -> str:
    """What to drop for a finding: the header, or the field it is in, without the note that it is a key."""
    return where.removeprefix("body").split(" ")[0]


def strip(
    seen: Seen,
    name: str,
    saved_at: str,
    *,
    keep: Collection[str] = (),
    drop: Collection[str] = (),
    names: Collection[str] = (),
) -> Captured:
    """The shape of a request and what of it is still private. Raises ShapeError where there is no shape in it."""
    dialect, body = _model_call(seen)
    known = ENVELOPES[dialect]
    kept = [_path(text) for text in keep]
    dropped = [_path(text) for text in drop if not text.startswith(_HEADER)]
    dropped_headers = {text.removeprefix(_HEADER).lower() for text in drop if text.startswith(_HEADER)}
    for path in kept:
        if path[:1] and path[0] in known.prompts:
            raise ShapeError(
                f"{fieldpath.spell(path)} is what was said in this conversation: a shape cannot hold it",
                "leave --keep out; whoever fills the shape brings messages of their own",
            )
    headers, removed = _headers(seen.headers, dropped_headers)
    removed += _strip_body(body, known, kept, dropped)
    if dialect == "anthropic":
        removed += _without_identity(body)
        removed += [(f"body{fieldpath.spell(path)}", "cache marker") for path in cache_markers.strip(body)]
    address, removed_parameters = _path_of_shape(seen.path, dialect)
    removed += removed_parameters
    shape = _built(
        name=name, dialect=dialect, agent=seen.agent, saved_from=seen.flow, saved_at=saved_at, method=seen.method,
        path=address, headers=headers, content_fields=_content_fields(known, kept, body),
        merge_strategies=_strategies(dialect, body), inner_hooks=_inner_hooks(seen.headers), body=body,
    )  # fmt: skip
    left = private.find(shape.path, shape.headers, shape.body, dialect, names)
    return Captured(shape, tuple(removed), tuple(left))


def _model_call(seen: Seen) -> tuple[str, JsonObject]:
    """The dialect and the body. Raises ShapeError."""
    spoken = recognise(seen.method, seen.path)
    dialect = spoken.dialect if spoken else seen.dialect
    if dialect not in ENVELOPES or (spoken and spoken.kind != "generate"):
        known = ", ".join(ENVELOPES)
        raise ShapeError(
            f"flow {seen.flow} is no model call that a shape can be made of", f"take a request that generates: {known}"
        )
    body, problem = parse(seen.body)
    if problem or not isinstance(body, dict) or not body:
        raise ShapeError(
            f"the request of flow {seen.flow} has no JSON body that can be read{f' ({problem})' if problem else ''}",
            "take another flow; what is sent over WebSockets, or not kept by `store.bodies`, cannot be a shape",
        )
    return dialect, body


def _path(text: str) -> Path:
    try:
        path = fieldpath.parse(text)
    except ValueError as error:
        raise ShapeError(str(error), "name a field of the body: --drop .metadata") from error
    if not path:
        raise ShapeError("`.` is the whole body: nothing would be stripped, or nothing left", "name a field: .system")
    return path


def _headers(came: Iterable[tuple[str, str]], dropped: Collection[str]) -> tuple[dict[str, str], list[Removed]]:
    headers: dict[str, str] = {}
    removed: list[Removed] = []
    for name, value in came:
        kind = "as asked for" if name.lower() in dropped else envelope.header_kind(name)
        if kind is not None:
            # Nobody needs to be told that a shape has no Content-Length.
            removed += [(f"headers.{name}", kind)] if kind != "connection" else []
            continue
        if name.lower() in envelope.MERGED_HEADERS:
            entries = private.split_list(value)
            value = ",".join(each for each in entries if not envelope.IDENTITY_BETA.fullmatch(each))
            removed += [
                (f"headers.{name} ({each})", "identity") for each in entries if envelope.IDENTITY_BETA.fullmatch(each)
            ]
        same = next((each for each in headers if each.lower() == name.lower()), None)
        if same is not None:
            headers[same] = f"{headers[same]},{value}"
        elif value.strip():
            headers[name] = value.strip()
    return dict(sorted(headers.items(), key=lambda header: header[0].lower())), removed


def _strip_body(body: JsonObject, known: Envelope, kept: list[Path], dropped: list[Path]) -> list[Removed]:
    removed: list[Removed] = []
    content = [*known.live, *known.ids]
    if "generationConfig" in known.settings:
        # protobuf's JSON takes both spellings.
        content += [_snake(text) for text in content]
    for text in content:
        path = fieldpath.parse(text)
        if text in _DEFAULTS and not _OWN_MODEL.match(str(body.get("model", "") if text == ".model" else "")):
            continue
        if not any(fieldpath.covers(path, each) or fieldpath.covers(each, path) for each in kept):
            _remove(body, path, "content" if text in known.live else "id", removed)
        elif path not in kept and not any(fieldpath.covers(each, path) for each in kept):
            _keep_only(body, path, kept)
    for path, value in list(fieldpath.leaves(body)):
        name = path[-1] if path else None
        if isinstance(name, str) and value not in (None, "") and envelope.is_id_field(name) and path[0] != "tools":
            _remove(body, path, "id", removed)
    for path in sorted(dropped, key=_last_first, reverse=True):
        _remove(body, path, "as asked for", removed)
    return removed


def _snake(text: str) -> str:
    return "".join(f"_{each.lower()}" if each.isupper() else each for each in text)


def _last_first(path: Path) -> tuple[tuple[int, str], ...]:
    """Later elements of a list go before earlier ones, which would move them."""
    return tuple((step, "") if isinstance(step, int) else (0, step) for step in path)


def _keep_only(body: JsonObject, path: Path, kept: list[Path]) -> None:
    """Of the field at `path`, only what is kept."""
    wanted = [(each, fieldpath.get(body, each)) for each in kept if fieldpath.covers(path, each)]
    fieldpath.remove(body, path)
    for each, value in wanted:
        if value is not fieldpath.MISSING and not fieldpath.put(body, each, value):
            raise ShapeError(f"{fieldpath.spell(each)} cannot be kept by itself", "keep the whole field: --keep .tools")


def _remove(body: JsonObject, path: Path, why: str, removed: list[Removed]) -> None:
    if fieldpath.remove(body, path):
        removed.append((f"body{fieldpath.spell(path)}", why))
        outer = path[:-1]
        if outer and fieldpath.get(body, outer) == {}:
            fieldpath.remove(body, outer)


def _without_identity(body: JsonObject) -> list[Removed]:
    """The system prompt without the lines by which a vendor's client makes itself known."""
    system = body.get("system")
    removed = 0
    if isinstance(system, str):
        body["system"], removed = envelope.IDENTITY_TEXT.subn("", system)
    for block in as_list(system):
        text = as_object(block).get("text")
        if isinstance(text, str):
            block["text"], count = envelope.IDENTITY_TEXT.subn("", text)
            removed += count
    if isinstance(system, list):
        body["system"] = [block for block in system if not _is_empty(block)]
    if "system" in body and not body["system"]:
        del body["system"]
    return [("body.system", "identity")] if removed else []


def _is_empty(block: Any) -> bool:
    fields = as_object(block)
    return fields.get("type") == "text" and not str(fields.get("text") or "").strip()


def _path_of_shape(path: str, dialect: str) -> tuple[str, list[Removed]]:
    """The path as the dialect's own provider has it: before it, clouds name projects, deployments and accounts."""
    came, _, query = path.partition("?")
    found = _PATHS[dialect].search(came)
    where = found[0] if found else _USUAL_PATHS[dialect]
    if dialect == "gemini" and found:
        where = f"/v1beta{where}"
    removed: list[Removed] = (
        [] if came.endswith(where) and came.count("/") == where.count("/") else [("path", "prefix")]
    )
    pairs: list[str] = []
    for pair in filter(None, query.split("&")):
        name = pair.partition("=")[0]
        if private.find(f"/?{pair}", {}, {}, "anthropic"):
            removed.append((f"query.{name}", "private"))
        elif name not in _QUERY_OF_THE_CALL:
            pairs.append(pair)
    return (f"{where}?{'&'.join(pairs)}" if pairs else where), removed


def _content_fields(known: Envelope, kept: list[Path], body: JsonObject) -> tuple[str, ...]:
    """What a request brings by itself; what was kept is there for requests that bring none."""
    extra = {fieldpath.spell(path[:1]): None for path in kept if path[0] in body and path[0] not in known.known}
    return (*known.live, *extra)


def _strategies(dialect: str, body: JsonObject) -> dict[str, str]:
    """A kept system prompt goes before that of the request."""
    field = {"anthropic": "system", "openai_responses": "instructions", "ollama": "system"}.get(dialect)
    if field in body:
        return {f".{field}": "append"}
    return {".systemInstruction.parts": "append"} if dialect == "gemini" and "systemInstruction" in body else {}


def _inner_hooks(headers: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
    """Requests that had an id of their own get a new one."""
    ids = sorted({name.lower() for name, _ in headers} & {"x-request-id", "x-client-request-id", "idempotency-key"})
    return [{"hook": "fresh_ids", "params": {"headers": ids}}] if ids else []


def _built(**fields: Any) -> Shape:
    try:
        return Shape.model_validate(fields)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise ShapeError(
            f"no shape can be made of this request: {'.'.join(map(str, found['loc']))}: {found['msg']}",
            "choose another name or another flow",
        ) from error
