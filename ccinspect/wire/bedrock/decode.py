"""Amazon Bedrock: requests and buffered answers into the neutral model. Source: the service's model in botocore."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import unquote

from ccinspect.wire.anthropic import decode as anthropic
from ccinspect.wire.apierror import read_error
from ccinspect.wire.codec import leftover, names, read_object, readable
from ccinspect.wire.jsontext import as_count, as_list, as_name, as_number, as_object, as_text, dump_text
from ccinspect.wire.media import media_type_of
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
from ccinspect.wire.usage import converse_usage

DIALECT = "bedrock"
SIGNER = anthropic.DIALECT
"""Anthropic's signatures are good on all its platforms."""
_PATH = re.compile(r"/model/([^/?]+)/([a-z-]+)")

STOP_REASONS = anthropic.STOP_REASONS | {
    "guardrail_intervened": StopReason.CONTENT_FILTER,
    "content_filtered": StopReason.CONTENT_FILTER,
    "malformed_model_output": StopReason.ERROR,
    "malformed_tool_use": StopReason.ERROR,
}

_REQUEST_FIELDS = names("messages system inferenceConfig toolConfig outputConfig")
_RESPONSE_FIELDS = names("output stopReason usage metrics")


def decode_request(body: bytes, path: str = "") -> Request:
    raw, diagnostics = read_object(body, DIALECT)
    match = _PATH.search(path)
    model, action = (unquote(match[1]), match[2]) if match else (None, "")
    inner = as_object(raw.get("input"))
    if action == "count-tokens":
        raw = as_object(inner.get("converse")) or as_object(inner.get("invokeModel")) or raw
    request = _read_request(raw, action)
    return replace(
        request,
        dialect=DIALECT,
        kind="count_tokens" if action == "count-tokens" else request.kind,
        model=model or request.model,
        stream=action.endswith("stream"),
        path=path,
        diagnostics=diagnostics,
    )


def _read_request(raw: JsonObject, action: str) -> Request:
    if "anthropic_version" in raw or (action.startswith("invoke") and "max_tokens" in raw and "messages" in raw):
        return anthropic.read_request(raw)
    if "messages" in raw or action.startswith("converse"):
        return _converse_request(raw)
    # InvokeModel takes each model's own body; those of other vendors have a prompt of some name.
    prompt = as_text(raw.get("prompt")) or as_text(raw.get("inputText"))
    name = "prompt" if "prompt" in raw else "inputText"
    blocks = (Text(prompt, path=(name,), raw=prompt),) if prompt else ()
    kind = "embeddings" if prompt and name == "inputText" and "textGenerationConfig" not in raw else "generate"
    messages = (Message("user", blocks, path=(name,), raw=prompt),) if blocks else ()
    return Request(DIALECT, kind, messages=messages, extra=leftover(raw, names("prompt inputText")), raw=raw)


def _converse_request(raw: JsonObject) -> Request:
    config = as_object(raw.get("inferenceConfig"))
    tools = as_object(raw.get("toolConfig"))
    further = as_object(raw.get("additionalModelRequestFields"))
    return Request(
        dialect=DIALECT,
        system=read_blocks(raw.get("system"), ("system",)),
        messages=tuple(_message(item, ("messages", i)) for i, item in enumerate(as_list(raw.get("messages")))),
        tools=tuple(_tools(tools.get("tools"))),
        tool_choice=_tool_choice(tools.get("toolChoice")),
        sampling=Sampling(
            max_tokens=as_count(config.get("maxTokens")),
            temperature=as_number(config.get("temperature")),
            top_p=as_number(config.get("topP")),
            stop=tuple(stop for stop in as_list(config.get("stopSequences")) if isinstance(stop, str)),
        ),
        reasoning=_reasoning(further),
        output=_output(as_object(raw.get("outputConfig"))),
        extra=leftover(raw, _REQUEST_FIELDS),
        raw=raw,
    )


