"""OpenAI Responses: requests and buffered answers into the neutral model. Source: the types of the official SDK."""

from __future__ import annotations

from dataclasses import replace

from ccinspect.wire.apierror import is_error, read_error
from ccinspect.wire.codec import leftover, names, read_object
from ccinspect.wire.jsontext import as_bool, as_count, as_list, as_name, as_number, as_object, as_text
from ccinspect.wire.model import (
    Block,
    Json,
    JsonObject,
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
    Tool,
    ToolCall,
    ToolChoice,
)
from ccinspect.wire.openai_responses.items import DIALECT, read_item
from ccinspect.wire.signatures import attach_carried, is_carrier
from ccinspect.wire.usage import openai_responses_usage

_REQUEST_FIELDS = names(
    "type model input instructions tools tool_choice parallel_tool_calls max_output_tokens temperature top_p stream "
    "reasoning text previous_response_id conversation user service_tier generate store include stream_id"
)
_RESPONSE_FIELDS = names(
    "id object created_at status model output usage error incomplete_details service_tier tools tool_choice "
    "parallel_tool_calls temperature top_p instructions previous_response_id reasoning text max_output_tokens"
)
_MAX_NAMESPACES = 2

INCOMPLETE = {
    "max_output_tokens": StopReason.MAX_TOKENS,
    "content_filter": StopReason.CONTENT_FILTER,
    "max_messages": StopReason.PAUSE,
    "steered": StopReason.PAUSE,
}


def decode_request(body: bytes, path: str = "") -> Request:
    """A request body, or a client's WebSocket message."""
    raw, diagnostics = read_object(body, DIALECT)
    return replace(read_request(raw, path), diagnostics=diagnostics)


def read_request(raw: JsonObject, path: str = "") -> Request:
    if raw.get("type") == "response.create" and isinstance(raw.get("response"), dict):
        # The form of the first WebSocket beta.
        raw = {**raw["response"], "type": "response.create"}
    messages = read_input(raw.get("input"))
    instructions = as_text(raw.get("instructions"))
    conversation = raw.get("conversation")
    socket = raw.get("type") == "response.create"
    return Request(
        dialect=DIALECT,
        kind=_kind(raw, path),
        model=as_name(raw.get("model")),
        system=(Text(instructions, path=("instructions",), raw=instructions),) if instructions else (),
        messages=messages,
        tools=tuple(_all_tools(raw)),
        tool_choice=_tool_choice(raw),
        sampling=Sampling(
            max_tokens=as_count(raw.get("max_output_tokens")),
            temperature=as_number(raw.get("temperature")),
            top_p=as_number(raw.get("top_p")),
        ),
        reasoning=_reasoning(raw.get("reasoning")),
        output=_output_format(raw.get("text")),
        stream=raw.get("stream") is True or socket,
        previous_response_id=as_name(raw.get("previous_response_id")),
        conversation_id=as_name(conversation) or as_name(as_object(conversation).get("id")),
        user=as_name(raw.get("user")),
        service_tier=as_name(raw.get("service_tier")),
        extra=leftover(raw, _REQUEST_FIELDS) | _verbosity(raw),
        path=path,
        raw=raw,
    )


def _kind(raw: JsonObject, path: str) -> str:
    where = path.partition("?")[0].rstrip("/")
    if raw.get("generate") is False:
        return "warm_up"
    if where.endswith("/input_tokens"):
        return "count_tokens"
    return "compact" if where.endswith("/compact") else "generate"


def _verbosity(raw: JsonObject) -> JsonObject:
    text = leftover(as_object(raw.get("text")), frozenset(("format",)))
    return {"text": text} if text else {}


def read_input(value: Json) -> tuple[Message, ...]:
    if isinstance(value, str):
        return (Message("user", (Text(value, path=("input",), raw=value),), path=("input",), raw=value),)
    out: list[Message] = []
    carried: Signature | None = None
    for index, item in enumerate(as_list(value)):
        message = read_item(item, ("input", index))
        if len(message.blocks) == 1 and is_carrier(message.blocks[0]):
            carried = message.blocks[0].signature
            continue
        if carried is not None and message.blocks:
            first = replace(message.blocks[0], signature=carried)
            message = replace(message, blocks=(first, *message.blocks[1:]))
        carried = None
        out.append(message)
    return tuple(out)


def _all_tools(raw: JsonObject) -> list[Tool]:
    """The `tools`, and those that `additional_tools` items bring in the midst of the input."""
    tools = [tool for index, item in enumerate(as_list(raw.get("tools"))) for tool in _tools(item, ("tools", index))]
    for index, item in enumerate(as_list(raw.get("input"))):
        if isinstance(item, dict) and item.get("type") == "additional_tools":
            for number, tool in enumerate(as_list(item.get("tools"))):
                tools += _tools(tool, ("input", index, "tools", number))
    return tools


