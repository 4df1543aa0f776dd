"""OpenAI Chat Completions, and the many that copied it: requests and buffered answers into the neutral model.

Source: the types of the official SDK; DeepSeek's `reasoning_content`, OpenRouter's `reasoning_details`, Mistral's
`thinking` parts and Google's `extra_content` are read where they occur.
"""

from __future__ import annotations

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
    parse_arguments,
)
from ccinspect.wire.media import split_data_url
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
    Refusal,
    Request,
    Response,
    Sampling,
    Signature,
    StopReason,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Unknown,
)
from ccinspect.wire.signatures import unwrap
from ccinspect.wire.usage import openai_chat_usage

DIALECT = "openai_chat"

STOP_REASONS = {
    "stop": StopReason.END_TURN,
    "length": StopReason.MAX_TOKENS,
    "tool_calls": StopReason.TOOL_USE,
    "function_call": StopReason.TOOL_USE,
    "content_filter": StopReason.CONTENT_FILTER,
    "error": StopReason.ERROR,
}

_REQUEST_FIELDS = names(
    "model messages tools functions tool_choice function_call parallel_tool_calls max_tokens max_completion_tokens "
    "temperature top_p top_k stop seed presence_penalty frequency_penalty n stream stream_options reasoning_effort "
    "response_format user service_tier"
)
_MESSAGE_FIELDS = names(
    "role content name tool_calls tool_call_id function_call refusal reasoning_content reasoning reasoning_details "
    "annotations"
)
_TEXT_FIELDS = names("type text prompt_cache_breakpoint cache_control")
_TOOL_FIELDS = names("name description parameters strict")
_RESPONSE_FIELDS = names("id object created model choices usage service_tier error")


def stop_reason(word: Json) -> StopReason | None:
    return None if word is None else STOP_REASONS.get(as_text(word), StopReason.OTHER)


def decode_request(body: bytes, path: str = "") -> Request:
    raw, diagnostics = read_object(body, DIALECT)
    return replace(read_request(raw, path), diagnostics=diagnostics)


def read_request(raw: JsonObject, path: str = "") -> Request:
    stop = raw.get("stop")
    tools = [(("tools", index), tool) for index, tool in enumerate(as_list(raw.get("tools")))]
    functions = [(("functions", index), tool) for index, tool in enumerate(as_list(raw.get("functions")))]
    limit = raw.get("max_completion_tokens", raw.get("max_tokens"))
    return Request(
        dialect=DIALECT,
        model=as_name(raw.get("model")),
        messages=tuple(
            read_message(message, ("messages", index)) for index, message in enumerate(as_list(raw.get("messages")))
        ),
        tools=tuple(_tool(tool, at) for at, tool in (*tools, *functions)),
        tool_choice=_tool_choice(raw),
        sampling=Sampling(
            max_tokens=as_count(limit),
            temperature=as_number(raw.get("temperature")),
            top_p=as_number(raw.get("top_p")),
            top_k=as_int(raw.get("top_k")),
            stop=(stop,) if isinstance(stop, str) else tuple(word for word in as_list(stop) if isinstance(word, str)),
            seed=as_int(raw.get("seed")),
            presence_penalty=as_number(raw.get("presence_penalty")),
            frequency_penalty=as_number(raw.get("frequency_penalty")),
            candidates=as_count(raw.get("n")),
        ),
        reasoning=read_effort(raw.get("reasoning_effort")),
        output=read_response_format(raw.get("response_format")),
        stream=raw.get("stream") is True,
        include_usage=raw.get("stream") is not True
        or as_object(raw.get("stream_options")).get("include_usage") is True,
        user=as_name(raw.get("user")),
        service_tier=as_name(raw.get("service_tier")),
        extra=leftover(raw, _REQUEST_FIELDS),
        path=path,
        raw=raw,
    )


def read_effort(value: Json) -> Reasoning | None:
    effort = as_name(value)
    return Reasoning(enabled=effort != "none", effort=effort) if effort else None


def read_response_format(value: Json) -> OutputFormat | None:
    raw = as_object(value)
    kind = raw.get("type")
    if kind == "json_object":
        return OutputFormat("json")
    if kind != "json_schema":
        return None
    schema = as_object(raw.get("json_schema"))
    return OutputFormat(
        "json_schema", as_object(schema.get("schema")), as_name(schema.get("name")), as_bool(schema.get("strict"))
    )


