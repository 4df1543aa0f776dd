"""Google Gemini: requests and buffered answers into the neutral model.

Source: the Gemini API reference and the types of the official SDK. Field names are read in both of the spellings the
API takes (`inlineData`, `inline_data`). Code Assist (`v1internal`) wraps request and answer in an envelope.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from ccinspect.wire.apierror import is_error, read_error
from ccinspect.wire.codec import leftover, names, object_of, read_object, readable
from ccinspect.wire.gemini.config import (
    field,
    read_output_format,
    read_reasoning,
    read_sampling,
    read_tool_choice,
    read_tools,
)
from ccinspect.wire.jsontext import as_count, as_list, as_name, as_object, as_text, dump_text, parse
from ccinspect.wire.media import kind_of
from ccinspect.wire.model import (
    Block,
    Citation,
    Json,
    JsonObject,
    Media,
    Message,
    Outcome,
    Path,
    Request,
    Response,
    Signature,
    StopReason,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Unknown,
)
from ccinspect.wire.signatures import is_redacted, unwrap
from ccinspect.wire.usage import gemini_usage

DIALECT = "gemini"
NO_SIGNATURE = "skip_thought_signature_validator"
"""What Google's documentation gives for calls that no Gemini model has made."""

STOP_REASONS = {
    "STOP": StopReason.END_TURN,
    "MAX_TOKENS": StopReason.MAX_TOKENS,
    "SAFETY": StopReason.CONTENT_FILTER,
    "RECITATION": StopReason.CONTENT_FILTER,
    "BLOCKLIST": StopReason.CONTENT_FILTER,
    "PROHIBITED_CONTENT": StopReason.CONTENT_FILTER,
    "SPII": StopReason.CONTENT_FILTER,
    "IMAGE_SAFETY": StopReason.CONTENT_FILTER,
    "MODEL_ARMOR": StopReason.CONTENT_FILTER,
    "MALFORMED_FUNCTION_CALL": StopReason.ERROR,
    "MALFORMED_RESPONSE": StopReason.ERROR,
    "UNEXPECTED_TOOL_CALL": StopReason.ERROR,
}

_KINDS = {
    "generateContent": "generate",
    "streamGenerateContent": "generate",
    "countTokens": "count_tokens",
    "embedContent": "embeddings",
    "batchEmbedContents": "embeddings",
    "predict": "embeddings",
    "batchGenerateContent": "batch",
}
_MODEL = re.compile(r"/(?:models|tunedModels|endpoints)/([^/:?]+)")
_METHOD = re.compile(r":([A-Za-z]+)(?:\?|$)")

_REQUEST_FIELDS = names(
    "model contents systemInstruction system_instruction tools toolConfig tool_config generationConfig "
    "generation_config request"
)
_CONFIG_FIELDS = names(
    "maxOutputTokens temperature topP topK stopSequences seed presencePenalty frequencyPenalty candidateCount "
    "responseMimeType responseSchema responseJsonSchema thinkingConfig"
)
_PART_FIELDS = names("text thought thoughtSignature thought_signature")
_CALL_FIELDS = names("functionCall function_call thoughtSignature thought_signature")
_RESULT_FIELDS = names("functionResponse function_response thoughtSignature thought_signature")
_MEDIA_FIELDS = names("inlineData inline_data fileData file_data thoughtSignature thought_signature")
_RESPONSE_FIELDS = names("candidates usageMetadata modelVersion responseId error totalTokens")
_CANDIDATE_FIELDS = names("content finishReason index citationMetadata")


def decode_request(body: bytes, path: str = "") -> Request:
    raw, diagnostics = read_object(body, DIALECT)
    return replace(read_request(raw, path), diagnostics=diagnostics)


def read_request(raw: JsonObject, path: str = "") -> Request:
    inner, at = unwrapped_request(raw)
    method = _METHOD.search(path)
    kind = _KINDS.get(method[1], "other") if method else "generate"
    in_path = _MODEL.search(path)
    model = as_name(raw.get("model")) or as_name(inner.get("model")) or (in_path[1] if in_path else None)
    config = as_object(field(inner, "generationConfig"))
    contents = inner.get("contents", inner.get("content"))
    if isinstance(contents, dict | str):
        contents = [contents]
    return Request(
        dialect=DIALECT,
        kind=kind,
        model=model.removeprefix("models/") if model else None,
        system=_system(field(inner, "systemInstruction"), (*at, "systemInstruction")),
        messages=tuple(
            _content(item, (*at, "contents", index)) for index, item in enumerate(as_list(contents)) if item
        ),
        tools=tuple(read_tools(inner.get("tools"), (*at, "tools"))),
        tool_choice=read_tool_choice(field(inner, "toolConfig")),
        sampling=read_sampling(config),
        reasoning=read_reasoning(field(config, "thinkingConfig")),
        output=read_output_format(config),
        stream=method is not None and method[1] == "streamGenerateContent",
        extra=leftover(raw, _REQUEST_FIELDS) | leftover(inner, _REQUEST_FIELDS) | _config_extra(config),
        path=path,
        raw=raw,
    )


