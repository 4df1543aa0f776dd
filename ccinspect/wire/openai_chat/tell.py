"""OpenAI Chat Completions: stream events told as chunks, each as it comes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ccinspect.wire.codec import Notes
from ccinspect.wire.events import (
    BlockDelta,
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
from ccinspect.wire.jsontext import arguments_text, dump_line
from ccinspect.wire.model import (
    Block,
    Diagnostic,
    Json,
    JsonObject,
    Refusal,
    Signature,
    StopReason,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from ccinspect.wire.openai_chat.decode import DIALECT
from ccinspect.wire.openai_chat.encode import STOP_WORDS, encode_call, encode_error, reasoning_detail
from ccinspect.wire.signatures import sealed, wrap, wrapping
from ccinspect.wire.sse import encode_event
from ccinspect.wire.usage import encode_openai_chat_usage, merge_usage


class _Open:
    def __init__(self, block: Block, candidate: int, number: int) -> None:
        self.block = block
        self.candidate = candidate
        self.number = number
        """The index among the tool calls of its candidate."""
        self.signed = False
        self.has_arguments = False


class ChatEncoder:
    """See `codec.StreamEncoder`. Usage is told in a chunk of its own, as with `stream_options.include_usage`."""

    def __init__(self, source: str, include_usage: bool = True) -> None:
        self._notes = Notes(source, DIALECT)
        self._include_usage = include_usage
        self._open: dict[int, _Open] = {}
        self._calls: dict[int, int] = {}
        self._candidates = {0}
        self._head: JsonObject = {}
        self._usage: Usage | None = None
        self._stop: MessageStop | None = None
        self._finished = False
        self._out: list[bytes] = []

    @property
    def diagnostics(self) -> Sequence[Diagnostic]:
        return self._notes.found

    def feed(self, events: Iterable[StreamEvent]) -> bytes:
        for event in events:
            self._event(event)
        return self._take()

    def close(self) -> bytes:
        if self._stop is not None:
            self._finish()
        return self._take()

    def _take(self) -> bytes:
        data = b"".join(self._out)
        self._out.clear()
        return data

    def _event(self, event: StreamEvent) -> None:
        match event:
            case MessageStart():
                self._begin(event)
            case BlockStart():
                self._start_block(event)
            case BlockDelta():
                self._block_delta(event)
            case BlockSigned(index, signature):
                self._signed(index, signature)
            case BlockStop():
                self._stop_block(event)
            case CitationAdded(index, citation):
                opened = self._open.get(index)
                if self._notes.home and opened is not None and citation.raw is not None:
                    self._delta({"annotations": [citation.raw]}, opened.candidate)
                else:
                    self._notes.lost("citations_dropped", "a citation")
            case UsageReport(usage):
                self._usage = merge_usage(self._usage, usage)
            case MessageStop():
                self._stop = event
            case StreamFailure(error):
                self._out.append(encode_event(dump_line(encode_error(error).body)))
            case StreamEnd():
                self._finish()
            case _:
                pass

    def _begin(self, event: MessageStart) -> None:
        if self._head:
            return
        self._head = {
            "id": event.id or "chatcmpl-unknown",
            "object": "chat.completion.chunk",
            "created": int(event.created or 0),
            "model": event.model or "unknown",
        }
        self._delta({"role": "assistant", "content": ""})

    def _chunk(self, choices: list[Json], **more: Json) -> None:
        if not self._head:
            self._begin(MessageStart())
        self._out.append(encode_event(dump_line({**self._head, "choices": choices, **more})))

    def _delta(self, delta: JsonObject, candidate: int = 0) -> None:
        self._candidates.add(candidate)
        self._chunk([{"index": candidate, "delta": delta, "logprobs": None, "finish_reason": None}])

    def _start_block(self, event: BlockStart) -> None:
        block = event.block
        number = self._calls.get(event.candidate, 0)
        opened = _Open(block, event.candidate, number)
        if isinstance(block, ToolCall) and (block.executor == "client" or self._notes.home):
            self._calls[event.candidate] = number + 1
            call = ToolCall(block.id or f"call_{event.index}", block.name, "", kind=block.kind, server=block.server)
            told = encode_call(call, self._notes, as_request=False)
            self._delta({"tool_calls": [{"index": number, **told}]}, event.candidate)
            self._open[event.index] = opened
            if block.signature is not None:
                self._signed(event.index, block.signature)
        elif isinstance(block, Text | Refusal | Thinking):
            self._open[event.index] = opened
            text = block.text
            if isinstance(block, Thinking) and block.redacted:
                detail = reasoning_detail(block, sealed(block, self._notes.source, DIALECT), 0)
                self._delta({"reasoning_details": [detail]}, event.candidate)
                opened.signed = True
            elif text:
                name = {Text: "content", Refusal: "refusal"}.get(type(block), "reasoning_content")
                self._delta({name: text}, event.candidate)
        else:
            self._notes.lost("block_dropped", f"an answer of {DIALECT} has no {type(block).__name__}")

    def _block_delta(self, event: BlockDelta) -> None:
        opened = self._open.get(event.index)
        if opened is None:
            return
        if event.kind == "text":
            self._delta({"content": event.text}, opened.candidate)
        elif event.kind == "refusal":
            self._delta({"refusal": event.text}, opened.candidate)
        elif event.kind == "thinking":
            self._delta({"reasoning_content": event.text}, opened.candidate)
        elif event.kind == "signature":
            text = event.text
            if not opened.signed and not self._notes.home:
                text = wrapping(self._notes.source) + text
            opened.signed = True
            self._sign(opened, text)
        else:
            opened.has_arguments = True
            self._arguments(opened, event.text)

    def _arguments(self, opened: _Open, text: str) -> None:
        custom = isinstance(opened.block, ToolCall) and opened.block.kind == "custom"
        inner = {"custom": {"input": text}} if custom else {"function": {"arguments": text}}
        self._delta({"tool_calls": [{"index": opened.number, **inner}]}, opened.candidate)

    def _sign(self, opened: _Open, sign: str) -> None:
        detail = {"type": "reasoning.text", "text": "", "signature": sign, "index": 0}
        self._delta({"reasoning_details": [detail]}, opened.candidate)

    def _signed(self, index: int, signature: Signature) -> None:
        opened = self._open.get(index)
        if opened is None:
            return
        if isinstance(opened.block, ToolCall) and signature.origin == "gemini":
            extra = {"extra_content": {"google": {"thought_signature": signature.value}}}
            # The official SDK wants a function in each delta of a call.
            delta = {"index": opened.number, "function": {"arguments": ""}, **extra}
            self._delta({"tool_calls": [delta]}, opened.candidate)
        elif isinstance(opened.block, Thinking):
            opened.signed = True
            self._sign(opened, wrap(signature, DIALECT))
        else:
            self._notes.lost("signature_dropped", f"a signature of {signature.origin}")

    def _stop_block(self, event: BlockStop) -> None:
        opened = self._open.pop(event.index, None)
        if opened is None:
            return
        block = event.block or opened.block
        if isinstance(block, ToolCall) and not opened.has_arguments:
            self._arguments(opened, arguments_text(block.arguments))
        if isinstance(block, Thinking) and not opened.signed and not self._notes.home:
            self._sign(opened, sealed(block, self._notes.source, DIALECT))

    def _finish(self) -> None:
        if self._finished:
            return
        self._finished = True
        for index in list(self._open):
            self._stop_block(BlockStop(index))
        stop = self._stop or MessageStop(StopReason.END_TURN)
        word = STOP_WORDS[stop.stop_reason or StopReason.OTHER]
        for candidate in sorted(self._candidates):
            self._chunk([{"index": candidate, "delta": {}, "logprobs": None, "finish_reason": word}])
        if self._usage is not None and self._include_usage:
            self._chunk([], usage=encode_openai_chat_usage(self._usage))
        self._out.append(encode_event("[DONE]"))