def _tool(value: Json, path: Path) -> Tool:
    raw = as_object(value)
    kind = as_text(raw.get("type")) or "function"
    if kind not in ("function", "custom"):
        return Tool(name=as_text(raw.get("name")) or kind, kind=kind, path=path, raw=raw, extra=raw)
    # The legacy `functions` have no envelope.
    inner = as_object(raw.get(kind)) if kind in raw or "type" in raw else raw
    schema = inner.get("parameters")
    extra = leftover(inner, _TOOL_FIELDS) if inner is not raw else {}
    return Tool(
        name=as_text(inner.get("name")),
        description=as_name(inner.get("description")),
        schema=schema if isinstance(schema, dict) else None,
        kind=kind,
        strict=as_bool(inner.get("strict")),
        cache=read_cache(raw),
        extra=extra,
        path=path,
        raw=raw,
    )


def _tool_choice(raw: JsonObject) -> ToolChoice | None:
    choice = raw.get("tool_choice", raw.get("function_call"))
    parallel = as_bool(raw.get("parallel_tool_calls"))
    if isinstance(choice, str):
        mode = choice if choice in ("auto", "none", "required") else "auto"
        return ToolChoice(mode, (), parallel)
    if not isinstance(choice, dict):
        return ToolChoice("auto", (), parallel) if parallel is not None else None
    if choice.get("type") == "allowed_tools":
        allowed = as_object(choice.get("allowed_tools")) or choice
        inner = [as_object(tool) for tool in as_list(allowed.get("tools"))]
        listed = tuple(as_text(as_object(tool.get("function")).get("name") or tool.get("name")) for tool in inner)
        return ToolChoice("required" if allowed.get("mode") == "required" else "auto", listed, parallel)
    named = as_object(choice.get("function")) or as_object(choice.get("custom")) or choice
    return ToolChoice("tool", (as_text(named.get("name")),), parallel)


def read_cache(raw: JsonObject) -> CacheMarker | None:
    """OpenAI's own marker, or Anthropic's, which OpenRouter and LiteLLM take in Chat Completions."""
    for name in ("prompt_cache_breakpoint", "cache_control"):
        marker = raw.get(name)
        if isinstance(marker, dict):
            return CacheMarker(as_name(marker.get("ttl")))
    return None


def read_message(value: Json, path: Path) -> Message:
    """A message of the history, or of an answer."""
    raw = as_object(value)
    role = as_text(raw.get("role"))
    blocks = [*read_reasoning(raw, path), *read_content(raw.get("content"), (*path, "content"))]
    if as_name(raw.get("refusal")):
        blocks.append(Refusal(as_text(raw["refusal"]), path=(*path, "refusal"), raw=raw["refusal"]))
    for index, call in enumerate(as_list(raw.get("tool_calls"))):
        blocks.append(read_call(call, (*path, "tool_calls", index)))
    if isinstance(raw.get("function_call"), dict):
        blocks.append(read_call({"function": raw["function_call"]}, (*path, "function_call")))
    name = as_name(raw.get("name"))
    if role in ("tool", "function"):
        result = ToolResult(
            call_id=as_text(raw.get("tool_call_id")),
            name=name,
            content=tuple(blocks),
            path=path,
            raw=raw,
        )
        return Message("tool", (result,), path=path, raw=raw, extra=leftover(raw, _MESSAGE_FIELDS))
    blocks = _cite(blocks, raw.get("annotations"))
    return Message(role, tuple(blocks), name, path=path, raw=raw, extra=leftover(raw, _MESSAGE_FIELDS))


def _cite(blocks: list[Block], annotations: Json) -> list[Block]:
    citations = tuple(map(read_annotation, as_list(annotations)))
    if not citations:
        return blocks
    first = next((index for index, block in enumerate(blocks) if isinstance(block, Text)), None)
    return [
        replace(block, citations=citations) if index == first and isinstance(block, Text) else block
        for index, block in enumerate(blocks)
    ]


def read_annotation(value: Json) -> Citation:
    raw = as_object(value)
    inner = as_object(raw.get("url_citation")) or raw
    return Citation(as_name(inner.get("title")), as_name(inner.get("url")), raw=raw)


def read_content(content: Json, path: Path) -> list[Block]:
    if isinstance(content, str):
        return [Text(content, path=path, raw=content)] if content else []
    return [_part(part, (*path, index)) for index, part in enumerate(as_list(content))]


def _part(value: Json, path: Path) -> Block:
    raw = as_object(value)
    kind = as_text(raw.get("type"))
    cache = read_cache(raw)
    if kind == "text":
        extra = leftover(raw, _TEXT_FIELDS)
        return Text(as_text(raw.get("text")), path=path, raw=raw, cache=cache, extra=extra)
    if kind == "refusal":
        return Refusal(as_text(raw.get("refusal")), path=path, raw=raw)
    if kind == "image_url":
        image = raw.get("image_url")
        image = {"url": image} if isinstance(image, str) else as_object(image)
        detail = as_name(image.get("detail"))
        return url_media("image", as_text(image.get("url")), path=path, raw=raw, cache=cache, detail=detail)
    if kind == "input_audio":
        audio = as_object(raw.get("input_audio"))
        media_type = f"audio/{as_text(audio.get('format'))}"
        return Media("audio", media_type, as_text(audio.get("data")), path=path, raw=raw, cache=cache)
    if kind == "file":
        return _file(raw, path, cache)
    if kind == "thinking":
        return Thinking(readable(raw.get("thinking")), path=path, raw=raw)
    return Unknown(kind=kind, dialect=DIALECT, text=readable(value), path=path, raw=value, cache=cache)


