"""Anthropic Messages: stream events told as server-sent events, each as it comes.

Anthropic's blocks never overlap. Blocks that overlap at the source (parallel tool calls of Chat Completions) are told
one after another: the first open one at once, the others held back until it stops.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ccinspect.wire.anthropic.decode import DIALECT
from ccinspect.wire.anthropic.encode import STOP_WORDS, clean_id, encode_block, encode_error
from ccinspect.wire.codec import Notes
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
    UsageReport,
)
from ccinspect.wire.jsontext import arguments_object, dump_line, dump_text
from ccinspect.wire.model import Block, Diagnostic, JsonObject, Refusal, StopReason, Text, Thinking, ToolCall, Usage
from ccinspect.wire.signatures import sealed, wrap, wrapping
from ccinspect.wire.sse import encode_event
from ccinspect.wire.usage import encode_anthropic_usage, merge_usage

_EMPTY: dict[str, JsonObject] = {
    "text": {"type": "text", "text": ""},
    "thinking": {"type": "thinking", "thinking": "", "signature": ""},
}


class _Open:
    """A block that has started and not stopped at the source."""

    def __init__(self, block: Block) -> None:
        self.block = block
        self.told_start = False
        self.signed = False
        self.has_arguments = False
        self.waiting: list[StreamEvent] = []
        self.stopped = False


class AnthropicEncoder:
    """See `codec.StreamEncoder`."""

    def __init__(self, source: str) -> None:
        self._notes = Notes(source, DIALECT)
        self._open: dict[int, _Open] = {}
        self._next = 0
        self._usage: Usage | None = None
        self._stop: MessageStop | None = None
        self._begun = False
        self._ended = False
        self._out: list[bytes] = []

    @property
    def diagnostics(self) -> Sequence[Diagnostic]:
        return self._notes.found

    def feed(self, events: Iterable[StreamEvent]) -> bytes:
        for event in events:
            self._event(event)
        return self._take()

    def close(self) -> bytes:
        if self._stop is not None or self._ended:
            self._finish()
        return self._take()

    def _take(self) -> bytes:
        data = b"".join(self._out)
        self._out.clear()
        return data

    def _say(self, kind: str, **fields: object) -> None:
        self._out.append(encode_event(dump_line({"type": kind, **fields}), kind))

    def _event(self, event: StreamEvent) -> None:
        match event:
            case MessageStart():
                self._begin(event)
            case BlockStart():
                self._start_block(event)
            case BlockDelta(index) | CitationAdded(index) | BlockPatch(index) | BlockSigned(index) | BlockStop(index):
                self._in_block(index, event)
            case UsageReport(usage):
                self._usage = merge_usage(self._usage, usage)
            case MessageStop():
                self._stop = event
            case StreamFailure(error):
                self._say("error", error=encode_error(error).body["error"])
            case StreamEnd():
                self._ended = True
                # Chat Completions reports usage after the stop reason; only the end mark says that all has come.
                self._finish()

    def _begin(self, event: MessageStart) -> None:
        if self._begun:
            return
        self._begun = True
        message: JsonObject = {
            "id": event.id or "msg_unknown",
            "type": "message",
            "role": "assistant",
            "model": event.model or "unknown",
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": encode_anthropic_usage(self._usage),
        }
        self._say("message_start", message=message)

    def _start_block(self, event: BlockStart) -> None:
        self._begin(MessageStart())
        if event.candidate:
            if not any(note.code == "candidates_dropped" for note in self._notes.found):
                self._notes.lost("candidates_dropped", "further candidates")
            return
        opened = self._open[event.index] = _Open(event.block)
        if next(iter(self._open)) == event.index:
            self._tell_start(opened)

    def _in_block(self, index: int, event: StreamEvent) -> None:
        opened = self._open.get(index)
        if opened is None:
            return
        if next(iter(self._open)) != index:
            opened.waiting.append(event)
            opened.stopped = opened.stopped or isinstance(event, BlockStop)
            return
        self._tell(opened, event)
        if isinstance(event, BlockStop):
            del self._open[index]
            self._resume()

    def _resume(self) -> None:
        """Tell what was held back."""
        for index, opened in list(self._open.items()):
            self._tell_start(opened)
            for event in opened.waiting:
                self._tell(opened, event)
            opened.waiting = []
            if not opened.stopped:
                return
            del self._open[index]

    def _tell_start(self, opened: _Open) -> None:
        block = opened.block
        if isinstance(block, Text | Refusal):
            start: JsonObject = dict(_EMPTY["text"])
        elif isinstance(block, Thinking) and not block.redacted:
            start = dict(_EMPTY["thinking"])
        elif isinstance(block, ToolCall) and (block.executor == "client" or self._notes.home):
            self._carry_signature(block)
            call_id = clean_id(block.id) if block.id else f"toolu_{self._next}"
            start = {"type": "tool_use", "id": call_id, "name": block.name, "input": {}}
            if block.executor == "provider":
                start["type"] = block.kind
                if block.server:
                    start["server_name"] = block.server
        else:
            told = encode_block(block, self._notes, as_request=False)
            if not told:
                return
            start = told[-1]
        opened.told_start = True
        self._say("content_block_start", index=self._next, content_block=start)
        if isinstance(block, Text | Refusal) and block.text:
            self._delta("text_delta", text=block.text)
        elif isinstance(block, Thinking) and block.text and not block.redacted:
            self._delta("thinking_delta", thinking=block.text)

    def _carry_signature(self, block: Block) -> None:
        if block.signature is None or block.signature.origin == DIALECT:
            return
        start = dict(_EMPTY["thinking"], signature=wrap(block.signature, DIALECT))
        self._say("content_block_start", index=self._next, content_block=dict(_EMPTY["thinking"]))
        self._delta("signature_delta", signature=start["signature"])
        self._say("content_block_stop", index=self._next)
        self._next += 1

    def _delta(self, kind: str, **fields: object) -> None:
        self._say("content_block_delta", index=self._next, delta={"type": kind, **fields})

    def _tell(self, opened: _Open, event: StreamEvent) -> None:
        if not opened.told_start:
            return
        match event:
            case BlockDelta(_, "text" | "refusal", text):
                self._delta("text_delta", text=text)
            case BlockDelta(_, "thinking", text):
                self._delta("thinking_delta", thinking=text)
            case BlockDelta(_, "arguments", text):
                opened.has_arguments = True
                self._delta("input_json_delta", partial_json=text)
            case BlockDelta(_, "signature", text):
                if not opened.signed and not self._notes.home:
                    text = wrapping(self._notes.source) + text
                opened.signed = True
                self._delta("signature_delta", signature=text)
            case BlockSigned(_, signature):
                opened.signed = True
                if isinstance(opened.block, Thinking):
                    self._delta("signature_delta", signature=wrap(signature, DIALECT))
                else:
                    self._notes.lost("signature_dropped", "a signature that came after its block had begun")
            case CitationAdded(_, citation) if self._notes.home and citation.raw is not None:
                self._delta("citations_delta", citation=citation.raw)
            case CitationAdded():
                self._notes.lost("citations_dropped", "a citation")
            case BlockPatch(_, fields) if self._notes.home:
                self._delta("unknown_delta", **fields)
            case BlockStop():
                self._tell_stop(opened, event)
            case _:
                pass

    def _tell_stop(self, opened: _Open, event: BlockStop) -> None:
        block = event.block or opened.block
        if isinstance(block, ToolCall) and not opened.has_arguments:
            # Some providers send the arguments whole, or none at all; an object must come either way.
            self._delta("input_json_delta", partial_json=dump_text(arguments_object(block.arguments)))
        if isinstance(block, Thinking) and not block.redacted and not opened.signed:
            self._delta("signature_delta", signature=sealed(block, self._notes.source, DIALECT))
        self._say("content_block_stop", index=self._next)
        self._next += 1

    def _finish(self) -> None:
        if not self._begun:
            return
        self._begun = False
        while self._open:
            first = next(iter(self._open))
            self._in_block(first, BlockStop(first))
        stop = self._stop or MessageStop(StopReason.END_TURN)
        word = STOP_WORDS[stop.stop_reason or StopReason.OTHER]
        delta = {"stop_reason": word, "stop_sequence": stop.stop_sequence}
        self._say("message_delta", delta=delta, usage=encode_anthropic_usage(self._usage))
        self._say("message_stop")