def unwrapped_request(raw: JsonObject) -> tuple[JsonObject, Path]:
    """(the request proper, where it stands): Code Assist has it under `request`."""
    inner = raw.get("request")
    if isinstance(inner, dict) and "contents" not in raw:
        return inner, ("request",)
    return raw, ()


def _config_extra(config: JsonObject) -> JsonObject:
    extra = leftover(config, _CONFIG_FIELDS)
    return {"generationConfig": extra} if extra else {}


def _system(value: Json, path: Path) -> tuple[Block, ...]:
    if isinstance(value, str):
        return (Text(value, path=path, raw=value),) if value else ()
    return _parts(as_object(value), path)


def _parts(raw: JsonObject, path: Path) -> tuple[Block, ...]:
    """The parts of a content; Google takes a single one without its list, and once documented it so."""
    parts = raw.get("parts")
    told = [parts] if isinstance(parts, dict) else as_list(parts)
    return tuple(read_part(part, (*path, "parts", index)) for index, part in enumerate(told))


def _content(value: Json, path: Path) -> Message:
    if isinstance(value, str):
        return Message("user", (Text(value, path=path, raw=value),), path=path, raw=value)
    raw = as_object(value)
    role = {"model": "assistant", "function": "tool"}.get(as_text(raw.get("role")), as_text(raw.get("role")) or "user")
    return Message(role, _parts(raw, path), extra=leftover(raw, names("role parts")), path=path, raw=raw)


def _signature(raw: JsonObject) -> Signature | None:
    text = as_name(field(raw, "thoughtSignature"))
    return unwrap(text, DIALECT) if text and text != NO_SIGNATURE else None


def read_part(value: Json, path: Path) -> Block:
    raw = as_object(value)
    for name, reader in _PARTS.items():
        inner = field(raw, name)
        if isinstance(inner, dict):
            return reader(raw, inner, path)
    if isinstance(raw.get("text"), str):
        signature, extra = _signature(raw), leftover(raw, _PART_FIELDS)
        if raw.get("thought") is True:
            redacted = is_redacted(field(raw, "thoughtSignature"), DIALECT)
            return Thinking(raw["text"], redacted, path=path, raw=raw, signature=signature, extra=extra)
        return Text(raw["text"], path=path, raw=raw, signature=signature, extra=extra)
    kind = next((key for key in raw if isinstance(key, str)), "")
    return Unknown(kind=kind, dialect=DIALECT, text=readable(value), path=path, raw=value, signature=_signature(raw))


def _call(raw: JsonObject, inner: JsonObject, path: Path) -> Block:
    return ToolCall(
        id=as_text(inner.get("id")),
        name=as_text(inner.get("name")),
        arguments=as_object(inner.get("args")),
        path=path,
        raw=raw,
        signature=_signature(raw),
        extra=leftover(raw, _CALL_FIELDS),
    )


def _result(raw: JsonObject, inner: JsonObject, path: Path) -> Block:
    response = as_object(inner.get("response"))
    at = (*path, "functionResponse", "response")
    content: list[Block] = []
    failed = False
    if response:
        text, failed = _result_text(response)
        content.append(Text(text, path=at, raw=response))
    for index, part in enumerate(as_list(inner.get("parts"))):
        content.append(read_part(part, (*path, "functionResponse", "parts", index)))
    return ToolResult(
        call_id=as_text(inner.get("id")),
        name=as_name(inner.get("name")),
        content=tuple(content),
        is_error=failed,
        path=path,
        raw=raw,
        extra=leftover(raw, _RESULT_FIELDS),
    )


def _result_text(response: JsonObject) -> tuple[str, bool]:
    """(text, is it an error). By convention text goes under `output`, an error's under `error`."""
    if response.keys() == {"output"} and isinstance(response["output"], str):
        return response["output"], False
    if response.keys() == {"error"} and isinstance(response["error"], str):
        return response["error"], True
    return dump_text(response), False


def _media(raw: JsonObject, inner: JsonObject, path: Path) -> Block:
    media_type = as_name(field(inner, "mimeType"))
    uri = as_name(field(inner, "fileUri"))
    return Media(
        kind_of(media_type),
        media_type,
        data=None if uri else as_text(inner.get("data")),
        url=uri,
        name=as_name(field(inner, "displayName")),
        path=path,
        raw=raw,
        signature=_signature(raw),
        extra=leftover(raw, _MEDIA_FIELDS),
    )


def _code(raw: JsonObject, inner: JsonObject, path: Path) -> Block:
    signature = _signature(raw)
    call_id, code = as_text(inner.get("id")), as_text(inner.get("code"))
    return ToolCall(
        call_id, "code_execution", code, None, "provider", "executableCode", path=path, raw=raw, signature=signature
    )


def _code_result(raw: JsonObject, inner: JsonObject, path: Path) -> Block:
    failed = as_text(inner.get("outcome")) not in ("OUTCOME_OK", "")
    content = (Text(as_text(inner.get("output"))),)
    call_id = as_text(inner.get("id"))
    kind = "codeExecutionResult"
    return ToolResult(call_id, "code_execution", content, failed, "provider", kind, path=path, raw=raw)


