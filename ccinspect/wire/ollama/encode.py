"""Ollama: requests, buffered answers and errors out of the neutral model. Always told as `/api/chat`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from ccinspect.wire.apierror import STATUS
from ccinspect.wire.codec import Encoded, Notes, coalesce, name_calls, patched, readable, without_none
from ccinspect.wire.jsontext import arguments_object
from ccinspect.wire.model import (
    ApiError,
    Block,
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
    ToolResult,
    Unknown,
)
from ccinspect.wire.ollama.decode import DIALECT, read_message, read_request, read_response
from ccinspect.wire.repair import name_missing, pair_tools
from ccinspect.wire.signatures import is_own, sealed, wrap
from ccinspect.wire.usage import encode_ollama_usage

PATH = "/api/chat"
_EFFORTS: dict[str, str | bool] = {"none": False, "minimal": "low", "xhigh": "high", "max": "high"}
"""Words of other dialects that Ollama refuses."""


def encode_request(request: Request) -> Encoded:
    notes = Notes(request.dialect, DIALECT)
    raw = request.raw if notes.home else None
    if isinstance(raw, dict) and ("messages" in raw or read_request(raw, request.path) == request):
        return Encoded(patched(request, raw, read_request, _body), request.path or PATH)
    body = _body(request, notes)
    return Encoded(body, PATH, tuple(notes.found))


def _body(request: Request, notes: Notes) -> JsonObject:
    if request.kind != "generate":
        notes.note("error", "kind_not_supported", f"a {request.kind} request is sent as one that generates")
    body = without_none(model=request.model)
    body["messages"] = list(_messages(request, notes))
    tools = [told for tool in request.tools if (told := _tool(tool, notes)) is not None]
    if tools:
        body["tools"] = tools
    if request.tool_choice is not None:
        choice = request.tool_choice
        notes.unsaid(choice.mode != "auto" or bool(choice.names), "the choice of tools")
        notes.unsaid(choice.parallel is not None, "whether calls may be parallel")
    body["stream"] = request.stream
    extra = dict(notes.extra(request))
    options = _options(request, notes) | extra.pop("options", {})
    if options:
        body["options"] = options
    body |= _modes(request, notes)
    return body | extra


def _options(request: Request, notes: Notes) -> JsonObject:
    sampling = request.sampling
    notes.unsaid((sampling.candidates or 1) > 1, "more than one candidate")
    notes.unsaid(request.user is not None, "the user")
    notes.unsaid(request.conversation_id is not None, "conversation")
    notes.unsaid(request.service_tier is not None, "the service tier")
    name_missing(request, notes)
    return without_none(
        num_predict=sampling.max_tokens,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        stop=list(sampling.stop) or None,
        seed=sampling.seed,
        presence_penalty=sampling.presence_penalty,
        frequency_penalty=sampling.frequency_penalty,
    )


def _modes(request: Request, notes: Notes) -> JsonObject:
    out: JsonObject = {}
    reasoning = request.reasoning
    if reasoning is not None:
        if reasoning.enabled is False:
            out["think"] = False
        elif reasoning.effort is not None:
            out["think"] = word = _EFFORTS.get(reasoning.effort, reasoning.effort)
            if word != reasoning.effort:
                notes.lost("value_changed", f"effort {reasoning.effort!r} is sent as {word!r}")
        elif reasoning.enabled:
            out["think"] = True
        if reasoning.budget is not None:
            notes.lost("value_changed", f"a thinking budget of {reasoning.budget} cannot be said")
        notes.unsaid(reasoning.summary is not None, "what of the thinking is shown")
    if request.output is not None:
        out["format"] = request.output.schema if request.output.schema is not None else "json"
        notes.unsaid(request.output.name is not None, "the name of the output schema")
        notes.unsaid(request.output.strict is not None, "strict of the output schema")
    return out


def _messages(request: Request, notes: Notes) -> Iterable[JsonObject]:
    for block in request.system:
        yield from _message("system", [block], notes, {})
    if notes.home:
        for message in request.messages:
            if isinstance(message.raw, dict) and read_message(message.raw, message.path) == message:
                yield message.raw
            else:
                yield from _message(message.role, message.blocks, notes, notes.extra(message))
        return
    for role, group in coalesce(pair_tools(request.messages, notes), _role):
        if role == "user":
            # Results come first; each of the user's messages stays one.
            answers = [block for message in group for block in message.blocks if isinstance(block, ToolResult)]
            yield from _message("tool", answers, notes, {})
        for message in group:
            notes.unsaid(message.name is not None, "the name of a message's author", message.path)
            blocks = [block for block in message.blocks if not isinstance(block, ToolResult)]
            if role != "assistant":
                told = "system" if role == "developer" else role
                for text in _one_text_each(blocks):
                    yield from _message(told, text, notes, notes.extra(message))
        if role == "assistant":
            yield from _message(role, [block for message in group for block in message.blocks], notes, {})


def _one_text_each(blocks: Iterable[Block]) -> Iterable[list[Block]]:
    """The blocks in groups of one text and the images beside it: a message has one text only."""
    group: list[Block] = []
    for block in blocks:
        if not isinstance(block, Media) and any(not isinstance(item, Media) for item in group):
            yield group
            group = []
        group.append(block)
    if group:
        yield group


def _role(message: Message) -> str:
    return "user" if message.role == "tool" else message.role


def _message(role: str, blocks: Sequence[Block], notes: Notes, extra: JsonObject) -> Iterable[JsonObject]:
    rest: list[Block] = []
    for block in blocks:
        if isinstance(block, ToolResult):
            yield from _result(block, notes)
        else:
            rest.append(block)
    if rest:
        told = message_of(role, rest, notes, as_request=True)
        if told["content"] or len(told) > 2 or notes.home:
            yield {**told, **extra}
        else:
            notes.note("info", "empty_message_dropped", "a message without content", rest[0].path)


def _result(block: ToolResult, notes: Notes) -> Iterable[JsonObject]:
    if block.executor == "provider":
        notes.lost("server_tool_dropped", "what another provider's own tools did", block.path)
        return
    if block.is_error:
        notes.lost("error_flag_dropped", "a tool result cannot be marked as an error", block.path)
    if block.cache is not None:
        notes.lost("cache_marker_dropped", f"{DIALECT} has no cache markers", block.path)
    texts = [item for item in block.content if isinstance(item, Text)]
    if len(texts) > 1:
        notes.note("info", "texts_joined", f"{len(texts)} blocks of a tool result are told as one", block.path)
    out = message_of("tool", block.content, notes, as_request=True)
    yield out | without_none(tool_name=block.name, tool_call_id=block.call_id or None)


def message_of(role: str, blocks: Iterable[Block], notes: Notes, as_request: bool) -> JsonObject:
    """One message: all text in one, images beside it."""
    texts: list[str] = []
    images: list[str] = []
    thoughts: list[Thinking] = []
    calls: list[JsonObject] = []
    signs: list[str] = []
    for block in blocks:
        if block.cache is not None and as_request:
            notes.lost("cache_marker_dropped", f"{DIALECT} has no cache markers", block.path)
        if block.signature is not None and not isinstance(block, Thinking):
            if as_request:
                notes.lost("signature_dropped", f"a signature of {block.signature.origin}", block.path)
            else:
                signs.append(wrap(block.signature, DIALECT))
        if isinstance(block, Text | Refusal):
            _note_text(block, notes)
            texts.append(block.text)
        elif isinstance(block, Unknown):
            notes.lost("block_dropped", f"{DIALECT} has no block for {block.kind!r}", block.path)
        elif isinstance(block, Media):
            images += _image(block, notes, texts)
        elif isinstance(block, Thinking):
            if not as_request or is_own(block, notes.source, DIALECT):
                thoughts.append(block)
            else:
                notes.lost("thinking_dropped", "another provider's thinking is of no use here", block.path)
        elif isinstance(block, ToolCall) and block.executor == "client":
            calls.append(call_of(block, notes))
        else:
            notes.lost("server_tool_dropped", "what another provider's own tools did", block.path)
    if len(texts) > 1 and role != "tool":
        notes.note("info", "texts_joined", f"{len(texts)} blocks of text are told as one")
    out: JsonObject = {"role": role, "content": "\n\n".join(texts)}
    if thoughts:
        out["thinking"] = "".join(block.text for block in thoughts)
        if not notes.home or any(block.signature for block in thoughts):
            signs = [sealed(block, notes.source, DIALECT) for block in thoughts] + signs
    told = {"images": images or None, "tool_calls": calls or None, "thinking_signatures": signs or None}
    return out | without_none(**told)


def _note_text(block: Text | Refusal, notes: Notes) -> None:
    if isinstance(block, Refusal):
        notes.note("info", "refusal_as_text", "a refusal is told as text", block.path)
    elif block.citations:
        notes.lost("citations_dropped", f"{len(block.citations)} citations", block.path)
    notes.extra(block)


def _image(block: Media, notes: Notes, texts: list[str]) -> list[str]:
    if block.kind == "image" and block.data is not None:
        # Ollama takes the bare base64 and finds out the type by itself.
        notes.unsaid(block.media_type is not None, "an image's media type", block.path)
        notes.unsaid(block.detail is not None, "the detail of an image", block.path)
        return [block.data]
    if block.text is not None:
        notes.note("info", "document_as_text", "a plain-text document is told as text", block.path)
        texts.append(block.text)
    else:
        notes.lost("media_dropped", f"{DIALECT} takes only inline images", block.path)
    return []


def call_of(block: ToolCall, notes: Notes) -> JsonObject:
    if not isinstance(block.arguments, dict):
        notes.note("warning", "arguments_wrapped", "arguments that are no object go under the key 'input'", block.path)
    if block.server:
        notes.note("info", "namespace_dropped", f"{block.name!r} belongs to {block.server!r}", block.path)
    call: JsonObject = {"id": block.id} if block.id else {}
    notes.extra(block)
    return call | {"function": {"name": block.name, "arguments": arguments_object(block.arguments)}}


def _tool(tool: Tool, notes: Notes) -> JsonObject | None:
    if tool.kind not in ("function", "custom"):
        notes.lost("tool_dropped", f"{DIALECT} has no built-in tool {tool.kind!r}", tool.path)
        return None
    notes.unsaid(tool.strict is True, "strict tools", tool.path)
    if tool.cache is not None:
        notes.lost("cache_marker_dropped", f"{DIALECT} has no cache markers", tool.path)
    if tool.server:
        notes.note("info", "namespace_dropped", f"{tool.name!r} belongs to {tool.server!r}", tool.path)
    schema = tool.schema
    if tool.kind == "custom":
        notes.note("warning", "custom_tool_as_function", f"{tool.name!r} takes free text", tool.path)
        schema = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
    inner = without_none(name=tool.name, description=tool.description, parameters=schema)
    return {"type": "function", "function": inner | notes.extra(tool)}


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
    if response.id is not None:
        notes.note("info", "id_dropped", "the answer's id")
    blocks = response.blocks if notes.home else name_calls(response.blocks)
    body = head_of(response) | {"message": message_of("assistant", blocks, notes, as_request=False)}
    body |= last_of(response)
    return Encoded(body | notes.extra(response), "", tuple(notes.found))


def head_of(response: Response) -> JsonObject:
    try:
        moment = datetime.fromtimestamp(response.created or 0, UTC)
    except (ValueError, OverflowError, OSError):
        moment = datetime.fromtimestamp(0, UTC)
    return {"model": response.model or "unknown", "created_at": moment.isoformat().replace("+00:00", "Z")}


def last_of(response: Response) -> JsonObject:
    """What only the last line of a stream, and every buffered answer, says."""
    lengths = (StopReason.MAX_TOKENS, StopReason.CONTEXT_WINDOW)
    word = "length" if response.stop_reason in lengths else "stop"
    if response.dialect == DIALECT and response.stop_detail:
        word = response.stop_detail
    counters = encode_ollama_usage(response.usage) if response.usage is not None else {}
    return {"done": True, "done_reason": word, **counters}


def as_prompted(body: JsonObject) -> JsonObject:
    """An answer of `/api/chat` as `/api/generate` gives it, which knows no tools."""
    if "message" not in body:
        return body
    message = body["message"]
    told = {"response": message["content"], **without_none(thinking=message.get("thinking"))}
    return {key: value for key, value in body.items() if key != "message"} | told


def encode_error(error: ApiError) -> Encoded:
    return Encoded({"error": error.message or readable(error.raw, 500) or f"HTTP {error.status or STATUS[error.kind]}"})
