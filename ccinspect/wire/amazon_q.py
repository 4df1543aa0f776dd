"""Amazon Q Developer and Kiro: `GenerateAssistantResponse` and `SendMessage`. Only read.

There is no public reference; field names are those that the open-source Amazon Q command line sends and receives. The
operation stands in the header `x-amz-target`; the answer is an AWS event stream.
"""

from __future__ import annotations

from dataclasses import replace

from ccinspect.wire.apierror import error_kind, read_error
from ccinspect.wire.codec import Codec, leftover, names, read_object, readable
from ccinspect.wire.events import (
    BlockDelta,
    BlockStart,
    BlockStop,
    MessageStart,
    MessageStop,
    StreamFailure,
    UnknownEvent,
    UsageReport,
)
from ccinspect.wire.jsontext import as_list, as_name, as_object, as_text, dump_text
from ccinspect.wire.media import media_type_of
from ccinspect.wire.model import (
    ApiError,
    Block,
    Diagnostic,
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
    Tool,
    ToolCall,
    ToolResult,
    Unknown,
)
from ccinspect.wire.stream import MAX_BLOCKS, AwsFraming, StreamDecoder
from ccinspect.wire.usage import amazon_q_usage

DIALECT = "amazon_q"
_CONTEXT_FIELDS = names("tools toolResults")


def decode_request(body: bytes, path: str = "") -> Request:
    raw, diagnostics = read_object(body, DIALECT)
    state = as_object(raw.get("conversationState"))
    at: Path = ("conversationState",)
    history = as_list(state.get("history"))
    messages = [_message(item, (*at, "history", index)) for index, item in enumerate(history)]
    current = as_object(state.get("currentMessage"))
    if current:
        messages.append(_message(current, (*at, "currentMessage")))
    sent = as_object(current.get("userInputMessage"))
    context = as_object(sent.get("userInputMessageContext"))
    where: Path = (*at, "currentMessage", "userInputMessage", "userInputMessageContext", "tools")
    return Request(
        dialect=DIALECT,
        kind="generate" if state else "other",
        model=as_name(sent.get("modelId")),
        messages=tuple(messages),
        tools=tuple(_tool(tool, (*where, index)) for index, tool in enumerate(as_list(context.get("tools")))),
        stream=True,
        conversation_id=as_name(state.get("conversationId")),
        extra=leftover(raw, names("conversationState")),
        path=path,
        raw=raw,
        diagnostics=diagnostics,
    )


def _message(value: Json, path: Path) -> Message:
    raw = as_object(value)
    if isinstance(raw.get("assistantResponseMessage"), dict):
        inner = raw["assistantResponseMessage"]
        at = (*path, "assistantResponseMessage")
        blocks: list[Block] = [*_reasoning(inner, at), *_text(inner, at)]
        for index, call in enumerate(as_list(inner.get("toolUses"))):
            blocks.append(_call(call, (*at, "toolUses", index)))
        return Message("assistant", tuple(blocks), path=path, raw=raw)
    inner = as_object(raw.get("userInputMessage"))
    at = (*path, "userInputMessage")
    context = as_object(inner.get("userInputMessageContext"))
    blocks = []
    for index, result in enumerate(as_list(context.get("toolResults"))):
        blocks.append(_result(result, (*at, "userInputMessageContext", "toolResults", index)))
    blocks += _text(inner, at)
    for index, image in enumerate(as_list(inner.get("images"))):
        blocks.append(_image(image, (*at, "images", index)))
    for name, value in leftover(context, _CONTEXT_FIELDS).items():
        # What the editor or shell shows of itself goes into the context window too.
        place = (*at, "userInputMessageContext", name)
        blocks.append(Unknown(name, DIALECT, readable(value), path=place, raw=value))
    return Message("user", tuple(blocks), path=path, raw=raw)


def _text(inner: JsonObject, at: Path) -> list[Block]:
    text = as_text(inner.get("content"))
    return [Text(text, path=(*at, "content"), raw=text)] if text else []


def _reasoning(inner: JsonObject, at: Path) -> list[Block]:
    told = as_object(as_object(inner.get("reasoningContent")).get("reasoningText"))
    if not told:
        return []
    sign = as_name(told.get("signature"))
    signature = Signature(sign, DIALECT) if sign else None
    return [Thinking(as_text(told.get("text")), path=(*at, "reasoningContent"), raw=told, signature=signature)]


def _call(value: Json, path: Path) -> ToolCall:
    raw = as_object(value)
    arguments = raw.get("input")
    call_id, name = as_text(raw.get("toolUseId")), as_text(raw.get("name"))
    return ToolCall(call_id, name, arguments if isinstance(arguments, dict | str) else {}, path=path, raw=raw)


def _result(value: Json, path: Path) -> ToolResult:
    raw = as_object(value)
    content = []
    for index, item in enumerate(map(as_object, as_list(raw.get("content")))):
        text = as_text(item.get("text")) if "text" in item else dump_text(item.get("json"))
        content.append(Text(text, path=(*path, "content", index), raw=item))
    failed = raw.get("status") == "error"
    return ToolResult(as_text(raw.get("toolUseId")), None, tuple(content), failed, path=path, raw=raw)