def _server_call(raw: JsonObject, inner: JsonObject, path: Path) -> Block:
    name, arguments = as_text(field(inner, "toolType")), as_object(inner.get("args"))
    call_id = as_text(inner.get("id"))
    signature = _signature(raw)
    return ToolCall(call_id, name, arguments, None, "provider", "toolCall", path=path, raw=raw, signature=signature)


def _server_result(raw: JsonObject, inner: JsonObject, path: Path) -> Block:
    content = (Text(readable(inner.get("response"))),)
    name = as_name(field(inner, "toolType"))
    call_id = as_text(inner.get("id"))
    signature = _signature(raw)
    return ToolResult(
        call_id, name, content, False, "provider", "toolResponse", path=path, raw=raw, signature=signature
    )


_PARTS: dict[str, Callable[[JsonObject, JsonObject, Path], Block]] = {
    "functionCall": _call,
    "functionResponse": _result,
    "inlineData": _media,
    "fileData": _media,
    "executableCode": _code,
    "codeExecutionResult": _code_result,
    "toolCall": _server_call,
    "toolResponse": _server_result,
}


def decode_response(body: bytes, status: int = 200) -> Response:
    value, problem = parse(body)
    if isinstance(value, list) and status < 400 and not (value and as_object(value[0]).get("error")):
        return _whole_stream(body)
    if isinstance(value, list):
        value = value[0] if value else {}
    raw, found = object_of(value, problem, DIALECT)
    if is_error(raw, status):
        return Response(DIALECT, error=read_error(raw, status), outcome=Outcome.ERROR, raw=value, diagnostics=found)
    if found:
        return Response(DIALECT, outcome=Outcome.TRUNCATED, diagnostics=found)
    return read_response(raw)


def _whole_stream(body: bytes) -> Response:
    """A streamed answer that was kept as one JSON array."""
    from ccinspect.wire.gemini.stream import open_stream

    stream = open_stream("application/json")
    stream.feed(body)
    return stream.close("eof")


def read_response(raw: JsonObject) -> Response:
    inner = raw
    at: Path = ()
    if isinstance(raw.get("response"), dict) and "candidates" not in raw:
        inner, at = raw["response"], ("response",)
    candidates = [as_object(candidate) for candidate in as_list(inner.get("candidates"))]
    blocks = [
        _cited(_content(candidate.get("content"), (*at, "candidates", index, "content")).blocks, candidate)
        for index, candidate in enumerate(candidates)
    ]
    first = blocks[0] if blocks else ()
    reason, word = stop_reason(inner, candidates[0] if candidates else {}, first)
    version = as_name(inner.get("modelVersion"))
    extra = leftover(inner, _RESPONSE_FIELDS)
    if candidates:
        extra = extra | leftover(candidates[0], _CANDIDATE_FIELDS)
    return Response(
        dialect=DIALECT,
        id=as_name(inner.get("responseId")),
        model=version,
        blocks=first,
        alternatives=tuple(blocks[1:]),
        stop_reason=reason,
        stop_detail=word,
        usage=gemini_usage(inner.get("usageMetadata")),
        count=as_count(inner.get("totalTokens")),
        extra=extra,
        raw=raw,
    )


def stop_reason(
    response: JsonObject, candidate: JsonObject, blocks: tuple[Block, ...]
) -> tuple[StopReason | None, str | None]:
    """(reason, the wire's word). A prompt that was blocked has no candidates at all."""
    word = as_name(field(candidate, "finishReason"))
    if word is None:
        blocked = as_name(as_object(response.get("promptFeedback")).get("blockReason"))
        return (StopReason.CONTENT_FILTER, blocked) if blocked else (None, None)
    if word == "STOP" and any(isinstance(block, ToolCall) and block.executor == "client" for block in blocks):
        return StopReason.TOOL_USE, word
    return STOP_REASONS.get(word, StopReason.OTHER), word


def _cited(blocks: tuple[Block, ...], candidate: JsonObject) -> tuple[Block, ...]:
    citations = tuple(read_citations(candidate))
    first = next((index for index, block in enumerate(blocks) if isinstance(block, Text)), None)
    if not citations or first is None:
        return blocks
    block = blocks[first]
    assert isinstance(block, Text)
    return (*blocks[:first], replace(block, citations=citations), *blocks[first + 1 :])


def read_citations(candidate: JsonObject) -> list[Citation]:
    """What the text was grounded on, and what it recites."""
    chunks = as_list(as_object(candidate.get("groundingMetadata")).get("groundingChunks"))
    webs = [as_object(as_object(chunk).get("web")) for chunk in chunks]
    cited = [as_object(item) for item in as_list(as_object(candidate.get("citationMetadata")).get("citations"))]
    return [Citation(as_name(item.get("title")), as_name(item.get("uri")), raw=item) for item in (*webs, *cited)]
