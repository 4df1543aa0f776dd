"""Anthropic Messages: requests, buffered answers and errors out of the neutral model."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ccinspect.wire.anthropic.decode import DIALECT, STOP_REASONS, read_block, read_request, read_response
from ccinspect.wire.anthropic.limits import without_conflicts
from ccinspect.wire.apierror import STATUS
from ccinspect.wire.codec import Encoded, Notes, coalesce, hoist_system, name_calls, patched, readable, without_none
from ccinspect.wire.jsontext import arguments_object
from ccinspect.wire.model import (
    ApiError,
    Block,
    CacheMarker,
    Citation,
    ErrorKind,
    Json,
    JsonObject,
    Media,
    Message,
    Outcome,
    Refusal,
    Request,
    Response,
    StopReason,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Unknown,
)
from ccinspect.wire.repair import choice_among, name_missing, pair_tools
from ccinspect.wire.signatures import is_own, sealed, wrap
from ccinspect.wire.usage import encode_anthropic_usage

DEFAULT_MAX_TOKENS = 8192
"""Anthropic insists on a limit; most other dialects do not."""
_MIN_BUDGET = 1024
_BAD_IN_ID = re.compile(r"[^a-zA-Z0-9_-]")
_EFFORTS = {"minimal": "low"}

STOP_WORDS = {reason: word for word, reason in reversed(STOP_REASONS.items())} | {
    StopReason.PAUSE: "pause_turn",
    StopReason.CONTENT_FILTER: "refusal",
    StopReason.ERROR: "end_turn",
    StopReason.OTHER: "end_turn",
}


def clean_id(call_id: str) -> str:
    """An id as Anthropic allows it; the same for a call and its result."""
    return _BAD_IN_ID.sub("_", call_id) or "toolu_unnamed"


def encode_request(request: Request) -> Encoded:
    notes = Notes(request.dialect, DIALECT)
    path = "/v1/messages/count_tokens" if request.kind == "count_tokens" else "/v1/messages"
    if notes.home and isinstance(request.raw, dict):
        return Encoded(patched(request, request.raw, read_request, _body), request.path or path)
    body = _body(request, notes)
    return Encoded(body, path, tuple(notes.found))


def _body(request: Request, notes: Notes) -> JsonObject:
    if request.kind not in ("generate", "count_tokens"):
        notes.note("error", "kind_not_supported", f"{DIALECT} has no {request.kind} requests")
    body = without_none(model=request.model)
    if request.kind != "count_tokens":
        body["max_tokens"] = _max_tokens(request, notes)
    system, messages = (request.system, request.messages) if notes.home else hoist_system(request)
    if system:
        body["system"] = _content(_text_only(system, notes), notes, as_request=True)
    if not notes.home:
        messages = tuple(pair_tools(messages, notes))
    body["messages"] = [item for item in _messages(messages, notes)]
    tools = [told for tool in request.tools if (told := _tool(tool, notes)) is not None]
    if tools:
        body["tools"] = tools
    choice = choice_among(request, notes)
    if choice is not None:
        body["tool_choice"] = _tool_choice(choice, notes)
    body |= _parameters(request, notes)
    return body | notes.extra(request) if notes.home else without_conflicts(body | notes.extra(request), notes)


def _max_tokens(request: Request, notes: Notes) -> int:
    wanted = request.sampling.max_tokens
    if wanted is None:
        notes.note("info", "default_used", f"max_tokens was not said; {DEFAULT_MAX_TOKENS} is sent", ("max_tokens",))
        wanted = DEFAULT_MAX_TOKENS
    budget = request.reasoning.budget if request.reasoning else None
    # The budget counts towards the limit and must be below it.
    return wanted if budget is None or wanted > budget else budget + DEFAULT_MAX_TOKENS


def _parameters(request: Request, notes: Notes) -> JsonObject:
    sampling = request.sampling
    temperature = sampling.temperature
    if temperature is not None and temperature > 1 and not notes.home:
        notes.note("warning", "value_clamped", f"temperature {temperature} is sent as 1", ("temperature",))
        temperature = 1.0
    notes.unsaid(sampling.seed is not None, "seed")
    notes.unsaid(sampling.presence_penalty is not None, "presence_penalty")
    notes.unsaid(sampling.frequency_penalty is not None, "frequency_penalty")
    notes.unsaid((sampling.candidates or 1) > 1, "more than one candidate")
    notes.unsaid(request.conversation_id is not None, "conversation")
    notes.unsaid(request.service_tier is not None and not notes.home, "this service_tier")
    name_missing(request, notes)
    out = without_none(
        temperature=temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        stop_sequences=list(sampling.stop) or None,
        stream=True if request.stream else None,
        service_tier=request.service_tier if notes.home else None,
        metadata={"user_id": request.user} if request.user else None,
    )
    return out | _thinking_config(request, notes)


def _thinking_config(request: Request, notes: Notes) -> JsonObject:
    out: JsonObject = {}
    config: JsonObject = {}
    reasoning = request.reasoning
    if reasoning is not None:
        if reasoning.enabled is False:
            out["thinking"] = {"type": "disabled"}
        elif reasoning.budget is not None:
            out["thinking"] = {"type": "enabled", "budget_tokens": max(_MIN_BUDGET, reasoning.budget)}
        elif reasoning.enabled:
            out["thinking"] = {"type": "adaptive"}
        if reasoning.effort and reasoning.effort != "none":
            config["effort"] = _EFFORTS.get(reasoning.effort, reasoning.effort)
            if config["effort"] != reasoning.effort:
                notes.note("warning", "value_changed", f"effort {reasoning.effort!r} is sent as {config['effort']!r}")
        if reasoning.summary and reasoning.enabled:
            display = out["thinking"]["display"] = "omitted" if reasoning.summary == "omitted" else "summarized"
            if display != reasoning.summary:
                notes.note("info", "value_changed", f"a {reasoning.summary!r} summary is asked for as {display!r}")
    if request.output is not None:
        if request.output.kind == "json_schema" and request.output.schema is not None:
            config["format"] = {"type": "json_schema", "schema": request.output.schema}
            notes.unsaid(request.output.name is not None, "the name of the output schema")
            notes.unsaid(request.output.strict is not None, "strict of the output schema")
        else:
            notes.unsaid(True, "JSON output without a schema")
    if config:
        out["output_config"] = config
    return out


def _text_only(blocks: Iterable[Block], notes: Notes) -> list[Block]:
    kept: list[Block] = []
    for block in blocks:
        if isinstance(block, Text | Unknown):
            kept.append(block)
        else:
            notes.lost("system_content_dropped", "a system prompt can only be text", block.path)
    return kept


def _role(message: Message) -> str:
    if message.role in ("system", "developer"):
        return "system"
    return "assistant" if message.role == "assistant" else "user"


def _messages(messages: Iterable[Message], notes: Notes) -> Iterable[JsonObject]:
    groups = ((message.role, [message]) for message in messages) if notes.home else coalesce(messages, _role)
    for role, group in groups:
        first = group[0]
        if notes.home and _unchanged(first):
            yield first.raw
            continue
        if role == "system" and not notes.home:
            notes.note("info", "system_in_history", "a system message in the midst of the history", first.path)
        for message in group:
            notes.unsaid(message.name is not None, "the name of a message's author", message.path)
        blocks = [block for message in group for block in message.blocks]
        # Results must stand first in the message that answers the calls.
        blocks.sort(key=lambda block: not isinstance(block, ToolResult) or block.executor != "client")
        content = _content(blocks, notes, as_request=True)
        if not content:
            notes.note("info", "empty_message_dropped", "a message without content", first.path)
            continue
        extra: JsonObject = {}
        for message in group:
            extra |= notes.extra(message)
        yield {"role": role, "content": content, **extra}


def _unchanged(message: Message) -> bool:
    if not isinstance(message.raw, dict):
        return False
    again = read_request({"messages": [message.raw]}).messages[0]
    return again == message


def _content(blocks: Iterable[Block], notes: Notes, as_request: bool) -> str | list[JsonObject]:
    items: list[JsonObject] = []
    for block in blocks:
        items += encode_block(block, notes, as_request)
    if as_request and len(items) == 1 and items[0].keys() == {"type", "text"}:
        return str(items[0]["text"])
    return items


def encode_block(block: Block, notes: Notes, as_request: bool) -> list[JsonObject]:
    """The block as Anthropic blocks: one, none when it cannot be said (and is named), or two with its signature."""
    if notes.home and isinstance(block.raw, dict) and read_block(block.raw, block.path) == block:
        return [block.raw]
    out = _encode_block(block, notes, as_request)
    if out is None:
        return []
    out |= notes.extra(block)
    if block.cache is not None and as_request:
        out["cache_control"] = _cache(block.cache, notes, block)
    if block.signature is not None and not isinstance(block, Thinking):
        carrier = _signature_carrier(block, notes, as_request)
        return [*carrier, out]
    return [out]


def _signature_carrier(block: Block, notes: Notes, as_request: bool) -> list[JsonObject]:
    assert block.signature is not None
    if as_request and not notes.home:
        notes.lost("signature_dropped", f"{DIALECT} cannot use a signature of {block.signature.origin}", block.path)
        return []
    return [{"type": "thinking", "thinking": "", "signature": wrap(block.signature, DIALECT)}]


def _encode_block(block: Block, notes: Notes, as_request: bool) -> JsonObject | None:
    if isinstance(block, Text):
        return _text(block, notes, as_request)
    if isinstance(block, Thinking):
        return _thinking(block, notes, as_request)
    if isinstance(block, Media) and (as_request or notes.home):
        return _media(block, notes)
    if isinstance(block, ToolCall):
        return _call(block, notes)
    if isinstance(block, ToolResult):
        return _result(block, notes)
    if isinstance(block, Refusal):
        notes.note("info", "refusal_as_text", "a refusal is told as text", block.path)
        return {"type": "text", "text": block.text}
    if isinstance(block, Unknown) and block.dialect == DIALECT and isinstance(block.raw, dict):
        return block.raw
    kind = block.kind if isinstance(block, Unknown) else type(block).__name__
    notes.lost("block_dropped", f"{DIALECT} has no block for {kind!r}", block.path)
    return None


def _text(block: Text, notes: Notes, as_request: bool) -> JsonObject | None:
    if not block.text and as_request:
        notes.note("info", "empty_text_dropped", "an empty text", block.path)
        return None
    out: JsonObject = {"type": "text", "text": block.text}
    citations = [_citation(citation, notes) for citation in block.citations]
    if notes.home and citations:
        out["citations"] = citations
    elif block.citations:
        told = [citation for citation in citations if citation is not None]
        if told and not as_request:
            out["citations"] = told
        if as_request or len(told) < len(citations):
            notes.lost("citations_dropped", f"{len(citations)} citations", block.path)
    return out


def _citation(citation: Citation, notes: Notes) -> Json:
    if notes.home and citation.raw is not None:
        return citation.raw
    if citation.url is None:
        return None
    return {
        "type": "web_search_result_location",
        "url": citation.url,
        "title": citation.title,
        "cited_text": citation.text or "",
        "encrypted_index": "",
    }


def _thinking(block: Thinking, notes: Notes, as_request: bool) -> JsonObject | None:
    if as_request and not is_own(block, notes.source, DIALECT):
        notes.lost("thinking_dropped", f"{DIALECT} accepts only thinking with its own signature", block.path)
        return None
    sign = sealed(block, notes.source, DIALECT)
    if block.redacted:
        return {"type": "redacted_thinking", "data": sign}
    return {"type": "thinking", "thinking": block.text, "signature": sign}


def _media(block: Media, notes: Notes) -> JsonObject | None:
    if block.kind not in ("image", "document"):
        notes.lost("media_dropped", f"{DIALECT} takes no {block.kind}", block.path)
        return None
    if block.data is not None:
        default = "image/png" if block.kind == "image" else "application/pdf"
        source = {"type": "base64", "media_type": block.media_type or default, "data": block.data}
    elif block.url is not None:
        source = {"type": "url", "url": block.url}
    elif block.text is not None:
        source = {"type": "text", "media_type": block.media_type or "text/plain", "data": block.text}
    elif notes.home:
        source = {"type": "file", "file_id": block.file_id or ""}
    else:
        notes.lost("media_dropped", "a file stored with another provider", block.path)
        return None
    notes.unsaid(block.detail is not None and not notes.home, "the detail of an image", block.path)
    out: JsonObject = {"type": block.kind, "source": source}
    if block.kind == "document":
        out |= without_none(title=block.name, context=block.context)
    else:
        notes.unsaid(block.name is not None, "the name of an image", block.path)
    return out


def _call(block: ToolCall, notes: Notes) -> JsonObject | None:
    if block.executor == "provider" and not notes.home:
        notes.lost("server_tool_dropped", f"a call that {notes.source}'s provider ran by itself", block.path)
        return None
    kind = "tool_use" if block.executor == "client" else block.kind
    if not isinstance(block.arguments, dict):
        notes.note("warning", "arguments_wrapped", "arguments that are no object go under the key 'input'", block.path)
    name = block.name
    if block.server and kind == "tool_use":
        notes.note("info", "namespace_dropped", f"{name!r} belongs to {block.server!r}", block.path)
    out: JsonObject = {
        "type": kind,
        "id": block.id if notes.home else clean_id(block.id),
        "name": name,
        "input": arguments_object(block.arguments),
    }
    if block.server and kind == "mcp_tool_use":
        out["server_name"] = block.server
    return out


def _result(block: ToolResult, notes: Notes) -> JsonObject | None:
    if block.executor == "provider" and not notes.home:
        notes.lost("server_tool_dropped", f"a result that {notes.source}'s provider made by itself", block.path)
        return None
    out: JsonObject = {
        "type": "tool_result" if block.executor == "client" else block.kind,
        "tool_use_id": block.call_id if notes.home else clean_id(block.call_id),
    }
    if block.executor == "provider" and block.kind != "mcp_tool_result":
        items = [item.raw for item in block.content]
        raw = block.raw.get("content") if isinstance(block.raw, dict) else None
        out["content"] = items if isinstance(raw, list) or len(items) != 1 else items[0]
        return out
    content = _content(block.content, notes, as_request=True)
    if content:
        out["content"] = content
    if block.is_error:
        out["is_error"] = True
    return out


def _cache(marker: CacheMarker, notes: Notes, thing: Block | Tool) -> JsonObject:
    out = {"type": "ephemeral"}
    if marker.ttl in ("5m", "1h"):
        out["ttl"] = marker.ttl
    elif marker.ttl is not None:
        out["ttl"] = "1h"
        notes.note("warning", "value_changed", f"a cache lifetime of {marker.ttl} is sent as 1h", thing.path)
    return out


def _tool(tool: Tool, notes: Notes) -> JsonObject | None:
    out: JsonObject
    if tool.kind not in ("function", "custom"):
        if not notes.home:
            notes.lost("tool_dropped", f"{DIALECT} has no built-in tool {tool.kind!r}", tool.path)
            return None
        out = {"type": tool.kind}
        out["mcp_server_name" if tool.server else "name"] = tool.name
    else:
        schema = tool.schema
        if tool.kind == "custom":
            notes.note("warning", "custom_tool_as_function", f"{tool.name!r} takes free text", tool.path)
            schema = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
        elif schema is None or ("type" not in schema and not notes.home):
            schema = {"type": "object", "properties": {}, **(schema or {})}
        out = without_none(name=tool.name, description=tool.description, input_schema=schema, strict=tool.strict)
        if tool.server:
            notes.note("info", "namespace_dropped", f"{tool.name!r} belongs to {tool.server!r}", tool.path)
    if tool.cache is not None:
        out["cache_control"] = _cache(tool.cache, notes, tool)
    return out | notes.extra(tool)


def _tool_choice(choice: ToolChoice, notes: Notes) -> JsonObject:
    mode = {"auto": "auto", "required": "any", "tool": "tool", "none": "none"}[choice.mode]
    out: JsonObject = {"type": mode}
    if choice.mode == "tool" and choice.names:
        out["name"] = choice.names[0]
    elif choice.names:
        notes.unsaid(True, "a choice among some of the tools")
    if choice.parallel is not None and choice.mode != "none":
        out["disable_parallel_tool_use"] = not choice.parallel
    return out


def encode_response(response: Response) -> Encoded:
    notes = Notes(response.dialect, DIALECT)
    if response.error is not None and response.outcome is Outcome.ERROR:
        return encode_error(response.error)
    if notes.home and isinstance(response.raw, dict) and read_response(response.raw) == response:
        return Encoded(response.raw)
    content: list[JsonObject] = []
    for block in response.blocks if notes.home else name_calls(response.blocks):
        content += encode_block(block, notes, as_request=False)
    if response.alternatives:
        notes.lost("candidates_dropped", f"{len(response.alternatives)} further candidates")
    body: JsonObject = {
        "id": response.id or "msg_unknown",
        "type": "message",
        "role": "assistant",
        "model": response.model or "unknown",
        "content": content,
        "stop_reason": STOP_WORDS[response.stop_reason] if response.stop_reason else None,
        "stop_sequence": response.stop_sequence,
        "usage": encode_anthropic_usage(response.usage),
    }
    return Encoded(body | notes.extra(response), "", tuple(notes.found))


_ERROR_TYPES = {
    ErrorKind.INVALID_REQUEST: "invalid_request_error",
    ErrorKind.AUTHENTICATION: "authentication_error",
    ErrorKind.PERMISSION: "permission_error",
    ErrorKind.NOT_FOUND: "not_found_error",
    ErrorKind.TOO_LARGE: "request_too_large",
    ErrorKind.RATE_LIMIT: "rate_limit_error",
    ErrorKind.QUOTA: "billing_error",
    ErrorKind.OVERLOADED: "overloaded_error",
    ErrorKind.TIMEOUT: "timeout_error",
    ErrorKind.SERVER: "api_error",
}


def encode_error(error: ApiError) -> Encoded:
    """The error in Anthropic's shape. The HTTP status stays the caller's; `STATUS` has one for each kind."""
    message = error.message or readable(error.raw, 500) or f"HTTP {error.status or STATUS[error.kind]}"
    return Encoded({"type": "error", "error": {"type": _ERROR_TYPES[error.kind], "message": message}})