def _reasoning(further: JsonObject) -> Reasoning | None:
    thinking = as_object(further.get("thinking")) or as_object(further.get("reasoning_config"))
    if not thinking:
        return None
    return Reasoning(thinking.get("type") != "disabled", as_count(thinking.get("budget_tokens")))


def _output(config: JsonObject) -> OutputFormat | None:
    form = as_object(as_object(config.get("textFormat")).get("structure"))
    schema = as_object(as_object(form.get("jsonSchema")).get("schema"))
    return OutputFormat("json_schema", schema) if schema else None


def _message(value: Json, path: Path) -> Message:
    raw = as_object(value)
    extra = leftover(raw, names("role content"))
    blocks = read_blocks(raw.get("content"), (*path, "content"))
    return Message(as_text(raw.get("role")), blocks, extra=extra, path=path, raw=raw)


def read_blocks(content: Json, path: Path) -> tuple[Block, ...]:
    """The blocks of a list; a cache point marks the block before it."""
    blocks: list[Block] = []
    for index, item in enumerate(as_list(content)):
        raw = as_object(item)
        point = raw.get("cachePoint")
        if isinstance(point, dict) and blocks:
            blocks[-1] = replace(blocks[-1], cache=CacheMarker(as_name(point.get("ttl"))))
        else:
            blocks.append(read_block(item, (*path, index)))
    return tuple(blocks)


def read_block(value: Json, path: Path) -> Block:
    raw = as_object(value)
    if isinstance(raw.get("text"), str):
        return Text(raw["text"], path=path, raw=raw, extra=leftover(raw, frozenset(("text",))))
    for name, reader in _BLOCKS.items():
        inner = raw.get(name)
        if isinstance(inner, dict):
            return reader(inner, raw, path)
    kind = next(iter(raw), "")
    return Unknown(kind=str(kind), dialect=DIALECT, text=readable(value), path=path, raw=value)


def _call(inner: JsonObject, raw: JsonObject, path: Path) -> Block:
    arguments = inner.get("input")
    server = inner.get("type") == "server_tool_use"
    return ToolCall(
        id=as_text(inner.get("toolUseId")),
        name=as_text(inner.get("name")),
        arguments=arguments if isinstance(arguments, dict | str) else {},
        executor="provider" if server else "client",
        kind="server_tool_use" if server else "function",
        path=path,
        raw=raw,
    )


def _result(inner: JsonObject, raw: JsonObject, path: Path) -> Block:
    content: list[Block] = []
    for index, item in enumerate(as_list(inner.get("content"))):
        at = (*path, "toolResult", "content", index)
        item = as_object(item)
        if "json" in item:
            content.append(Text(dump_text(item["json"]), path=at, raw=item))
        elif "toolResult" not in item:
            content.append(read_block(item, at))
    return ToolResult(
        call_id=as_text(inner.get("toolUseId")),
        content=tuple(content),
        is_error=inner.get("status") == "error",
        path=path,
        raw=raw,
    )


def _media(kind: str) -> Callable[[JsonObject, JsonObject, Path], Block]:
    def read(inner: JsonObject, raw: JsonObject, path: Path) -> Block:
        source = as_object(inner.get("source"))
        location = as_name(as_object(source.get("s3Location")).get("uri"))
        text = source.get("text")
        return Media(
            kind,
            media_type_of(as_text(inner.get("format")), kind) if as_name(inner.get("format")) else None,
            data=as_text(source.get("bytes")) if "bytes" in source else None,
            url=location,
            text=text if isinstance(text, str) else None,
            name=as_name(inner.get("name")),
            context=as_name(inner.get("context")),
            path=path,
            raw=raw,
        )

    return read


def _reasoning_block(inner: JsonObject, raw: JsonObject, path: Path) -> Block:
    sealed = as_name(inner.get("redactedContent"))
    if sealed:
        return Thinking(redacted=True, signature=Signature(sealed, SIGNER), path=path, raw=raw)
    told = as_object(inner.get("reasoningText"))
    sign = as_name(told.get("signature"))
    signature = Signature(sign, SIGNER) if sign else None
    return Thinking(as_text(told.get("text")), path=path, raw=raw, signature=signature)