def _tools(value: Json, path: Path, namespace: str | None = None, depth: int = 0) -> list[Tool]:
    raw = as_object(value)
    kind = as_text(raw.get("type"))
    if kind == "namespace" and depth < _MAX_NAMESPACES:
        inner = as_name(raw.get("name"))
        return [
            tool
            for index, item in enumerate(as_list(raw.get("tools")))
            for tool in _tools(item, (*path, "tools", index), inner, depth + 1)
        ]
    schema = raw.get("parameters")
    plain = kind in ("function", "custom")
    return [
        Tool(
            name=as_text(raw.get("name")) or as_text(raw.get("server_label")) or kind,
            description=as_name(raw.get("description")),
            schema=schema if isinstance(schema, dict) else None,
            kind=kind,
            strict=as_bool(raw.get("strict")),
            server=namespace or as_name(raw.get("server_label")),
            extra=leftover(raw, _TOOL_FIELDS) if plain else raw,
            path=path,
            raw=raw,
        )
    ]


_TOOL_FIELDS = names("type name description parameters strict")


def _tool_choice(raw: JsonObject) -> ToolChoice | None:
    choice = raw.get("tool_choice")
    parallel = as_bool(raw.get("parallel_tool_calls"))
    if isinstance(choice, str):
        return ToolChoice(choice if choice in ("auto", "none", "required") else "auto", (), parallel)
    if not isinstance(choice, dict):
        return ToolChoice("auto", (), parallel) if parallel is not None else None
    if choice.get("type") == "allowed_tools":
        listed = tuple(as_text(as_object(tool).get("name")) for tool in as_list(choice.get("tools")))
        return ToolChoice("required" if choice.get("mode") == "required" else "auto", listed, parallel)
    return ToolChoice("tool", (as_text(choice.get("name")) or as_text(choice.get("type")),), parallel)


def _reasoning(value: Json) -> Reasoning | None:
    raw = as_object(value)
    effort, summary = as_name(raw.get("effort")), as_name(raw.get("summary"))
    if effort is None and summary is None:
        return None
    return Reasoning(enabled=None if effort is None else effort != "none", effort=effort, summary=summary)


def _output_format(value: Json) -> OutputFormat | None:
    raw = as_object(as_object(value).get("format"))
    if raw.get("type") == "json_object":
        return OutputFormat("json")
    if raw.get("type") != "json_schema":
        return None
    return OutputFormat(
        "json_schema", as_object(raw.get("schema")), as_name(raw.get("name")), as_bool(raw.get("strict"))
    )


def decode_response(body: bytes, status: int = 200) -> Response:
    raw, diagnostics = read_object(body, DIALECT)
    if is_error(raw, status) and raw.get("object") != "response":
        return Response(DIALECT, error=read_error(raw, status), outcome=Outcome.ERROR, raw=raw, diagnostics=diagnostics)
    if diagnostics:
        return Response(DIALECT, outcome=Outcome.TRUNCATED, diagnostics=diagnostics)
    return read_response(raw)


def read_response(raw: JsonObject) -> Response:
    blocks = [
        block
        for index, item in enumerate(as_list(raw.get("output")))
        for block in read_item(item, ("output", index)).blocks
    ]
    blocks = attach_carried(blocks)
    reason, detail = stop_reason(raw, blocks)
    failed = raw.get("status") == "failed"
    counting = raw.get("object") == "response.input_tokens"
    return Response(
        dialect=DIALECT,
        id=as_name(raw.get("id")),
        model=as_name(raw.get("model")),
        blocks=tuple(blocks),
        stop_reason=reason,
        stop_detail=detail,
        usage=openai_responses_usage(raw.get("usage")),
        error=read_error({"error": raw.get("error")}) if failed else None,
        outcome=Outcome.ERROR if failed else Outcome.COMPLETE,
        service_tier=as_name(raw.get("service_tier")),
        created=as_number(raw.get("created_at")),
        count=as_count(raw.get("input_tokens")) if counting else None,
        extra=leftover(raw, _RESPONSE_FIELDS),
        raw=raw,
    )


def stop_reason(raw: JsonObject, blocks: list[Block]) -> tuple[StopReason | None, str | None]:
    """(reason, the wire's word). A completed answer does not say whether it waits for tools: its blocks do."""
    status = as_name(raw.get("status"))
    if status == "incomplete":
        word = as_name(as_object(raw.get("incomplete_details")).get("reason"))
        return INCOMPLETE.get(word or "", StopReason.OTHER), word or status
    if status in ("failed", "cancelled"):
        return StopReason.ERROR, status
    if status != "completed":
        return None, status
    if any(isinstance(block, ToolCall) and block.executor == "client" for block in blocks):
        return StopReason.TOOL_USE, status
    if any(isinstance(block, Refusal) for block in blocks):
        return StopReason.REFUSAL, status
    return StopReason.END_TURN, status
