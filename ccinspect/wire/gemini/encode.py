"""Google Gemini: requests, buffered answers and errors out of the neutral model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ccinspect.wire.apierror import STATUS
from ccinspect.wire.codec import Encoded, Notes, coalesce, hoist_system, name_calls, patched, readable, without_none
from ccinspect.wire.gemini.decode import (
    DIALECT,
    NO_SIGNATURE,
    STOP_REASONS,
    read_part,
    read_request,
    read_response,
    unwrapped_request,
)
from ccinspect.wire.jsontext import arguments_object, dump_text, parse
from ccinspect.wire.model import (
    ApiError,
    Block,
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
from ccinspect.wire.repair import choice_among, name_missing, pair_tools, stops_among
from ccinspect.wire.signatures import is_own, sealed, wrap
from ccinspect.wire.usage import encode_gemini_usage

STOP_WORDS = {reason: word for word, reason in reversed(STOP_REASONS.items())} | {
    StopReason.TOOL_USE: "STOP",
    StopReason.STOP_SEQUENCE: "STOP",
    StopReason.PAUSE: "STOP",
    StopReason.REFUSAL: "SAFETY",
    StopReason.CONTENT_FILTER: "SAFETY",
    StopReason.CONTEXT_WINDOW: "MAX_TOKENS",
    StopReason.ERROR: "OTHER",
    StopReason.OTHER: "OTHER",
}
_MAX_STOPS = 5
_LEVELS = {"none": "minimal", "xhigh": "high", "max": "high"}


def path_of(request: Request) -> str:
    method = "streamGenerateContent?alt=sse" if request.stream else "generateContent"
    if request.kind == "count_tokens":
        method = "countTokens"
    return f"/v1beta/models/{request.model or 'unknown'}:{method}"


def encode_request(request: Request) -> Encoded:
    notes = Notes(request.dialect, DIALECT)
    if notes.home and isinstance(request.raw, dict):
        return Encoded(_at_home(request, request.raw), request.path or path_of(request))
    body = _body(request, notes)
    return Encoded(body, path_of(request), tuple(notes.found))


def _at_home(request: Request, raw: JsonObject) -> JsonObject:
    """With Code Assist's envelope, where the request came in one."""
    inner, at = unwrapped_request(raw)
    if not at:
        return patched(request, raw, read_request, _body)
    if read_request(raw, request.path) == request:
        return raw
    inside = patched(request, inner, read_request, _body)
    # The model stands in the envelope.
    return {**raw, **without_none(model=request.model), "request": {k: v for k, v in inside.items() if k not in raw}}


def _body(request: Request, notes: Notes) -> JsonObject:
    if request.kind not in ("generate", "count_tokens"):
        notes.note("error", "kind_not_supported", f"{DIALECT} has no {request.kind} requests of this form")
    body: JsonObject = {}
    system, messages = (request.system, request.messages) if notes.home else hoist_system(request)
    parts = [part for block in system for part in encode_part(block, notes, True)]
    if parts:
        body["systemInstruction"] = {"parts": parts}
    body["contents"] = list(_contents(request, messages, notes))
    tools = _tools(request.tools, notes)
    if tools:
        body["tools"] = tools
    choice = choice_among(request, notes)
    if choice is not None:
        body["toolConfig"] = {"functionCallingConfig": _tool_choice(choice, notes)}
    config = _config(request, notes)
    extra = dict(notes.extra(request))
    config |= extra.pop("generationConfig", {})
    if config:
        body["generationConfig"] = config
    return body | extra


def _contents(request: Request, messages: Sequence[Message], notes: Notes) -> Iterable[JsonObject]:
    if notes.home:
        for message in messages:
            again = read_request({"contents": [message.raw]}).messages if isinstance(message.raw, dict) else ()
            yield message.raw if again == (message,) else _one_content(_role(message), [message], notes)
        return
    for role, group in coalesce(pair_tools(messages, notes), _role):
        for message in group:
            notes.unsaid(message.name is not None, "the name of a message's author", message.path)
            if message.role in ("system", "developer"):
                notes.note("warning", "system_in_history", "a system message is told as the user's", message.path)
        content = _one_content(role, group, notes)
        if role == "model" and _needs_signatures(request.model):
            _excuse(content["parts"])
        if content["parts"]:
            yield content
        else:
            notes.note("info", "empty_message_dropped", "a message without content", group[0].path)


def _needs_signatures(model: str | None) -> bool:
    """From Gemini 3 on, a history with calls is refused unless its first call of each step is signed."""
    return model is not None and model.startswith("gemini-") and not model.startswith(("gemini-1", "gemini-2"))


