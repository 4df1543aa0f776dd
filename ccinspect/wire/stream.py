"""From stream events to the answer so far, and the frame that all dialects' stream decoders share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from ccinspect.wire.events import (
    BlockDelta,
    BlockPatch,
    BlockSigned,
    BlockStart,
    BlockStop,
    CitationAdded,
    MessageStart,
    MessageStop,
    StreamEnd,
    StreamEvent,
    StreamFailure,
    UnknownEvent,
    UsageReport,
)
from ccinspect.wire.eventstream import EventStreamDecoder
from ccinspect.wire.jsontext import dump_text, mend_text, parse_arguments, parse_event
from ccinspect.wire.model import (
    ApiError,
    Block,
    Citation,
    Diagnostic,
    JsonObject,
    Outcome,
    Refusal,
    Response,
    Signature,
    Text,
    Thinking,
    ToolCall,
    Unknown,
    Usage,
)
from ccinspect.wire.ndjson import ArrayDecoder, LineDecoder
from ccinspect.wire.signatures import attach_carried, signer_of, unwrap
from ccinspect.wire.sse import SseDecoder
from ccinspect.wire.usage import merge_usage

MAX_BLOCKS = 20_000
MAX_KEPT = 160_000_000
"""Characters of content that are kept of one answer."""
MAX_DIAGNOSTICS = 20

CloseReason = Literal["eof", "client_disconnected", "upstream_reset"]

_OUTCOMES = {
    "eof": Outcome.TRUNCATED,
    "client_disconnected": Outcome.CLIENT_DISCONNECTED,
    "upstream_reset": Outcome.UPSTREAM_RESET,
}


@dataclass(slots=True)
class _Draft:
    """A block that is still being written."""

    block: Block
    candidate: int
    parts: dict[str, list[str]] = field(default_factory=dict)
    citations: list[Citation] = field(default_factory=list)
    signature: Signature | None = None
    patch: JsonObject | None = None
    final: Block | None = None

    def finish(self, signer: str) -> Block:
        """The block as far as it came."""
        block = self.final or self._joined()
        sealed = self._text("signature")
        signature = unwrap(sealed, signer) if sealed else self.signature
        return replace(block, signature=signature) if signature and not block.signature else block

    def _text(self, kind: str) -> str:
        parts = self.parts.get(kind)
        return mend_text("".join(parts)) if parts else ""

    def _joined(self) -> Block:
        block = self.block
        if isinstance(block, Text):
            if not (self.parts or self.citations):
                return block
            return replace(block, text=block.text + self._text("text"), citations=(*block.citations, *self.citations))
        if isinstance(block, Thinking):
            return replace(block, text=block.text + self._text("thinking"))
        if isinstance(block, ToolCall):
            return self._joined_call(block)
        if isinstance(block, Refusal):
            return replace(block, text=block.text + self._text("refusal"))
        if isinstance(block, Unknown) and self.patch is not None:
            return replace(block, raw={**block.raw, **self.patch} if isinstance(block.raw, dict) else self.patch)
        return block

    def _joined_call(self, block: ToolCall) -> ToolCall:
        text = self._text("arguments")
        if not text:
            return block
        return replace(block, arguments=text if block.kind == "custom" else parse_arguments(text))


_IMPLIED: dict[str, Callable[[], Block]] = {
    "text": Text,
    "thinking": Thinking,
    "signature": Thinking,
    "refusal": Refusal,
    "arguments": ToolCall,
}


class ResponseBuilder:
    """Takes stream events in their order; `build()` gives the answer so far, at any time."""

    def __init__(self, dialect: str) -> None:
        self.dialect = dialect
        self.usage: Usage | None = None
        self.error: ApiError | None = None
        self.ended = False
        """The end mark has come."""
        self.stop: MessageStop | None = None
        self._start = MessageStart()
        self._drafts: dict[int, _Draft] = {}
        self._kept = 0
        self._diagnostics: list[Diagnostic] = []
        self._handlers: dict[type[Any], Callable[[Any], None]] = {
            BlockDelta: self._delta,
            BlockStart: self._block,
            BlockStop: self._block_stop,
            BlockPatch: self._patch,
            BlockSigned: self._signed,
            CitationAdded: self._citation,
            MessageStart: self._message,
            UsageReport: self._usage,
            MessageStop: self._stop,
            StreamFailure: self._failure,
            StreamEnd: self._end,
        }

    def apply(self, events: Iterable[StreamEvent]) -> None:
        handlers = self._handlers
        for event in events:
            handler = handlers.get(type(event))
            if handler is not None:
                handler(event)

    def diagnose(self, severity: str, code: str, message: str) -> None:
        if len(self._diagnostics) < MAX_DIAGNOSTICS:
            self._diagnostics.append(Diagnostic(severity, code, message, (), self.dialect))

    def forget_content(self) -> None:
        """Keep nothing of the blocks: the answer built will have none."""
        for kind in (BlockDelta, BlockStart, BlockStop, BlockPatch, BlockSigned, CitationAdded):
            del self._handlers[kind]

    def build(self, outcome: Outcome) -> Response:
        candidates: dict[int, list[Block]] = {0: []}
        for draft in self._drafts.values():
            candidates.setdefault(draft.candidate, []).append(draft.finish(signer_of(self.dialect)))
        blocks = candidates.pop(0)
        start, stop = self._start, self.stop or MessageStop(None)
        return Response(
            dialect=self.dialect,
            id=start.id,
            model=start.model,
            blocks=tuple(attach_carried(blocks)),
            alternatives=tuple(tuple(candidates[key]) for key in sorted(candidates)),
            stop_reason=stop.stop_reason,
            stop_detail=stop.stop_detail,
            stop_sequence=stop.stop_sequence,
            usage=self.usage,
            error=self.error,
            outcome=outcome,
            service_tier=start.service_tier,
            created=start.created,
            raw=start.raw,
            diagnostics=tuple(self._diagnostics),
        )

    def _message(self, event: MessageStart) -> None:
        old = self._start
        self._start = MessageStart(
            id=event.id or old.id,
            model=event.model or old.model,
            created=event.created if event.created is not None else old.created,
            service_tier=event.service_tier or old.service_tier,
            raw=event.raw or old.raw,
        )

    def _draft(self, index: int, block: Block, candidate: int = 0) -> _Draft | None:
        if len(self._drafts) >= MAX_BLOCKS:
            self.diagnose("error", "too_many_blocks", f"only the first {MAX_BLOCKS} blocks are kept")
            return None
        draft = self._drafts[index] = _Draft(block, candidate)
        return draft

    def _block(self, event: BlockStart) -> None:
        if event.index not in self._drafts:
            self._draft(event.index, event.block, event.candidate)

    def _delta(self, event: BlockDelta) -> None:
        draft = self._drafts.get(event.index) or self._draft(event.index, _IMPLIED[event.kind]())
        if draft is None:
            return
        self._kept += len(event.text)
        if self._kept > MAX_KEPT:
            self.diagnose("error", "too_much_content", f"only the first {MAX_KEPT} characters are kept")
            return
        parts = draft.parts.get(event.kind)
        if parts is None:
            draft.parts[event.kind] = [event.text]
        else:
            parts.append(event.text)

    def _block_stop(self, event: BlockStop) -> None:
        draft = self._drafts.get(event.index)
        if draft is not None and event.block is not None:
            draft.final = event.block

    def _patch(self, event: BlockPatch) -> None:
        draft = self._drafts.get(event.index) or self._draft(event.index, Unknown(dialect=self.dialect))
        if draft is None:
            return
        self._kept += sum(len(value) for value in event.fields.values() if isinstance(value, str))
        if self._kept > MAX_KEPT:
            return
        patch = draft.patch = draft.patch or {}
        for key, value in event.fields.items():
            old = patch.get(key)
            patch[key] = old + value if isinstance(old, str) and isinstance(value, str) else value

    def _signed(self, event: BlockSigned) -> None:
        if draft := self._drafts.get(event.index):
            draft.signature = event.signature

    def _citation(self, event: CitationAdded) -> None:
        draft = self._drafts.get(event.index)
        if draft is not None and len(draft.citations) < MAX_BLOCKS:
            draft.citations.append(event.citation)

    def _usage(self, event: UsageReport) -> None:
        self.usage = merge_usage(self.usage, event.usage)

    def _stop(self, event: MessageStop) -> None:
        self.stop = event

    def _failure(self, event: StreamFailure) -> None:
        self.error = event.error

    def _end(self, event: StreamEnd) -> None:
        self.ended = True


class Framing(Protocol):
    """Cuts a byte stream into events: (name, JSON text)."""

    def feed(self, data: bytes) -> list[tuple[str, str]]: ...

    def close(self) -> tuple[str, str] | None:
        """What the stream's end has cut off, if it may still be whole."""

    def problem(self) -> str | None:
        """Why events may be missing."""


