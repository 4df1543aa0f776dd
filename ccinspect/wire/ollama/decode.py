"""Ollama: requests and buffered answers into the neutral model. Source: Ollama's API documentation and its client.

Requests stream unless they say otherwise.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from ccinspect.wire.apierror import read_error
from ccinspect.wire.codec import leftover, names, read_object
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
from ccinspect.wire.model import (
    Block,
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
    ToolResult,
)
from ccinspect.wire.signatures import attach_carried, is_redacted, unwrap
from ccinspect.wire.usage import ollama_usage

DIALECT = "ollama"

STOP_REASONS = {
    "stop": StopReason.END_TURN,
    "length": StopReason.MAX_TOKENS,
    "load": StopReason.OTHER,
    "unload": StopReason.OTHER,
}

_REQUEST_FIELDS = names("model messages prompt system tools stream options format think images input")
_OPTION_FIELDS = names("num_predict temperature top_p top_k stop seed presence_penalty frequency_penalty")
_MESSAGE_FIELDS = names("role content thinking thinking_signatures images tool_calls tool_name tool_call_id name")
_RESPONSE_FIELDS = names(
    "model created_at message response thinking done done_reason total_duration load_duration prompt_eval_count "
    "prompt_eval_duration eval_count eval_duration error embeddings embedding"
)
_TOOL_FIELDS = names("name description parameters")


def decode_request(body: bytes, path: str = "") -> Request:
    raw, diagnostics = read_object(body, DIALECT)
    return replace(read_request(raw, path), diagnostics=diagnostics)


def read_request(raw: JsonObject, path: str = "") -> Request:
    where = path.partition("?")[0].rstrip("/")
    options = as_object(raw.get("options"))
    embeds = where.endswith(("/embed", "/embeddings"))
    system = as_text(raw.get("system"))
    left = leftover(options, _OPTION_FIELDS)
    return Request(
        dialect=DIALECT,
        kind="embeddings" if embeds else "generate",
        model=as_name(raw.get("model")),
        system=(Text(system, path=("system",), raw=system),) if system else (),
        messages=_messages(raw),
        tools=tuple(_tool(tool, ("tools", index)) for index, tool in enumerate(as_list(raw.get("tools")))),
        sampling=_sampling(options),
        reasoning=_reasoning(raw.get("think")),
        output=_output_format(raw.get("format")),
        stream=raw.get("stream") is not False and not embeds,
        extra=leftover(raw, _REQUEST_FIELDS) | ({"options": left} if left else {}),
        path=path,
        raw=raw,
    )


def _messages(raw: JsonObject) -> tuple[Message, ...]:
    """Of `/api/chat` the messages; of `/api/generate` the prompt, of `/api/embed` the inputs, as the user's."""
    if "messages" in raw:
        return tuple(read_message(item, ("messages", index)) for index, item in enumerate(as_list(raw["messages"])))
    name = "prompt" if "prompt" in raw else "input"
    given = raw.get(name)
    blocks: list[Block] = []
    if isinstance(given, str) and given:
        blocks.append(Text(given, path=(name,), raw=given))
    for index, item in enumerate(as_list(given)):
        blocks.append(Text(as_text(item), path=(name, index), raw=item))
    blocks += _images(raw, ())
    return (Message("user", tuple(blocks), path=(name,), raw=given),) if blocks else ()


def _images(raw: JsonObject, path: Path) -> list[Block]:
    return [
        Media("image", data=as_text(image), path=(*path, "images", index), raw=image)
        for index, image in enumerate(as_list(raw.get("images")))
    ]


def read_message(value: Json, path: Path) -> Message:
    raw = as_object(value)
    role = as_text(raw.get("role"))
    blocks = _thinking(raw, path)
    if as_text(raw.get("content")):
        blocks.append(Text(as_text(raw["content"]), path=(*path, "content"), raw=raw["content"]))
    blocks += _images(raw, path)
    for index, call in enumerate(as_list(raw.get("tool_calls"))):
        blocks.append(read_call(call, (*path, "tool_calls", index)))
    extra = leftover(raw, _MESSAGE_FIELDS)
    if role == "tool":
        name = as_name(raw.get("tool_name")) or as_name(raw.get("name"))
        result = ToolResult(as_text(raw.get("tool_call_id")), name, tuple(blocks), path=path, raw=raw)
        return Message("tool", (result,), extra=extra, path=path, raw=raw)
    return Message(role, tuple(attach_carried(blocks)), extra=extra, path=path, raw=raw)


