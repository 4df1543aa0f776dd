"""OpenAI Chat Completions: requests, buffered answers and errors out of the neutral model."""

from __future__ import annotations

from collections.abc import Iterable

from ccinspect.wire.apierror import STATUS
from ccinspect.wire.codec import Encoded, Notes, coalesce, name_calls, patched, readable, without_none
from ccinspect.wire.jsontext import arguments_text
from ccinspect.wire.media import data_url
from ccinspect.wire.model import (
    ApiError,
    Block,
    ErrorKind,
    Json,
    JsonObject,
    Media,
    Message,
    Outcome,
    OutputFormat,
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
from ccinspect.wire.openai_chat.decode import DIALECT, STOP_REASONS, read_message, read_request, read_response
from ccinspect.wire.repair import choice_among, name_missing, pair_tools, stops_among
from ccinspect.wire.signatures import is_own, sealed
from ccinspect.wire.usage import encode_openai_chat_usage

PATH = "/v1/chat/completions"
_MAX_STOPS = 4

STOP_WORDS = {reason: word for word, reason in reversed(STOP_REASONS.items())} | {
    StopReason.TOOL_USE: "tool_calls",
    StopReason.STOP_SEQUENCE: "stop",
    StopReason.PAUSE: "stop",
    StopReason.REFUSAL: "content_filter",
    StopReason.CONTEXT_WINDOW: "length",
    StopReason.ERROR: "stop",
    StopReason.OTHER: "stop",
}


def encode_request(request: Request) -> Encoded:
    notes = Notes(request.dialect, DIALECT)
    if notes.home and isinstance(request.raw, dict):
        return Encoded(patched(request, request.raw, read_request, _body), request.path or PATH)
    body = _body(request, notes)
    return Encoded(body, PATH, tuple(notes.found))


def _body(request: Request, notes: Notes) -> JsonObject:
    if request.kind != "generate":
        notes.note("error", "kind_not_supported", f"{DIALECT} has no {request.kind} requests")
    body = without_none(model=request.model)
    body["messages"] = list(_messages(request, notes))
    tools = [told for tool in request.tools if (told := _tool(tool, notes)) is not None]
    if tools:
        body["tools"] = tools
    choice = choice_among(request, notes)
    if choice is not None:
        body |= _tool_choice(choice, request.tools)
    body |= _parameters(request, notes)
    return body | notes.extra(request)


def _parameters(request: Request, notes: Notes) -> JsonObject:
    sampling = request.sampling
    raw = request.raw if notes.home and isinstance(request.raw, dict) else {}
    # The older name, which other servers of this dialect may know alone, is kept where the sender used it.
    limit = "max_tokens" if "max_tokens" in raw and "max_completion_tokens" not in raw else "max_completion_tokens"
    notes.unsaid(sampling.top_k is not None and not notes.home, "top_k")
    notes.unsaid(request.conversation_id is not None, "conversation")
    notes.unsaid(request.service_tier is not None and not notes.home, "this service_tier")
    name_missing(request, notes)
    out = without_none(
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k if notes.home else None,
        stop=stops_among(sampling.stop, _MAX_STOPS, notes),
        seed=sampling.seed,
        presence_penalty=sampling.presence_penalty,
        frequency_penalty=sampling.frequency_penalty,
        n=sampling.candidates,
        user=request.user,
        service_tier=request.service_tier if notes.home else None,
        reasoning_effort=effort(request, notes),
        response_format=_response_format(request.output),
    )
    if sampling.max_tokens is not None:
        out[limit] = sampling.max_tokens
    if request.stream:
        out["stream"] = True
        if request.include_usage:
            out["stream_options"] = {"include_usage": True}
    return out


def effort(request: Request, notes: Notes) -> str | None:
    """The one word OpenAI has for how much to think."""
    reasoning = request.reasoning
    if reasoning is None:
        return None
    if reasoning.budget is not None:
        word = "low" if reasoning.budget <= 4096 else "medium" if reasoning.budget <= 16384 else "high"
        word = reasoning.effort or word
        notes.note("warning", "value_changed", f"a thinking budget of {reasoning.budget} is sent as effort {word!r}")
        return word
    if reasoning.effort is not None:
        return reasoning.effort
    if reasoning.enabled is False:
        return "none"
    notes.unsaid(bool(reasoning.enabled), "thinking without an effort or a budget")
    return None


def _response_format(output: OutputFormat | None) -> JsonObject | None:
    if output is None:
        return None
    if output.kind != "json_schema":
        return {"type": "json_object"}
    schema = without_none(name=output.name or "output", schema=output.schema, strict=output.strict)
    return {"type": "json_schema", "json_schema": schema}


def _messages(request: Request, notes: Notes) -> Iterable[JsonObject]:
    if request.system:
        yield {"role": "system", "content": _parts(request.system, notes)}
    if notes.home:
        for message in request.messages:
            if isinstance(message.raw, dict) and read_message(message.raw, message.path) == message:
                yield message.raw
            else:
                yield from _message(message.role, [message], notes)
        return
    for role, group in coalesce(pair_tools(request.messages, notes), _role):
        yield from _message(role, group, notes)


def _role(message: Message) -> str:
    return "user" if message.role == "tool" else message.role


def _message(role: str, group: list[Message], notes: Notes) -> Iterable[JsonObject]:
    """One message of ours as one or more of theirs: each tool result stands alone, before anything else."""
    blocks = [block for message in group for block in message.blocks]
    extra: JsonObject = {}
    for message in group:
        extra |= notes.extra(message)
    if role == "assistant":
        told = assistant_message(blocks, notes, as_request=True)
        if told.keys() == {"role", "content"} and not told["content"]:
            notes.note("info", "empty_message_dropped", "a message without content", group[0].path)
        else:
            yield {**told, **extra}
        return
    results = [block for block in blocks if isinstance(block, ToolResult)]
    rest: list[Block] = [block for block in blocks if not isinstance(block, ToolResult)]
    for result in results:
        yield _tool_message(result, rest, notes) | (extra if role == "tool" else {})
    if rest:
        name = group[0].name
        yield {"role": role, "content": _parts(rest, notes), **without_none(name=name), **extra}
    elif not results:
        notes.note("info", "empty_message_dropped", "a message without content", group[0].path)


def _tool_message(result: ToolResult, rest: list[Block], notes: Notes) -> JsonObject:
    """A result can only be text here; what else is in it moves to the user's message after it."""
    content: list[Block] = []
    moved = 0
    for block in result.content:
        if isinstance(block, Text | Unknown):
            content.append(block)
        else:
            rest.insert(moved, block)
            moved += 1
    if moved:
        notes.lost("result_media_moved", f"{moved} images or files move behind the tool result", result.path)
    if result.is_error:
        notes.lost("error_flag_dropped", "a tool result cannot be marked as an error", result.path)
    if result.cache is not None and not notes.home:
        notes.lost("cache_marker_dropped", "a cache marker on a tool result", result.path)
    told = _parts(content, notes)
    return {"role": "tool", "tool_call_id": result.call_id, "content": told}


def _parts(blocks: Iterable[Block], notes: Notes) -> str | list[JsonObject]:
    parts = [part for block in blocks if (part := _part(block, notes)) is not None]
    if not parts:
        return ""
    if len(parts) == 1 and parts[0].keys() == {"type", "text"}:
        return str(parts[0]["text"])
    return parts


def _part(block: Block, notes: Notes) -> JsonObject | None:
    if notes.home and isinstance(block.raw, dict) and block == _again(block):
        return block.raw
    out: JsonObject | None = None
    if isinstance(block, Text):
        out = {"type": "text", "text": block.text}
        if block.citations:
            notes.lost("citations_dropped", f"{len(block.citations)} citations", block.path)
    elif isinstance(block, Refusal):
        out = {"type": "refusal", "refusal": block.text}
    elif isinstance(block, Media):
        out = _media(block, notes)
    elif isinstance(block, Unknown) and block.dialect == DIALECT and isinstance(block.raw, dict):
        out = block.raw
    else:
        kind = block.kind if isinstance(block, Unknown) else type(block).__name__
        notes.lost("block_dropped", f"{DIALECT} has no block for {kind!r}", block.path)
    if out is None:
        return None
    if block.signature is not None:
        notes.lost("signature_dropped", f"a signature of {block.signature.origin}", block.path)
    if block.cache is not None:
        out["prompt_cache_breakpoint"] = {"mode": "explicit"}
        if block.cache.ttl in ("30m", "12h"):
            out["prompt_cache_breakpoint"]["ttl"] = block.cache.ttl
        elif block.cache.ttl is not None:
            notes.lost("value_changed", f"a cache lifetime of {block.cache.ttl} cannot be asked for", block.path)
    return out | notes.extra(block)


def _again(block: Block) -> Block | None:
    blocks = read_message({"role": "user", "content": [block.raw]}, ()).blocks
    return blocks[0] if len(blocks) == 1 else None


def _media(block: Media, notes: Notes) -> JsonObject | None:
    if block.kind == "image" and block.file_id is None:
        url = block.url if block.url is not None else data_url(block, "image/png")
        notes.unsaid(block.name is not None, "the name of an image", block.path)
        return {"type": "image_url", "image_url": without_none(url=url, detail=block.detail)}
    if block.kind == "audio" and block.data is not None:
        form = (block.media_type or "audio/wav").partition("/")[2]
        return {"type": "input_audio", "input_audio": {"data": block.data, "format": {"mpeg": "mp3"}.get(form, form)}}
    if block.kind == "document":
        notes.unsaid(block.context is not None, "the context of a document", block.path)
        if block.data is not None:
            url = data_url(block, "application/pdf")
            return {"type": "file", "file": without_none(filename=block.name or "document.pdf", file_data=url)}
        if block.text is not None:
            notes.note("info", "document_as_text", "a plain-text document is told as text", block.path)
            return {"type": "text", "text": block.text}
        if block.file_id is not None and (notes.home or notes.source == "openai_responses"):
            return {"type": "file", "file": without_none(file_id=block.file_id, filename=block.name)}
    notes.lost("media_dropped", f"{DIALECT} cannot take this {block.kind}", block.path)
    return None


def assistant_message(blocks: Iterable[Block], notes: Notes, as_request: bool) -> JsonObject:
    """An assistant's message, of a history or of an answer."""
    out: JsonObject = {"role": "assistant", "content": None}
    content: list[Block] = []
    thinking: list[Thinking] = []
    calls: list[JsonObject] = []
    for block in blocks:
        if isinstance(block, Thinking):
            if not as_request or is_own(block, notes.source, DIALECT):
                thinking.append(block)
            else:
                notes.lost("thinking_dropped", "another provider's thinking is of no use here", block.path)
        elif isinstance(block, ToolCall) and (block.executor == "client" or notes.home):
            calls.append(encode_call(block, notes, as_request))
        elif isinstance(block, ToolCall | ToolResult):
            notes.lost("server_tool_dropped", "what another provider's own tools did", block.path)
        elif isinstance(block, Refusal) and not as_request:
            out["refusal"] = (out.get("refusal") or "") + block.text
        else:
            content.append(block)
    if as_request:
        out["content"] = _parts(content, notes) or None
    else:
        _answer_content(out, content, notes)
    if thinking:
        out |= _reasoning(thinking, notes)
    if calls:
        out["tool_calls"] = calls
    return out


def _answer_content(out: JsonObject, content: list[Block], notes: Notes) -> None:
    """The content of an answer is always one text."""
    texts = [block for block in content if isinstance(block, Text)]
    for block in content:
        if not isinstance(block, Text):
            notes.lost("block_dropped", f"an answer of {DIALECT} is only text", block.path)
    if texts:
        out["content"] = "".join(block.text for block in texts)
    if len(texts) > 1:
        notes.note("info", "texts_joined", f"{len(texts)} blocks of text are told as one", texts[0].path)
    if any(block.signature for block in texts):
        notes.lost("signature_dropped", "a signature on text", texts[0].path)
    citations = [citation for block in texts for citation in block.citations]
    if notes.home:
        out |= {"annotations": [citation.raw for citation in citations]} if citations else {}
    elif citations:
        notes.lost("citations_dropped", f"{len(citations)} citations", texts[0].path)


def _reasoning(thinking: list[Thinking], notes: Notes) -> JsonObject:
    text = "".join(block.text for block in thinking)
    out: JsonObject = {"reasoning_content": text} if text else {}
    if all(block.signature is None and not block.redacted for block in thinking) and notes.home:
        return out
    out["reasoning_details"] = [
        reasoning_detail(block, sealed(block, notes.source, DIALECT), index) for index, block in enumerate(thinking)
    ]
    return out


def reasoning_detail(block: Thinking, sign: str, index: int) -> JsonObject:
    """OpenRouter's way of telling thinking together with its signature."""
    if block.redacted:
        return {"type": "reasoning.encrypted", "data": sign, "index": index}
    return {"type": "reasoning.text", "text": block.text, "signature": sign, "index": index}


def encode_call(block: ToolCall, notes: Notes, as_request: bool) -> JsonObject:
    inner = {"name": block.name}
    kind = "custom" if block.kind == "custom" else "function"
    inner["input" if kind == "custom" else "arguments"] = arguments_text(block.arguments)
    out: JsonObject = {"id": block.id, "type": kind, kind: inner}
    if block.server:
        notes.note("info", "namespace_dropped", f"{block.name!r} belongs to {block.server!r}", block.path)
    if block.cache is not None:
        notes.lost("cache_marker_dropped", "a cache marker on a tool call", block.path)
    if block.signature is not None:
        if block.signature.origin == "gemini" and (notes.home or not as_request):
            out["extra_content"] = {"google": {"thought_signature": block.signature.value}}
        else:
            notes.lost("signature_dropped", f"a signature of {block.signature.origin}", block.path)
    return out | notes.extra(block)


def _tool(tool: Tool, notes: Notes) -> JsonObject | None:
    if tool.kind not in ("function", "custom"):
        if notes.home:
            return tool.extra
        notes.lost("tool_dropped", f"{DIALECT} has no built-in tool {tool.kind!r}", tool.path)
        return None
    inner = without_none(name=tool.name, description=tool.description, parameters=tool.schema, strict=tool.strict)
    if tool.cache is not None and not notes.home:
        notes.lost("cache_marker_dropped", "a cache marker on a tool", tool.path)
    if tool.server:
        notes.note("info", "namespace_dropped", f"{tool.name!r} belongs to {tool.server!r}", tool.path)
    return {"type": tool.kind, tool.kind: inner | notes.extra(tool)}


def _tool_choice(choice: ToolChoice, tools: Iterable[Tool]) -> JsonObject:
    told: Json = choice.mode
    if choice.mode == "tool":
        name = choice.names[0] if choice.names else ""
        kind = next((tool.kind for tool in tools if tool.name == name), "function")
        told = {"type": kind, kind: {"name": name}}
    elif choice.names:
        listed = [{"type": "function", "function": {"name": name}} for name in choice.names]
        told = {"type": "allowed_tools", "allowed_tools": {"mode": choice.mode, "tools": listed}}
    return {"tool_choice": told, **without_none(parallel_tool_calls=choice.parallel)}


def encode_response(response: Response) -> Encoded:
    notes = Notes(response.dialect, DIALECT)
    if response.error is not None and response.outcome is Outcome.ERROR:
        return encode_error(response.error)
    if notes.home and isinstance(response.raw, dict) and read_response(response.raw) == response:
        return Encoded(response.raw)
    if response.stop_sequence is not None:
        notes.note("info", "stop_sequence_dropped", "which stop sequence it was")
    candidates = [response.blocks, *response.alternatives]
    word = STOP_WORDS[response.stop_reason] if response.stop_reason else "stop"
    choices = []
    for index, blocks in enumerate(candidates):
        named = blocks if notes.home else name_calls(blocks)
        message = {"refusal": None} | assistant_message(named, notes, as_request=False)
        choices.append({"index": index, "message": message, "finish_reason": word, "logprobs": None})
    body: JsonObject = {
        "id": response.id or "chatcmpl-unknown",
        "object": "chat.completion",
        "created": int(response.created or 0),
        "model": response.model or "unknown",
        "choices": choices,
    }
    if response.usage is not None:
        body["usage"] = encode_openai_chat_usage(response.usage)
    return Encoded(body | notes.extra(response), "", tuple(notes.found))


_ERROR_TYPES = {
    ErrorKind.AUTHENTICATION: ("authentication_error", "invalid_api_key"),
    ErrorKind.PERMISSION: ("permission_error", None),
    ErrorKind.NOT_FOUND: ("not_found_error", "model_not_found"),
    ErrorKind.TOO_LARGE: ("invalid_request_error", "context_length_exceeded"),
    ErrorKind.RATE_LIMIT: ("rate_limit_error", "rate_limit_exceeded"),
    ErrorKind.QUOTA: ("insufficient_quota", "insufficient_quota"),
    ErrorKind.OVERLOADED: ("server_error", "server_overloaded"),
    ErrorKind.TIMEOUT: ("timeout_error", None),
    ErrorKind.SERVER: ("server_error", None),
}


def encode_error(error: ApiError) -> Encoded:
    """The error in OpenAI's shape, the same for all its APIs."""
    kind, code = _ERROR_TYPES.get(error.kind, ("invalid_request_error", None))
    message = error.message or readable(error.raw, 500) or f"HTTP {error.status or STATUS[error.kind]}"
    return Encoded({"error": {"message": message, "type": kind, "param": error.param, "code": code}})