def _cited(inner: JsonObject, raw: JsonObject, path: Path) -> Block:
    text = "".join(as_text(as_object(item).get("text")) for item in as_list(inner.get("content")))
    return Text(text, tuple(map(read_citation, as_list(inner.get("citations")))), path=path, raw=raw)


def read_citation(value: Json) -> Citation:
    raw = as_object(value)
    words = "".join(as_text(as_object(item).get("text")) for item in as_list(raw.get("sourceContent")))
    web = as_object(as_object(raw.get("location")).get("web"))
    return Citation(as_name(raw.get("title")), as_name(web.get("url")), words or None, raw=raw)


_BLOCKS: dict[str, Callable[[JsonObject, JsonObject, Path], Block]] = {
    "toolUse": _call,
    "toolResult": _result,
    "image": _media("image"),
    "document": _media("document"),
    "video": _media("video"),
    "audio": _media("audio"),
    "reasoningContent": _reasoning_block,
    "citationsContent": _cited,
}


def _tools(value: Json) -> list[Tool]:
    tools: list[Tool] = []
    for index, item in enumerate(as_list(value)):
        raw = as_object(item)
        path: Path = ("toolConfig", "tools", index)
        spec = as_object(raw.get("toolSpec"))
        if isinstance(raw.get("cachePoint"), dict) and tools:
            tools[-1] = replace(tools[-1], cache=CacheMarker(as_name(raw["cachePoint"].get("ttl"))))
        elif spec:
            schema = as_object(spec.get("inputSchema")).get("json")
            described = as_name(spec.get("description"))
            tool = Tool(as_text(spec.get("name")), described, schema if isinstance(schema, dict) else None)
            tools.append(replace(tool, path=path, raw=raw))
        else:
            kind = next(iter(raw), "")
            name = as_text(as_object(raw.get(kind)).get("name")) or str(kind)
            tools.append(Tool(name, kind=str(kind), path=path, raw=raw, extra=raw))
    return tools


def _tool_choice(value: Json) -> ToolChoice | None:
    raw = as_object(value)
    if isinstance(raw.get("tool"), dict):
        return ToolChoice("tool", (as_text(raw["tool"].get("name")),))
    return ToolChoice("required") if "any" in raw else ToolChoice("auto") if "auto" in raw else None


def decode_response(body: bytes, status: int = 200) -> Response:
    raw, diagnostics = read_object(body, DIALECT)
    if status >= 400 or raw.get("type") == "error":
        return Response(DIALECT, error=read_error(raw, status), outcome=Outcome.ERROR, raw=raw, diagnostics=diagnostics)
    if diagnostics:
        return Response(DIALECT, outcome=Outcome.TRUNCATED, diagnostics=diagnostics)
    if "output" in raw and isinstance(raw["output"], dict):
        return _converse_response(raw)
    if raw.get("type") == "message":
        return replace(anthropic.read_response(raw), dialect=DIALECT)
    text = as_text(raw.get("generation")) or as_text(raw.get("outputText"))
    blocks = (Text(text, path=("generation",), raw=text),) if text else ()
    return Response(DIALECT, blocks=blocks, count=as_count(raw.get("inputTokens")), extra=raw, raw=raw)


def _converse_response(raw: JsonObject) -> Response:
    message = as_object(as_object(raw.get("output")).get("message"))
    word = as_name(raw.get("stopReason"))
    return Response(
        dialect=DIALECT,
        blocks=read_blocks(message.get("content"), ("output", "message", "content")),
        stop_reason=None if word is None else STOP_REASONS.get(word, StopReason.OTHER),
        stop_detail=word,
        usage=converse_usage(raw.get("usage")),
        extra=leftover(raw, _RESPONSE_FIELDS),
        raw=raw,
    )