def _excuse(parts: list[JsonObject]) -> None:
    call = next((part for part in parts if "functionCall" in part), None)
    if call is not None:
        call.setdefault("thoughtSignature", NO_SIGNATURE)


def _role(message: Message) -> str:
    return "model" if message.role == "assistant" else "user"


def _one_content(role: str, group: list[Message], notes: Notes) -> JsonObject:
    blocks = [block for message in group for block in message.blocks]
    # Results must stand first in the content that answers the calls.
    blocks.sort(key=lambda block: not isinstance(block, ToolResult) or block.executor != "client")
    extra: JsonObject = {}
    for message in group:
        extra |= notes.extra(message)
    return {"role": role, "parts": [part for block in blocks for part in encode_part(block, notes, True)], **extra}


def encode_part(block: Block, notes: Notes, as_request: bool) -> list[JsonObject]:
    """The block as one part, or none when it cannot be said (and is named)."""
    if notes.home and isinstance(block.raw, dict) and read_part(block.raw, block.path) == block:
        return [block.raw]
    out = _encode_part(block, notes, as_request)
    if out is None:
        return []
    if block.cache is not None and as_request:
        notes.lost("cache_marker_dropped", f"{DIALECT} has no cache markers", block.path)
    if block.signature is not None and not isinstance(block, Thinking):
        if as_request and block.signature.origin != DIALECT:
            notes.lost("signature_dropped", f"a signature of {block.signature.origin}", block.path)
        else:
            out["thoughtSignature"] = wrap(block.signature, DIALECT)
    return [out | notes.extra(block)]


def _encode_part(block: Block, notes: Notes, as_request: bool) -> JsonObject | None:
    if isinstance(block, Text):
        return _text(block, notes, as_request)
    if isinstance(block, Refusal):
        notes.note("info", "refusal_as_text", "a refusal is told as text", block.path)
        return {"text": block.text}
    if isinstance(block, Thinking):
        return _thinking(block, notes, as_request)
    if isinstance(block, Media):
        return _media(block, notes)
    if isinstance(block, ToolCall) and block.executor == "client":
        return _call(block, notes)
    if isinstance(block, ToolResult) and block.executor == "client":
        return {"functionResponse": _response(block, notes)}
    if isinstance(block, Unknown) and block.dialect != DIALECT:
        notes.lost("block_dropped", f"{DIALECT} has no part for {block.kind!r}", block.path)
        return None
    if notes.home and isinstance(block.raw, dict):
        return block.raw
    notes.lost("server_tool_dropped", "what another provider's own tools did", block.path)
    return None


def _text(block: Text, notes: Notes, as_request: bool) -> JsonObject | None:
    if not block.text and block.signature is None:
        notes.note("info", "empty_text_dropped", "an empty text", block.path)
        return None
    if block.citations and as_request and not notes.home:
        notes.lost("citations_dropped", f"{len(block.citations)} citations", block.path)
    return {"text": block.text}


def _thinking(block: Thinking, notes: Notes, as_request: bool) -> JsonObject | None:
    if as_request and not is_own(block, notes.source, DIALECT):
        notes.lost("thinking_dropped", "another provider's thinking is of no use here", block.path)
        return None
    out: JsonObject = {"text": block.text, "thought": True}
    sign = sealed(block, notes.source, DIALECT)
    return out | ({"thoughtSignature": sign} if sign else {})


def _media(block: Media, notes: Notes) -> JsonObject | None:
    notes.unsaid(block.detail is not None, "the detail of an image", block.path)
    notes.unsaid(block.context is not None, "the context of a document", block.path)
    named = without_none(displayName=block.name)
    default = {"image": "image/png", "audio": "audio/wav", "video": "video/mp4"}.get(block.kind, "application/pdf")
    if block.data is not None:
        return {"inlineData": {"mimeType": block.media_type or default, "data": block.data, **named}}
    if block.url is not None:
        return {"fileData": without_none(mimeType=block.media_type, fileUri=block.url, **named)}
    if block.text is not None:
        notes.note("info", "document_as_text", "a plain-text document is told as text", block.path)
        return {"text": block.text}
    notes.lost("media_dropped", "a file stored with another provider", block.path)
    return None


