"""Anthropic Messages: requests, buffered answers and errors into the neutral model.

Source: the Messages API reference, and the types of the official SDK.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ccinspect.wire.apierror import is_error, read_error
from ccinspect.wire.codec import leftover, names, read_object, readable
from ccinspect.wire.jsontext import (
    as_bool,
    as_count,
    as_int,
    as_list,
    as_name,
    as_number,
    as_object,
    as_text,
)
from ccinspect.wire.model import (
    Block,
    CacheMarker,
    Citation,
    Json,
    JsonObject,
    Media,
    Message,
    Outcome,
    OutputFormat,
    Path,
    Reasoning,
    Request,
    Response,
    Sampling,
    StopReason,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Unknown,
)
from ccinspect.wire.signatures import attach_carried, unwrap
from ccinspect.wire.usage import anthropic_usage

DIALECT = "anthropic"

STOP_REASONS = {
    "end_turn": StopReason.END_TURN,
    "max_tokens": StopReason.MAX_TOKENS,
    "stop_sequence": StopReason.STOP_SEQUENCE,
    "tool_use": StopReason.TOOL_USE,
    "pause_turn": StopReason.PAUSE,
    "refusal": StopReason.REFUSAL,
    "model_context_window_exceeded": StopReason.CONTEXT_WINDOW,
    "compaction": StopReason.PAUSE,
}

_REQUEST_FIELDS = names(
    "model system messages tools tool_choice max_tokens temperature top_p top_k stop_sequences stream thinking "
    "output_config output_format metadata service_tier anthropic_version"
)
_RESPONSE_FIELDS = names("id type role model content stop_reason stop_sequence usage input_tokens error request_id")
_MESSAGE_FIELDS = names("role content")
_TEXT_FIELDS = names("type text citations cache_control")
_MEDIA_FIELDS = names("type source title context cache_control")
_THINKING_FIELDS = names("type thinking signature data")
_CALL_FIELDS = names("type id name input server_name cache_control")
_RESULT_FIELDS = names("type tool_use_id content is_error cache_control")
_TOOL_FIELDS = names("type name description input_schema strict cache_control")
_BUILT_IN_FIELDS = names("type name cache_control mcp_server_name")
_MAX_NESTING = 3


def stop_reason(word: Json) -> StopReason | None:
    return None if word is None else STOP_REASONS.get(as_text(word), StopReason.OTHER)


def decode_request(body: bytes, path: str = "") -> Request:
    raw, diagnostics = read_object(body, DIALECT)
    return replace(read_request(raw, path), diagnostics=diagnostics)


def read_request(raw: JsonObject, path: str = "") -> Request:
    """A request from its JSON. Bedrock and Vertex say the model in the path."""
    where = path.partition("?")[0].rstrip("/")
    kind = "generate"
    if where.endswith("/count_tokens"):
        kind = "count_tokens"
    elif where.endswith("/messages/batches"):
        kind = "batch"
    return Request(
        dialect=DIALECT,
        kind=kind,
        model=as_name(raw.get("model")),
        system=read_blocks(raw.get("system"), ("system",)),
        messages=tuple(
            _message(message, ("messages", index)) for index, message in enumerate(as_list(raw.get("messages")))
        ),
        tools=tuple(_tool(tool, ("tools", index)) for index, tool in enumerate(as_list(raw.get("tools")))),
        tool_choice=_tool_choice(raw.get("tool_choice")),
        sampling=Sampling(
            max_tokens=as_count(raw.get("max_tokens")),
            temperature=as_number(raw.get("temperature")),
            top_p=as_number(raw.get("top_p")),
            top_k=as_int(raw.get("top_k")),
            stop=tuple(stop for stop in as_list(raw.get("stop_sequences")) if isinstance(stop, str)),
        ),
        reasoning=_reasoning(raw),
        output=_output_format(raw),
        stream=raw.get("stream") is True,
        user=as_name(as_object(raw.get("metadata")).get("user_id")),
        service_tier=as_name(raw.get("service_tier")),
        extra=leftover(raw, _REQUEST_FIELDS),
        path=path,
        raw=raw,
    )


def _message(value: Json, path: Path) -> Message:
    raw = as_object(value)
    return Message(
        role=as_text(raw.get("role")),
        blocks=read_blocks(raw.get("content"), (*path, "content")),
        extra=leftover(raw, _MESSAGE_FIELDS),
        path=path,
        raw=raw,
    )


def read_blocks(content: Json, path: Path, depth: int = 0) -> tuple[Block, ...]:
    """A `content` or `system` field: text, or a list of blocks."""
    if isinstance(content, str):
        return (Text(content, path=path, raw=content),) if content else ()
    if not isinstance(content, list):
        return ()
    blocks = [read_block(item, (*path, index), depth) for index, item in enumerate(content)]
    return tuple(attach_carried(blocks)) if depth == 0 else tuple(blocks)


def read_block(value: Json, path: Path, depth: int = 0) -> Block:
    raw = as_object(value)
    kind = as_text(raw.get("type"))
    reader = _BLOCKS.get(kind)
    if reader is not None and isinstance(value, dict):
        return reader(raw, path, depth)
    if kind.endswith("_tool_result") and depth < _MAX_NESTING:
        return _server_result(raw, path, depth)
    return Unknown(kind=kind, dialect=DIALECT, text=readable(value), path=path, raw=value)


def _cache(raw: JsonObject) -> CacheMarker | None:
    marker = raw.get("cache_control")
    return CacheMarker(as_name(marker.get("ttl"))) if isinstance(marker, dict) else None


def _text(raw: JsonObject, path: Path, depth: int) -> Block:
    return Text(
        as_text(raw.get("text")),
        tuple(read_citation(item) for item in as_list(raw.get("citations"))),
        path=path,
        raw=raw,
        cache=_cache(raw),
        extra=leftover(raw, _TEXT_FIELDS),
    )


def read_citation(value: Json) -> Citation:
    raw = as_object(value)
    return Citation(
        title=as_name(raw.get("title")) or as_name(raw.get("document_title")),
        url=as_name(raw.get("url")) or as_name(raw.get("source")),
        text=as_name(raw.get("cited_text")),
        raw=raw,
    )


def _media(raw: JsonObject, path: Path, depth: int) -> Block:
    kind = as_text(raw.get("type"))
    source = as_object(raw.get("source"))
    form = source.get("type")
    if form == "content" and (words := _plain(source.get("content"))):
        return _text_document(raw, words, path)
    if form not in ("base64", "url", "file", "text"):
        return Unknown(kind=kind, dialect=DIALECT, text=readable(source), path=path, raw=raw, cache=_cache(raw))
    data = as_text(source.get("data"))
    return Media(
        kind=kind,
        media_type=as_name(source.get("media_type")),
        data=data if form == "base64" else None,
        url=as_text(source.get("url")) if form == "url" else None,
        file_id=as_text(source.get("file_id")) if form == "file" else None,
        text=data if form == "text" else None,
        name=as_name(raw.get("title")),
        context=as_name(raw.get("context")),
        path=path,
        raw=raw,
        cache=_cache(raw),
        extra=leftover(raw, _MEDIA_FIELDS),
    )


def _search_result(raw: JsonObject, path: Path, depth: int) -> Block:
    words = _plain(raw.get("content"))
    if words is None:
        return Unknown(kind="search_result", dialect=DIALECT, text=readable(raw), path=path, raw=raw, cache=_cache(raw))
    source = as_text(raw.get("source"))
    return _text_document(raw, "\n".join(line for line in (source, as_text(raw.get("title")), words) if line), path)


def _plain(content: Json) -> str | None:
    """The text of a document in pieces; None where there is anything else in it, or nothing."""
    pieces = [as_object(piece) for piece in as_list(content)]
    texts = [as_text(piece.get("text")) for piece in pieces if piece.get("type") == "text"]
    return "\n".join(texts) if texts and len(texts) == len(pieces) else None


def _text_document(raw: JsonObject, words: str, path: Path) -> Media:
    return Media(
        kind="document",
        media_type="text/plain",
        text=words,
        name=as_name(raw.get("title")),
        context=as_name(raw.get("context")),
        path=path,
        raw=raw,
        cache=_cache(raw),
    )


def _thinking(raw: JsonObject, path: Path, depth: int) -> Block:
    signature = as_name(raw.get("signature"))
    return Thinking(
        as_text(raw.get("thinking")),
        path=path,
        raw=raw,
        signature=unwrap(signature, DIALECT) if signature else None,
        extra=leftover(raw, _THINKING_FIELDS),
    )


def _redacted(raw: JsonObject, path: Path, depth: int) -> Block:
    return Thinking(
        redacted=True,
        signature=unwrap(as_text(raw.get("data")), DIALECT),
        path=path,
        raw=raw,
        extra=leftover(raw, _THINKING_FIELDS),
    )


def _tool_use(raw: JsonObject, path: Path, depth: int) -> Block:
    kind = as_text(raw.get("type"))
    arguments = raw.get("input")
    return ToolCall(
        id=as_text(raw.get("id")),
        name=as_text(raw.get("name")),
        arguments=arguments if isinstance(arguments, dict | str) else {},
        server=as_name(raw.get("server_name")),
        executor="client" if kind == "tool_use" else "provider",
        kind="function" if kind == "tool_use" else kind,
        path=path,
        raw=raw,
        cache=_cache(raw),
        extra=leftover(raw, _CALL_FIELDS),
    )


def _tool_result(raw: JsonObject, path: Path, depth: int) -> Block:
    kind = as_text(raw.get("type"))
    if depth >= _MAX_NESTING:
        return Unknown(kind=kind, dialect=DIALECT, text=readable(raw), path=path, raw=raw)
    return ToolResult(
        call_id=as_text(raw.get("tool_use_id")),
        content=read_blocks(raw.get("content"), (*path, "content"), depth + 1),
        is_error=raw.get("is_error") is True,
        executor="client" if kind == "tool_result" else "provider",
        kind="function" if kind == "tool_result" else kind,
        path=path,
        raw=raw,
        cache=_cache(raw),
        extra=leftover(raw, _RESULT_FIELDS),
    )


def _server_result(raw: JsonObject, path: Path, depth: int) -> Block:
    """What a server-side tool brought: `content` is an object or a list of kinds of its own."""
    content = raw.get("content")
    items = content if isinstance(content, list) else [content]
    at = (*path, "content")
    return ToolResult(
        call_id=as_text(raw.get("tool_use_id")),
        content=tuple(
            Unknown(
                kind=as_text(as_object(item).get("type")),
                dialect=DIALECT,
                text=readable(item),
                path=(*at, index) if isinstance(content, list) else at,
                raw=item,
            )
            for index, item in enumerate(items)
        ),
        is_error=any("error" in as_text(as_object(item).get("type")) for item in items),
        executor="provider",
        kind=as_text(raw.get("type")),
        path=path,
        raw=raw,
        cache=_cache(raw),
        extra=leftover(raw, _RESULT_FIELDS),
    )


_BLOCKS: dict[str, Callable[[JsonObject, Path, int], Block]] = {
    "text": _text,
    "image": _media,
    "document": _media,
    "search_result": _search_result,
    "thinking": _thinking,
    "redacted_thinking": _redacted,
    "tool_use": _tool_use,
    "server_tool_use": _tool_use,
    "mcp_tool_use": _tool_use,
    "tool_result": _tool_result,
    "mcp_tool_result": _tool_result,
}


def _tool(value: Json, path: Path) -> Tool:
    raw = as_object(value)
    kind = as_text(raw.get("type"))
    schema = raw.get("input_schema")
    custom = kind in ("", "custom")
    known = _TOOL_FIELDS if custom else _BUILT_IN_FIELDS
    return Tool(
        name=as_text(raw.get("name")) or as_text(raw.get("mcp_server_name")) or kind,
        description=as_name(raw.get("description")),
        schema=schema if isinstance(schema, dict) else None,
        kind="function" if custom else kind,
        strict=as_bool(raw.get("strict")),
        server=as_name(raw.get("mcp_server_name")),
        cache=_cache(raw),
        extra=leftover(raw, known),
        path=path,
        raw=raw,
    )


def _tool_choice(value: Json) -> ToolChoice | None:
    raw = as_object(value)
    mode = {"auto": "auto", "any": "required", "tool": "tool", "none": "none"}.get(as_text(raw.get("type")))
    if mode is None:
        return None
    single = as_bool(raw.get("disable_parallel_tool_use"))
    name = as_text(raw.get("name"))
    return ToolChoice(mode, (name,) if mode == "tool" else (), None if single is None else not single)


def _reasoning(raw: JsonObject) -> Reasoning | None:
    thinking = as_object(raw.get("thinking"))
    form = as_text(thinking.get("type"))
    effort = as_name(as_object(raw.get("output_config")).get("effort"))
    if not form and effort is None:
        return None
    return Reasoning(
        enabled=form != "disabled" if form else None,
        budget=as_count(thinking.get("budget_tokens")),
        effort=effort,
        summary=as_name(thinking.get("display")),
    )


def _output_format(raw: JsonObject) -> OutputFormat | None:
    form = as_object(as_object(raw.get("output_config")).get("format")) or as_object(raw.get("output_format"))
    if form.get("type") != "json_schema":
        return None
    return OutputFormat("json_schema", as_object(form.get("schema")))


def decode_response(body: bytes, status: int = 200) -> Response:
    raw, diagnostics = read_object(body, DIALECT)
    if raw.get("type") == "error" or is_error(raw, status):
        return Response(DIALECT, error=read_error(raw, status), outcome=Outcome.ERROR, raw=raw, diagnostics=diagnostics)
    if diagnostics:
        return Response(DIALECT, outcome=Outcome.TRUNCATED, diagnostics=diagnostics)
    return read_response(raw)


def read_response(raw: JsonObject) -> Response:
    word = raw.get("stop_reason")
    return Response(
        dialect=DIALECT,
        id=as_name(raw.get("id")),
        model=as_name(raw.get("model")),
        blocks=read_blocks(raw.get("content"), ("content",)),
        stop_reason=stop_reason(word),
        stop_detail=as_name(word),
        stop_sequence=as_name(raw.get("stop_sequence")),
        usage=anthropic_usage(raw.get("usage")),
        service_tier=as_name(as_object(raw.get("usage")).get("service_tier")),
        count=as_count(raw.get("input_tokens")),
        extra=leftover(raw, _RESPONSE_FIELDS),
        raw=raw,
    )
