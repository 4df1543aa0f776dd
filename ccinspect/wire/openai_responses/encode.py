"""OpenAI Responses: requests and buffered answers out of the neutral model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ccinspect.wire.codec import Encoded, Notes, hoist_system, name_calls, patched, without_none
from ccinspect.wire.jsontext import arguments_text
from ccinspect.wire.media import data_url
from ccinspect.wire.model import (
    Block,
    Citation,
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
from ccinspect.wire.openai_chat.encode import effort, encode_error
from ccinspect.wire.openai_responses.decode import INCOMPLETE, read_request, read_response
from ccinspect.wire.openai_responses.items import DIALECT, read_item, read_part, with_id
from ccinspect.wire.repair import choice_among, name_missing, pair_tools
from ccinspect.wire.signatures import is_own, sealed, wrap
from ccinspect.wire.usage import encode_openai_responses_usage

PATH = "/v1/responses"
_INCOMPLETE_WORDS = {
    StopReason.MAX_TOKENS: "max_output_tokens",
    StopReason.CONTEXT_WINDOW: "max_output_tokens",
    StopReason.CONTENT_FILTER: "content_filter",
}


def encode_request(request: Request) -> Encoded:
    notes = Notes(request.dialect, DIALECT)
    if notes.home and isinstance(request.raw, dict):
        return Encoded(patched(request, request.raw, read_request, _body), request.path or PATH)
    body = _body(request, notes)
    return Encoded(body, PATH, tuple(notes.found))


def _body(request: Request, notes: Notes) -> JsonObject:
    if request.kind not in ("generate", "count_tokens", "warm_up", "compact") or (
        request.kind != "generate" and not notes.home
    ):
        notes.note("error", "kind_not_supported", f"a {request.kind} request is sent as one that generates")
    body = without_none(model=request.model)
    system, messages = (request.system, request.messages) if notes.home else hoist_system(request)
    items: list[JsonObject] = []
    if len(system) == 1 and isinstance(system[0], Text) and system[0].cache is None:
        body["instructions"] = system[0].text
    elif system:
        items.append({"type": "message", "role": "system", "content": _parts(system, notes)})
    for message in messages if notes.home else pair_tools(messages, notes):
        items += _message(message, notes)
    body["input"] = items
    told = _tools([tool for tool in request.tools if tool.path[:1] != ("input",) or not notes.home], notes)
    if told:
        body["tools"] = told
    choice = choice_among(request, notes)
    if choice is not None:
        body |= _tool_choice(choice, request.tools)
    body |= _parameters(request, notes)
    return body | notes.extra(request)


def _parameters(request: Request, notes: Notes) -> JsonObject:
    sampling = request.sampling
    notes.unsaid(sampling.top_k is not None, "top_k")
    notes.unsaid(bool(sampling.stop), "stop sequences")
    notes.unsaid(sampling.seed is not None, "seed")
    notes.unsaid(sampling.presence_penalty is not None, "presence_penalty")
    notes.unsaid(sampling.frequency_penalty is not None, "frequency_penalty")
    notes.unsaid((sampling.candidates or 1) > 1, "more than one candidate")
    notes.unsaid(request.service_tier is not None and not notes.home, "this service_tier")
    out = without_none(
        max_output_tokens=sampling.max_tokens,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        stream=True if request.stream else None,
        previous_response_id=request.previous_response_id,
        conversation=request.conversation_id,
        user=request.user,
        service_tier=request.service_tier if notes.home else None,
    )
    reasoning = without_none(effort=effort(request, notes), summary=_summary(request, notes))
    if reasoning:
        out["reasoning"] = reasoning
    if request.output is not None:
        out["text"] = {"format": _format(request.output)}
    if not notes.home:
        name_missing(request, notes)
        # The sender's own dialect keeps no history with the provider, so none is kept here.
        out["store"] = False
        if reasoning.get("effort", "none") != "none":
            out["include"] = ["reasoning.encrypted_content"]
    return out


def _summary(request: Request, notes: Notes) -> str | None:
    asked = request.reasoning.summary if request.reasoning else None
    if asked in (None, "omitted"):
        return None
    told = asked if asked in ("auto", "concise", "detailed") else "auto"
    if told != asked:
        notes.note("info", "value_changed", f"a {asked!r} summary is asked for as {told!r}")
    return told


def _format(output: OutputFormat) -> JsonObject:
    if output.kind != "json_schema":
        return {"type": "json_object"}
    named = without_none(name=output.name or "output", schema=output.schema, strict=output.strict)
    return {"type": "json_schema", **named}


def _message(message: Message, notes: Notes) -> list[JsonObject]:
    """One message of ours as items."""
    if notes.home and isinstance(message.raw, dict) and read_item(message.raw, message.path) == message:
        return [message.raw]
    notes.unsaid(message.name is not None, "the name of a message's author", message.path)
    if message.role == "assistant":
        return assistant_items(message.blocks, notes, as_request=True)
    out: list[JsonObject] = []
    rest: list[Block] = []
    for block in message.blocks:
        if isinstance(block, ToolResult):
            item = _result_item(block, notes)
            if item is not None:
                out.append(item)
        elif isinstance(block, Unknown) and block.dialect == DIALECT and notes.home:
            out.append(block.raw)
        else:
            rest.append(block)
    content = _parts(rest, notes) if rest else ""
    if content:
        role = "user" if message.role == "tool" else message.role
        out.append({"type": "message", "role": role, "content": content, **notes.extra(message)})
    elif not out:
        notes.note("info", "empty_message_dropped", "a message without content", message.path)
    return out


def _parts(blocks: Iterable[Block], notes: Notes) -> str | list[JsonObject]:
    parts = [part for block in blocks if (part := _part(block, notes)) is not None]
    if len(parts) == 1 and parts[0].keys() == {"type", "text"}:
        return str(parts[0]["text"])
    return parts


def _part(block: Block, notes: Notes) -> JsonObject | None:
    if notes.home and isinstance(block.raw, dict) and read_part(block.raw, block.path) == block:
        return block.raw
    out: JsonObject | None = None
    if isinstance(block, Text):
        if not block.text:
            notes.note("info", "empty_text_dropped", "an empty text", block.path)
            return None
        out = {"type": "input_text", "text": block.text}
        if block.citations:
            notes.lost("citations_dropped", f"{len(block.citations)} citations", block.path)
    elif isinstance(block, Refusal):
        out = {"type": "input_text", "text": block.text}
    elif isinstance(block, Media):
        out = _media(block, notes)
    elif isinstance(block, Unknown) and block.dialect == DIALECT and isinstance(block.raw, dict):
        out = block.raw
    else:
        kind = block.kind if isinstance(block, Unknown) else type(block).__name__
        notes.lost("block_dropped", f"{DIALECT} has no part for {kind!r}", block.path)
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


def _media(block: Media, notes: Notes) -> JsonObject | None:
    own_file = block.file_id is not None and (notes.home or notes.source == "openai_chat")
    if block.kind == "image" and (block.file_id is None or own_file):
        notes.unsaid(block.name is not None, "the name of an image", block.path)
        out: JsonObject = {"type": "input_image", "detail": block.detail or "auto"}
        if own_file:
            return out | {"file_id": block.file_id}
        return out | {"image_url": block.url if block.url is not None else data_url(block, "image/png")}
    if block.kind == "document":
        notes.unsaid(block.context is not None, "the context of a document", block.path)
        if block.data is not None:
            url = data_url(block, "application/pdf")
            return {"type": "input_file", "filename": block.name or "document.pdf", "file_data": url}
        if block.url is not None:
            notes.unsaid(block.name is not None, "the name of a document given by URL", block.path)
            return {"type": "input_file", "file_url": block.url}
        if block.text is not None:
            notes.note("info", "document_as_text", "a plain-text document is told as text", block.path)
            return {"type": "input_text", "text": block.text}
        if own_file:
            return {"type": "input_file", "file_id": block.file_id}
    notes.lost("media_dropped", f"{DIALECT} cannot take this {block.kind}", block.path)
    return None


def _result_item(block: ToolResult, notes: Notes) -> JsonObject | None:
    if block.kind not in ("function", "custom"):
        if notes.home and isinstance(block.raw, dict):
            return block.raw
        if block.executor == "provider" or notes.source == DIALECT:
            notes.lost("server_tool_dropped", f"a result of {block.kind!r}", block.path)
            return None
    if block.is_error:
        notes.lost("error_flag_dropped", "a tool result cannot be marked as an error", block.path)
    if block.cache is not None:
        notes.lost("cache_marker_dropped", "a cache marker on a tool result", block.path)
    kind = "custom_tool_call_output" if block.kind == "custom" else "function_call_output"
    output = _parts(block.content, notes)
    return {"type": kind, "call_id": block.call_id, "output": output or "", **notes.extra(block)}


def assistant_items(blocks: Sequence[Block], notes: Notes, as_request: bool) -> list[JsonObject]:
    """An assistant's blocks as items; those of an answer have ids and are marked complete."""
    out: list[JsonObject] = []
    for block in blocks:
        if as_request and notes.home and isinstance(block.raw, dict):
            again = read_item(block.raw, block.path).blocks
            if block in again:
                # A call and its result may stand in one item.
                if block.raw is not (out[-1] if out else None):
                    out.append(block.raw)
                continue
        out += block_items(block, notes, as_request, len(out))
    return out