def _call(block: ToolCall, notes: Notes) -> JsonObject:
    if not isinstance(block.arguments, dict):
        notes.note("warning", "arguments_wrapped", "arguments that are no object go under the key 'input'", block.path)
    if block.server:
        notes.note("info", "namespace_dropped", f"{block.name!r} belongs to {block.server!r}", block.path)
    call: JsonObject = {"id": block.id} if block.id else {}
    return {"functionCall": call | {"name": block.name, "args": arguments_object(block.arguments)}}


def _response(block: ToolResult, notes: Notes) -> JsonObject:
    texts = [item.text for item in block.content if isinstance(item, Text | Unknown)]
    parts: list[JsonObject] = []
    for item in block.content:
        if isinstance(item, Media):
            parts += encode_part(item, notes, True)
    if len(texts) > 1:
        notes.note("info", "texts_joined", f"{len(texts)} blocks of a tool result are told as one", block.path)
    text = "\n".join(texts)
    out: JsonObject = {"id": block.call_id} if block.call_id else {}
    out |= {"name": block.name or "unknown", "response": _response_object(text, block.is_error)}
    return out | ({"parts": parts} if parts else {})


def _response_object(text: str, is_error: bool) -> JsonObject:
    if is_error:
        return {"error": text}
    value, problem = parse(text) if text.startswith("{") else (None, "not an object")
    # Only what Gemini's own results would be told as: anything else would come back with another spelling.
    if problem is None and isinstance(value, dict) and dump_text(value) == text:
        return value
    return {"output": text}


def _tools(tools: Sequence[Tool], notes: Notes) -> list[JsonObject]:
    declarations: list[JsonObject] = []
    out: list[JsonObject] = []
    for tool in tools:
        if tool.kind in ("function", "custom"):
            declarations.append(_declaration(tool, notes))
        elif notes.home:
            out.append(tool.extra)
        else:
            notes.lost("tool_dropped", f"{DIALECT} has no built-in tool {tool.kind!r}", tool.path)
    return ([{"functionDeclarations": declarations}] if declarations else []) + out


def _declaration(tool: Tool, notes: Notes) -> JsonObject:
    notes.unsaid(tool.strict is True and not notes.home, "strict tools", tool.path)
    if tool.cache is not None:
        notes.lost("cache_marker_dropped", f"{DIALECT} has no cache markers", tool.path)
    if tool.server:
        notes.note("info", "namespace_dropped", f"{tool.name!r} belongs to {tool.server!r}", tool.path)
    schema = tool.schema
    if tool.kind == "custom":
        notes.note("warning", "custom_tool_as_function", f"{tool.name!r} takes free text", tool.path)
        schema = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
    elif schema is not None and not notes.home:
        kept = without_empty_enums(schema)
        if kept != schema:
            notes.note("warning", "schema_changed", f"empty strings in enums of {tool.name!r}", tool.path)
        schema = kept
    out = without_none(name=tool.name, description=tool.description, parametersJsonSchema=schema)
    return out | notes.extra(tool)