def _image(value: Json, path: Path) -> Media:
    raw = as_object(value)
    data = as_text(as_object(raw.get("source")).get("bytes"))
    return Media("image", media_type_of(as_text(raw.get("format")), "image"), data, path=path, raw=raw)


def _tool(value: Json, path: Path) -> Tool:
    raw = as_object(value)
    spec = as_object(raw.get("toolSpecification"))
    schema = as_object(spec.get("inputSchema")).get("json")
    tool = Tool(as_text(spec.get("name")), as_name(spec.get("description")))
    return replace(tool, schema=schema if isinstance(schema, dict) else None, path=path, raw=raw)


def decode_response(body: bytes, status: int = 200) -> Response:
    """A buffered body: an error in JSON, or an event stream kept whole."""
    raw, diagnostics = read_object(body, DIALECT)
    if status >= 400 or "__type" in raw:
        kept: tuple[Diagnostic, ...] = diagnostics
        return Response(DIALECT, error=read_error(raw, status), outcome=Outcome.ERROR, raw=raw, diagnostics=kept)
    if diagnostics and body:
        stream = open_stream()
        stream.feed(body)
        return stream.close("eof")
    return Response(DIALECT, outcome=Outcome.TRUNCATED, raw=raw, diagnostics=diagnostics)


class AmazonQStream(StreamDecoder):
    """The events have no end mark and no stop reason; the clean end of the body is the end of the answer."""

    dialect = DIALECT
    end_mark_optional = True

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self._next = 0
        self._kind = ""
        self._calls: dict[str, int] = {}
        self._stopped: set[str] = set()
        self._begun = False

    def on_event(self, name: str, data: JsonObject) -> None:
        if name.startswith("!") or name == "error":
            word = name[1:] if name.startswith("!") else as_text(data.get("__type"))
            error = ApiError(error_kind(None, word), as_text(data.get("message")), word or None, raw=data)
            self.out.append(StreamFailure(error))
            return
        if not self._begun:
            self._begun = True
            self.out.append(MessageStart())
        if name == "assistantResponseEvent":
            if as_name(data.get("modelId")):
                self.out.append(MessageStart(model=as_name(data["modelId"])))
            self._piece("text", as_text(data.get("content")))
        elif name == "reasoningContentEvent":
            self._piece("thinking", as_text(data.get("text")))
            sign = as_text(data.get("signature"))
            if sign and self._kind == "thinking":
                self.out.append(BlockDelta(self._next, "signature", sign))
        elif name == "toolUseEvent":
            self._tool_use(data)
        elif name in ("metadataEvent", "messageMetadataEvent"):
            self._metadata(data)
        elif name == "invalidStateEvent":
            message = as_text(data.get("message")) or as_text(data.get("reason"))
            self.out.append(StreamFailure(ApiError(error_kind(None), message, as_name(data.get("reason")), raw=data)))
        else:
            self.out.append(UnknownEvent(name, data))

    def _metadata(self, data: JsonObject) -> None:
        if as_name(data.get("utteranceId")):
            self.out.append(MessageStart(as_name(data["utteranceId"])))
        usage = amazon_q_usage(data.get("tokenUsage"))
        if usage is not None:
            self.out.append(UsageReport(usage))

    def _piece(self, kind: str, text: str) -> None:
        if not text:
            return
        if self._kind != kind:
            self._close()
            self._kind = kind
            self.out.append(BlockStart(self._next, Text() if kind == "text" else Thinking()))
        self.out.append(BlockDelta(self._next, "text" if kind == "text" else "thinking", text))

    def _close(self) -> None:
        if self._kind:
            self.out.append(BlockStop(self._next))
            self._next += 1
            self._kind = ""

    def _tool_use(self, data: JsonObject) -> None:
        call_id = as_text(data.get("toolUseId"))
        index = self._calls.get(call_id)
        if index is None and self._next > MAX_BLOCKS:
            return
        if index is None:
            self._close()
            index = self._calls[call_id] = self._next
            self._next += 1
            self.out.append(BlockStart(index, ToolCall(call_id, as_text(data.get("name")))))
        given = data.get("input")
        text = dump_text(given) if isinstance(given, dict) else as_text(given)
        if text:
            self.out.append(BlockDelta(index, "arguments", text))
        if data.get("stop") is True and call_id not in self._stopped:
            self._stopped.add(call_id)
            self.out.append(BlockStop(index))

    def on_close(self) -> None:
        self._close()
        whole = self._calls.keys() == self._stopped and self.lost_events() is None
        if whole and self._next and self.builder.error is None:
            self.out.append(MessageStop(StopReason.TOOL_USE if self._calls else StopReason.END_TURN))


def open_stream(content_type: str = "") -> AmazonQStream:
    return AmazonQStream(AwsFraming())


CODEC = Codec(DIALECT, decode_request, decode_response, open_stream)