def block_items(block: Block, notes: Notes, as_request: bool, position: int) -> list[JsonObject]:
    """The items of one block: one, none, or two where its signature needs one of its own."""
    out: list[JsonObject] = []
    if block.signature is not None and not isinstance(block, Thinking):
        if as_request:
            notes.lost("signature_dropped", f"a signature of {block.signature.origin}", block.path)
        else:
            sign = wrap(block.signature, DIALECT)
            out.append({"type": "reasoning", "id": f"rs_{position}", "summary": [], "encrypted_content": sign})
            position += 1
    if block.cache is not None and as_request:
        notes.lost("cache_marker_dropped", "a cache marker in an assistant's message", block.path)
    item = _item(block, notes, as_request, position)
    if item is not None:
        out.append(item if isinstance(block, Unknown) else item | notes.extra(block))
    return out


def _item(block: Block, notes: Notes, as_request: bool, position: int) -> JsonObject | None:
    if isinstance(block, Text | Refusal):
        return _message_item(block, notes, as_request, position)
    if isinstance(block, Thinking):
        return _reasoning_item(block, notes, as_request, position)
    if isinstance(block, ToolCall) and (block.executor == "client" or notes.home):
        return _call_item(block, as_request, position)
    if isinstance(block, Unknown) and block.dialect == DIALECT and isinstance(block.raw, dict):
        return block.raw
    if isinstance(block, ToolResult) and notes.home:
        return None
    kind = block.kind if isinstance(block, Unknown | ToolCall | ToolResult | Media) else type(block).__name__
    notes.lost("block_dropped", f"{DIALECT} has no item for {kind!r}", block.path)
    return None