def _thinking(raw: JsonObject, path: Path) -> list[Block]:
    """Ollama's thinking has no signatures; those of other providers stand beside it in a field of ours."""
    text = as_text(raw.get("thinking"))
    at = (*path, "thinking")
    signs = [sign for sign in as_list(raw.get("thinking_signatures")) if isinstance(sign, str)]
    blocks: list[Block] = []
    for sign in signs:
        signature: Signature = unwrap(sign, DIALECT)
        blocks.append(Thinking(text, is_redacted(sign, DIALECT), path=at, raw=raw, signature=signature))
        text = ""
    return blocks if blocks or not text else [Thinking(text, path=at, raw=text)]


def read_call(value: Json, path: Path) -> ToolCall:
    raw = as_object(value)
    inner = as_object(raw.get("function"))
    arguments = inner.get("arguments")
    return ToolCall(
        id=as_text(raw.get("id")),
        name=as_text(inner.get("name")),
        arguments=arguments if isinstance(arguments, dict) else parse_arguments(as_text(arguments)),
        path=path,
        raw=raw,
    )


def _tool(value: Json, path: Path) -> Tool:
    raw = as_object(value)
    inner = as_object(raw.get("function"))
    schema = inner.get("parameters")
    return Tool(
        name=as_text(inner.get("name")),
        description=as_name(inner.get("description")),
        schema=schema if isinstance(schema, dict) else None,
        extra=leftover(inner, _TOOL_FIELDS),
        path=path,
        raw=raw,
    )


def _sampling(options: JsonObject) -> Sampling:
    stop = options.get("stop")
    return Sampling(
        # -1 is "no limit".
        max_tokens=as_count(options.get("num_predict")),
        temperature=as_number(options.get("temperature")),
        top_p=as_number(options.get("top_p")),
        top_k=as_int(options.get("top_k")),
        stop=(stop,) if isinstance(stop, str) else tuple(word for word in as_list(stop) if isinstance(word, str)),
        seed=as_int(options.get("seed")),
        presence_penalty=as_number(options.get("presence_penalty")),
        frequency_penalty=as_number(options.get("frequency_penalty")),
    )


def _reasoning(value: Json) -> Reasoning | None:
    """`think` is a switch, or (gpt-oss) an effort."""
    if isinstance(value, str) and value:
        return Reasoning(enabled=True, effort=value)
    enabled = as_bool(value)
    return None if enabled is None else Reasoning(enabled=enabled)


def _output_format(value: Json) -> OutputFormat | None:
    if isinstance(value, dict):
        return OutputFormat("json_schema", value)
    return OutputFormat("json") if value == "json" else None


def decode_response(body: bytes, status: int = 200) -> Response:
    raw, diagnostics = read_object(body, DIALECT)
    if status >= 400 or isinstance(raw.get("error"), str):
        return Response(DIALECT, error=read_error(raw, status), outcome=Outcome.ERROR, raw=raw, diagnostics=diagnostics)
    if diagnostics:
        return Response(DIALECT, outcome=Outcome.TRUNCATED, diagnostics=diagnostics)
    return read_response(raw)


def read_response(raw: JsonObject) -> Response:
    chat = "message" in raw
    blocks = read_message(raw["message"], ("message",)).blocks if chat else tuple(_generated(raw))
    vectors = raw.get("embeddings", [raw["embedding"]] if "embedding" in raw else None)
    word = as_name(raw.get("done_reason"))
    return Response(
        dialect=DIALECT,
        model=as_name(raw.get("model")),
        blocks=blocks,
        stop_reason=stop_reason(word, any(isinstance(block, ToolCall) for block in blocks)),
        stop_detail=word,
        usage=ollama_usage(raw),
        created=created(raw),
        outcome=Outcome.COMPLETE if raw.get("done") is not False else Outcome.TRUNCATED,
        count=len(as_list(vectors)) if vectors is not None else None,
        extra=leftover(raw, _RESPONSE_FIELDS),
        raw=raw,
    )


def _generated(raw: JsonObject) -> list[Block]:
    blocks: list[Block] = []
    if as_text(raw.get("thinking")):
        blocks.append(Thinking(as_text(raw["thinking"]), path=("thinking",), raw=raw["thinking"]))
    if as_text(raw.get("response")):
        blocks.append(Text(as_text(raw["response"]), path=("response",), raw=raw["response"]))
    return blocks


def stop_reason(word: str | None, calls: bool) -> StopReason | None:
    if word is None:
        return None
    if word == "stop" and calls:
        return StopReason.TOOL_USE
    return STOP_REASONS.get(word, StopReason.OTHER)


def created(raw: JsonObject) -> float | None:
    try:
        return datetime.fromisoformat(as_text(raw.get("created_at"))).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