class SseFraming:
    def __init__(self) -> None:
        self._decoder = SseDecoder()
        self.feed: Callable[[bytes], list[tuple[str, str]]] = self._decoder.feed  # type: ignore[assignment]

    def close(self) -> tuple[str, str] | None:
        return self._decoder.close()

    def problem(self) -> str | None:
        return f"{self._decoder.dropped} events were too large" if self._decoder.dropped else None


class JsonFraming:
    """Lines, or the elements of one array."""

    def __init__(self, decoder: LineDecoder | ArrayDecoder) -> None:
        self._decoder = decoder

    def feed(self, data: bytes) -> list[tuple[str, str]]:
        return [("", item) for item in self._decoder.feed(data)]

    def close(self) -> tuple[str, str] | None:
        item = self._decoder.close()
        return None if item is None else ("", item)

    def problem(self) -> str | None:
        return f"{self._decoder.dropped} events were too large" if self._decoder.dropped else None


class AwsFraming:
    """Messages of an AWS event stream; the name is the event's type, or `!` and the exception's."""

    def __init__(self) -> None:
        self._decoder = EventStreamDecoder()

    def feed(self, data: bytes) -> list[tuple[str, str]]:
        events = []
        for message in self._decoder.feed(data):
            name = message.header(":event-type")
            if message.header(":message-type") in ("exception", "error"):
                name = "!" + (message.header(":exception-type") or message.header(":error-code"))
            payload = message.payload.decode("utf-8", "replace")
            events.append((name, payload or dump_text({"message": message.header(":error-message")})))
        return events

    def close(self) -> tuple[str, str] | None:
        return None

    def problem(self) -> str | None:
        if self._decoder.broken is None and self._decoder.pending:
            return "the last message is cut"
        return self._decoder.broken