def _message_item(block: Text | Refusal, notes: Notes, as_request: bool, position: int) -> JsonObject | None:
    if as_request:
        if isinstance(block, Text) and block.citations:
            notes.lost("citations_dropped", f"{len(block.citations)} citations", block.path)
        if not block.text:
            notes.note("info", "empty_text_dropped", "an empty text", block.path)
            return None
        return {"type": "message", "role": "assistant", "content": block.text}
    return message_item(position, [text_part(block, notes)], "completed")


def message_item(position: int, parts: list[JsonObject], status: str) -> JsonObject:
    return {"type": "message", "id": f"msg_{position}", "role": "assistant", "status": status, "content": parts}


def text_part(block: Text | Refusal, notes: Notes) -> JsonObject:
    if isinstance(block, Refusal):
        return {"type": "refusal", "refusal": block.text}
    annotations = [item for citation in block.citations if (item := _annotation(citation, notes)) is not None]
    if len(annotations) < len(block.citations):
        notes.lost("citations_dropped", f"{len(block.citations) - len(annotations)} citations", block.path)
    return {"type": "output_text", "text": block.text, "annotations": annotations, "logprobs": []}


def _annotation(citation: Citation, notes: Notes) -> Json:
    if notes.home:
        return citation.raw
    if citation.url is None:
        return None
    title = citation.title or citation.url
    return {"type": "url_citation", "url": citation.url, "title": title, "start_index": 0, "end_index": 0}


def _reasoning_item(block: Thinking, notes: Notes, as_request: bool, position: int) -> JsonObject | None:
    if not as_request:
        return reasoning_item(block, notes, position)
    if not is_own(block, notes.source, DIALECT):
        notes.lost("thinking_dropped", "another provider's thinking is of no use here", block.path)
        return None
    own_id, value = with_id(block)
    summary = [{"type": "summary_text", "text": block.text}] if block.text else []
    out: JsonObject = {"type": "reasoning", "id": own_id or f"rs_{position}", "summary": summary}
    return out | without_none(encrypted_content=value)