def _file(raw: JsonObject, path: Path, cache: CacheMarker | None) -> Media:
    file = as_object(raw.get("file"))
    name = as_name(file.get("filename"))
    if as_name(file.get("file_id")):
        return Media("document", file_id=as_text(file["file_id"]), name=name, path=path, raw=raw, cache=cache)
    return url_media("document", as_text(file.get("file_data")), path=path, raw=raw, cache=cache, name=name)


def url_media(
    kind: str,
    url: str,
    *,
    path: Path,
    raw: Json,
    cache: CacheMarker | None = None,
    detail: str | None = None,
    name: str | None = None,
) -> Media:
    """A medium given by URL or data URL (or, by some clients, as bare base64)."""
    inline = split_data_url(url)
    fields: JsonObject = {"path": path, "raw": raw, "cache": cache, "detail": detail, "name": name}
    if inline is not None:
        return Media(kind, inline[0], inline[1], **fields)
    if "://" in url[:20]:
        return Media(kind, url=url, **fields)
    return Media(kind, data=url, **fields)


def read_call(value: Json, path: Path) -> ToolCall:
    raw = as_object(value)
    custom = raw.get("type") == "custom"
    inner = as_object(raw.get("custom" if custom else "function"))
    text = inner.get("input" if custom else "arguments")
    arguments: JsonObject | str = as_text(text)
    if not custom:
        # Some servers send the object itself instead of its text.
        arguments = text if isinstance(text, dict) else parse_arguments(as_text(text))
    return ToolCall(
        id=as_text(raw.get("id")),
        name=as_text(inner.get("name")),
        arguments=arguments,
        kind="custom" if custom else "function",
        signature=google_signature(raw),
        path=path,
        raw=raw,
    )


def google_signature(raw: JsonObject) -> Signature | None:
    """Where Gemini's own Chat Completions endpoint puts its thought signatures."""
    google = as_object(as_object(raw.get("extra_content")).get("google"))
    value = as_name(google.get("thought_signature"))
    return Signature(value, "gemini") if value else None


def read_reasoning(raw: JsonObject, path: Path) -> list[Block]:
    """The thinking of a message, by whichever of the three spellings is there."""
    details = as_list(raw.get("reasoning_details"))
    blocks: list[Block] = []
    for index, item in enumerate(details):
        detail = as_object(item)
        at = (*path, "reasoning_details", index)
        text = as_text(detail.get("text")) or as_text(detail.get("summary"))
        kind = detail.get("type")
        sign = as_name(detail.get("data" if kind == "reasoning.encrypted" else "signature"))
        blocks.append(
            Thinking(
                text,
                redacted=kind == "reasoning.encrypted",
                summary=kind == "reasoning.summary",
                signature=unwrap(sign, DIALECT) if sign else None,
                path=at,
                raw=item,
            )
        )
    for name in ("reasoning_content", "reasoning"):
        if not blocks and as_name(raw.get(name)):
            blocks.append(Thinking(raw[name], path=(*path, name), raw=raw[name]))
    return blocks


def decode_response(body: bytes, status: int = 200) -> Response:
    raw, diagnostics = read_object(body, DIALECT)
    if is_error(raw, status):
        return Response(DIALECT, error=read_error(raw, status), outcome=Outcome.ERROR, raw=raw, diagnostics=diagnostics)
    if diagnostics:
        return Response(DIALECT, outcome=Outcome.TRUNCATED, diagnostics=diagnostics)
    return read_response(raw)


def read_response(raw: JsonObject) -> Response:
    choices = [as_object(choice) for choice in as_list(raw.get("choices"))]
    candidates = [
        read_message(choice.get("message"), ("choices", index, "message")).blocks
        for index, choice in enumerate(choices)
    ]
    word = choices[0].get("finish_reason") if choices else None
    return Response(
        dialect=DIALECT,
        id=as_name(raw.get("id")),
        model=as_name(raw.get("model")),
        blocks=candidates[0] if candidates else (),
        alternatives=tuple(candidates[1:]),
        stop_reason=stop_reason(word),
        stop_detail=as_name(word),
        usage=openai_chat_usage(raw.get("usage")),
        service_tier=as_name(raw.get("service_tier")),
        created=as_number(raw.get("created")),
        extra=leftover(raw, _RESPONSE_FIELDS),
        raw=raw,
    )