def without_empty_enums(schema: Json) -> Json:
    """The schema without empty strings among the values of an enum, which Gemini refuses."""
    if isinstance(schema, list):
        return [without_empty_enums(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    out = {}
    for key, value in schema.items():
        if key == "enum" and isinstance(value, list):
            value = [item for item in value if item != ""]
            if not value:
                continue
        out[key] = without_empty_enums(value)
    return out


def _tool_choice(choice: ToolChoice, notes: Notes) -> JsonObject:
    notes.unsaid(choice.parallel is not None, "whether calls may be parallel")
    mode = {"auto": "AUTO", "none": "NONE", "required": "ANY", "tool": "ANY"}[choice.mode]
    if choice.names and mode == "AUTO":
        mode = "VALIDATED"
    return {"mode": mode} | ({"allowedFunctionNames": list(choice.names)} if choice.names else {})


def _config(request: Request, notes: Notes) -> JsonObject:
    sampling = request.sampling
    notes.unsaid(request.user is not None, "the user")
    notes.unsaid(request.conversation_id is not None, "conversation")
    notes.unsaid(request.service_tier is not None, "the service tier")
    name_missing(request, notes)
    out = without_none(
        maxOutputTokens=sampling.max_tokens,
        temperature=sampling.temperature,
        topP=sampling.top_p,
        topK=sampling.top_k,
        stopSequences=stops_among(sampling.stop, _MAX_STOPS, notes),
        seed=sampling.seed,
        presencePenalty=sampling.presence_penalty,
        frequencyPenalty=sampling.frequency_penalty,
        candidateCount=sampling.candidates,
    )
    thinking = _thinking_config(request, notes)
    if thinking:
        out["thinkingConfig"] = thinking
    if request.output is not None:
        out["responseMimeType"] = "application/json"
        if request.output.schema is not None:
            out["responseJsonSchema"] = request.output.schema
        notes.unsaid(request.output.name is not None, "the name of the output schema")
        notes.unsaid(request.output.strict is not None, "strict of the output schema")
    return out


def _thinking_config(request: Request, notes: Notes) -> JsonObject:
    reasoning = request.reasoning
    if reasoning is None:
        return {}
    out: JsonObject = {}
    if reasoning.enabled is False:
        out["thinkingBudget"] = 0
    elif reasoning.budget is not None:
        out["thinkingBudget"] = reasoning.budget
        notes.unsaid(reasoning.effort is not None, "an effort beside a budget")
    elif reasoning.effort is not None:
        level = out["thinkingLevel"] = _LEVELS.get(reasoning.effort, reasoning.effort)
        if level != reasoning.effort:
            notes.note("warning", "value_changed", f"effort {reasoning.effort!r} is sent as {level!r}")
    elif reasoning.enabled:
        out["thinkingBudget"] = -1
    if reasoning.summary is not None and reasoning.summary != "omitted":
        out["includeThoughts"] = True
        if reasoning.summary != "included":
            notes.note("info", "value_changed", f"a {reasoning.summary!r} summary is asked for as thoughts")
    return out


def encode_response(response: Response) -> Encoded:
    notes = Notes(response.dialect, DIALECT)
    if response.error is not None and response.outcome is Outcome.ERROR:
        return encode_error(response.error)
    if notes.home and isinstance(response.raw, dict) and read_response(response.raw) == response:
        return Encoded(response.raw)
    if response.stop_sequence is not None:
        notes.note("info", "stop_sequence_dropped", "which stop sequence it was")
    candidates = []
    for index, blocks in enumerate([response.blocks, *response.alternatives]):
        named = blocks if notes.home else name_calls(blocks)
        parts = [part for block in named for part in encode_part(block, notes, False)]
        candidate: JsonObject = {"content": {"role": "model", "parts": parts}, "index": index}
        candidate |= grounding([c for block in blocks if isinstance(block, Text) for c in block.citations], notes)
        if response.stop_reason is not None:
            candidate["finishReason"] = finish_word(response)
        candidates.append(candidate)
    body: JsonObject = {"candidates": candidates}
    if response.usage is not None:
        body["usageMetadata"] = encode_gemini_usage(response.usage)
    body |= without_none(modelVersion=response.model, responseId=response.id)
    return Encoded(body | notes.extra(response), "", tuple(notes.found))


def finish_word(response: Response) -> str:
    if response.dialect == DIALECT and response.stop_detail:
        return response.stop_detail
    return STOP_WORDS[response.stop_reason or StopReason.OTHER]


def grounding(citations: Sequence[Citation], notes: Notes) -> JsonObject:
    if not citations or notes.home:
        return {}
    webs = [{"web": without_none(uri=item.url, title=item.title)} for item in citations if item.url]
    if len(webs) < len(citations):
        notes.lost("citations_dropped", f"{len(citations) - len(webs)} citations without a URL")
    return {"groundingMetadata": {"groundingChunks": webs}} if webs else {}


_STATUS_WORDS = {
    ErrorKind.INVALID_REQUEST: "INVALID_ARGUMENT",
    ErrorKind.AUTHENTICATION: "UNAUTHENTICATED",
    ErrorKind.PERMISSION: "PERMISSION_DENIED",
    ErrorKind.NOT_FOUND: "NOT_FOUND",
    ErrorKind.TOO_LARGE: "INVALID_ARGUMENT",
    ErrorKind.RATE_LIMIT: "RESOURCE_EXHAUSTED",
    ErrorKind.QUOTA: "RESOURCE_EXHAUSTED",
    ErrorKind.OVERLOADED: "UNAVAILABLE",
    ErrorKind.TIMEOUT: "DEADLINE_EXCEEDED",
    ErrorKind.SERVER: "INTERNAL",
}


def encode_error(error: ApiError) -> Encoded:
    code = error.status if error.status is not None and error.status >= 400 else STATUS[error.kind]
    message = error.message or readable(error.raw, 500) or f"HTTP {code}"
    body: JsonObject = {"code": code, "message": message, "status": _STATUS_WORDS[error.kind]}
    if error.retry_after is not None:
        kind = "type.googleapis.com/google.rpc.RetryInfo"
        body["details"] = [{"@type": kind, "retryDelay": f"{error.retry_after:g}s"}]
    return Encoded({"error": body})