def reasoning_item(block: Thinking, notes: Notes, position: int) -> JsonObject:
    """Reasoning of an answer. At home it goes as it came; from elsewhere its signature tells the origin."""
    summary = [{"type": "summary_text", "text": block.text}] if block.text else []
    out: JsonObject = {"type": "reasoning", "id": (notes.home and block.id) or f"rs_{position}", "summary": summary}
    if not notes.home or block.signature is not None:
        out["encrypted_content"] = sealed(block, notes.source, DIALECT)
    return out


def _call_item(block: ToolCall, as_request: bool, position: int) -> JsonObject:
    if block.kind not in ("function", "custom") and isinstance(block.raw, dict):
        return block.raw
    kind, name = ("custom_tool_call", "input") if block.kind == "custom" else ("function_call", "arguments")
    out = {"type": kind, "call_id": block.id, "name": block.name, name: arguments_text(block.arguments)}
    if block.server:
        out["namespace"] = block.server
    return out if as_request else out | {"id": f"fc_{position}", "status": "completed"}


def _tools(tools: Sequence[Tool], notes: Notes) -> list[JsonObject]:
    out: list[JsonObject] = []
    for tool in tools:
        told = _tool(tool, notes)
        if told is None:
            continue
        if not tool.server or tool.kind not in ("function", "custom"):
            out.append(told)
        elif out and out[-1].get("type") == "namespace" and out[-1]["name"] == tool.server:
            out[-1]["tools"].append(told)
        else:
            out.append({"type": "namespace", "name": tool.server, "description": tool.server, "tools": [told]})
    return out


def _tool(tool: Tool, notes: Notes) -> JsonObject | None:
    if tool.kind not in ("function", "custom"):
        if notes.home:
            return tool.extra
        notes.lost("tool_dropped", f"{DIALECT} has no built-in tool {tool.kind!r}", tool.path)
        return None
    if tool.cache is not None:
        notes.lost("cache_marker_dropped", "a cache marker on a tool", tool.path)
    out: JsonObject = {"type": tool.kind, "name": tool.name}
    out |= without_none(description=tool.description, parameters=tool.schema)
    if tool.kind == "function":
        # Left out, OpenAI takes it as true and refuses schemas that are not strict.
        out["strict"] = tool.strict if notes.home or tool.strict is not None else False
        out.setdefault("parameters", {"type": "object", "properties": {}})
    return out | notes.extra(tool)


def _tool_choice(choice: ToolChoice, tools: Iterable[Tool]) -> JsonObject:
    told: Json = choice.mode
    if choice.mode == "tool":
        name = choice.names[0] if choice.names else ""
        kind = next((tool.kind for tool in tools if tool.name == name), "function")
        told = {"type": kind, "name": name} if kind in ("function", "custom") else {"type": kind}
    elif choice.names:
        listed = [{"type": "function", "name": name} for name in choice.names]
        told = {"type": "allowed_tools", "mode": choice.mode, "tools": listed}
    return {"tool_choice": told, **without_none(parallel_tool_calls=choice.parallel)}


def encode_response(response: Response) -> Encoded:
    notes = Notes(response.dialect, DIALECT)
    if response.error is not None and response.outcome is Outcome.ERROR:
        return encode_error(response.error)
    if notes.home and isinstance(response.raw, dict) and read_response(response.raw) == response:
        return Encoded(response.raw)
    if response.alternatives:
        notes.lost("candidates_dropped", f"{len(response.alternatives)} further candidates")
    if response.stop_sequence is not None:
        notes.note("info", "stop_sequence_dropped", "which stop sequence it was")
    blocks = response.blocks if notes.home else name_calls(response.blocks)
    body = response_body(response, assistant_items(blocks, notes, as_request=False))
    return Encoded(body | notes.extra(response), "", tuple(notes.found))


def response_body(response: Response, items: list[JsonObject]) -> JsonObject:
    """The answer's object around its items."""
    reason = response.stop_reason
    incomplete = _INCOMPLETE_WORDS.get(reason) if reason else None
    if response.dialect == DIALECT and response.stop_detail in INCOMPLETE:
        incomplete = response.stop_detail
    body: JsonObject = {
        "id": response.id or "resp_unknown",
        "object": "response",
        "created_at": response.created or 0,
        "status": "incomplete" if incomplete else "completed",
        "error": None,
        "incomplete_details": {"reason": incomplete} if incomplete else None,
        "model": response.model or "unknown",
        "output": items,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "instructions": None,
        "metadata": {},
        "temperature": None,
        "top_p": None,
    }
    if response.usage is not None:
        body["usage"] = encode_openai_responses_usage(response.usage)
    return body