class StreamDecoder:
    """Feed the bytes of a streamed answer, get the events they complete; close it to get the answer so far.

    Subclasses say what one event means: `on_event` appends to `self.out`. Never raises. Not thread-safe.
    """

    dialect = ""
    end_mark_optional = False
    """A stop reason and a clean end of the body are enough to call the answer complete."""

    def __init__(self, framing: Framing) -> None:
        self.out: list[StreamEvent] = []
        self.tail: list[StreamEvent] = []
        self.builder = ResponseBuilder(self.dialect)
        self._framing = framing

    def forget_content(self) -> None:
        """For who only wants the events: the answer that `close` gives will have no blocks."""
        self.builder.forget_content()

    def feed(self, data: bytes) -> list[StreamEvent]:
        """The events that these bytes complete."""
        frames = self._framing.feed(data)
        return self._take(frames) if frames else []

    def feed_message(self, data: bytes | str) -> list[StreamEvent]:
        """One whole event, where the transport has frames of its own (WebSocket)."""
        text = data if isinstance(data, str) else data.decode("utf-8", "replace")
        return self._take([("", text.strip())])

    def close(self, reason: CloseReason = "eof") -> Response:
        """The answer as far as it came. May be called once; `tail` has the events that only the end made known."""
        last = self._framing.close()
        if last is not None:
            value, problem = parse_event(last[1].strip())
            if (problem is None and isinstance(value, dict)) or last[1] == "[DONE]":
                self.tail += self._take([last])
        self.on_close()
        self.tail += self._flush()
        if problem := self.lost_events():
            self.builder.diagnose("error", "events_lost", problem)
        return self.builder.build(self._outcome(reason))

    def lost_events(self) -> str | None:
        """Why events may be missing."""
        return self._framing.problem()

    def _outcome(self, reason: CloseReason) -> Outcome:
        builder = self.builder
        if builder.error is not None:
            return Outcome.ERROR
        stopped = self.end_mark_optional and reason == "eof" and builder.stop is not None
        return Outcome.COMPLETE if builder.ended or stopped else _OUTCOMES[reason]

    def _take(self, frames: Iterable[tuple[str, str]]) -> list[StreamEvent]:
        for name, text in frames:
            value, problem = parse_event(text)
            if problem is None and isinstance(value, dict):
                self.on_event(name, value)
            else:
                self.on_text(name, text)
        return self._flush()

    def _flush(self) -> list[StreamEvent]:
        events = self.out
        self.out = []
        self.builder.apply(events)
        return events

    def on_event(self, name: str, data: JsonObject) -> None:
        raise NotImplementedError

    def on_text(self, name: str, text: str) -> None:
        """An event whose data is no JSON object."""
        if text:
            self.builder.diagnose("warning", "unreadable_event", f"not a JSON object: {text[:80]!r}")
        self.out.append(UnknownEvent(name, text))

    def on_close(self) -> None:
        """Say what only the end of the stream makes known."""


def pick_framing(content_type: str, default: str) -> Framing:
    """The framing that a content type names; `default` (`sse`, `lines`, `array` or `aws`) for any other type."""
    kind = content_type.partition(";")[0].strip().lower()
    name = {
        "text/event-stream": "sse",
        "application/x-ndjson": "lines",
        "application/jsonl": "lines",
        "application/vnd.amazon.eventstream": "aws",
    }.get(kind, default)
    if name == "sse":
        return SseFraming()
    if name == "aws":
        return AwsFraming()
    return JsonFraming(LineDecoder() if name == "lines" else ArrayDecoder())
