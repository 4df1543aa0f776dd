"""Google Gemini: stream events told as chunks, each as it comes; a tool call when it is whole."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ccinspect.wire.codec import Notes, without_none
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
from ccinspect.wire.gemini.decode import DIALECT
from ccinspect.wire.gemini.encode import encode_error, encode_part, finish_word, grounding
from ccinspect.wire.jsontext import dump_line, parse_arguments
from ccinspect.wire.model import (
    Block,
    Diagnostic,
    JsonObject,
    Refusal,
    Response,
    Signature,
    StopReason,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from ccinspect.wire.signatures import unwrap
from ccinspect.wire.sse import encode_event
from ccinspect.wire.usage import encode_gemini_usage, merge_usage


class _Open:
    def __init__(self, block: Block, candidate: int) -> None:
        self.block = block
        self.candidate = candidate
        self.arguments: list[str] = []
        self.sign: list[str] = []
        self.signature: Signature | None = block.signature


class GeminiEncoder:
    """See `codec.StreamEncoder`. With `array`, the chunks are elements of one JSON array instead of events; with
    `envelope`, each stands under `response`, as Code Assist tells them."""

    def __init__(self, source: str, array: bool = False, envelope: bool = False) -> None:
        self._notes = Notes(source, DIALECT)
        self._array = array
        self._envelope = envelope
        self._open: dict[int, _Open] = {}
        self._candidates = {0}
        self._start = MessageStart()
        self._usage: Usage | None = None
        self._stop: MessageStop | None = None
        self._told = False
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

    def _say(self, body: JsonObject) -> None:
        text = dump_line(body)
        if self._array:
            self._out.append(f"{',' if self._told else '['}{text}\r\n".encode())
        else:
            self._out.append(encode_event(text))
        self._told = True

    def _chunk(self, candidates: list[JsonObject], **more: object) -> None:
        head = without_none(modelVersion=self._start.model, responseId=self._start.id)
        chunk: JsonObject = {"candidates": candidates, **more, **head}
        self._say({"response": chunk} if self._envelope else chunk)

    def _parts(self, parts: list[JsonObject], candidate: int) -> None:
        self._candidates.add(candidate)
        if parts:
            self._chunk([{"content": {"role": "model", "parts": parts}, "index": candidate}])

    def _event(self, event: StreamEvent) -> None:
        match event:
            case MessageStart():
                if self._start.id is None:
                    self._start = event
            case BlockStart():
                self._start_block(event)
            case BlockDelta():
                self._delta(event)
            case BlockSigned(index, signature):
                if index in self._open:
                    self._open[index].signature = signature
            case CitationAdded(index, citation):
                told = grounding([citation], self._notes)
                if told and index in self._open:
                    self._chunk([{"index": self._open[index].candidate, **told}])
            case BlockStop():
                self._stop_block(event)
            case UsageReport(usage):
                self._usage = merge_usage(self._usage, usage)
            case MessageStop():
                self._stop = event
            case StreamFailure(error):
                self._say(encode_error(error).body)
            case StreamEnd():
                self._finish()
            case _:
                pass

    def _start_block(self, event: BlockStart) -> None:
        block = event.block
        if isinstance(block, ToolCall) and not block.id:
            block = replace(block, id=f"call_{event.index}")
        self._open[event.index] = _Open(block, event.candidate)
        if isinstance(block, Text | Refusal) and block.text:
            self._parts([{"text": block.text}], event.candidate)
        elif isinstance(block, Thinking) and block.text:
            self._parts([{"text": block.text, "thought": True}], event.candidate)

    def _delta(self, event: BlockDelta) -> None:
        opened = self._open.get(event.index)
        if opened is None:
            return
        if event.kind == "arguments":
            opened.arguments.append(event.text)
        elif event.kind == "signature":
            opened.sign.append(event.text)
        elif event.kind == "thinking":
            self._parts([{"text": event.text, "thought": True}], opened.candidate)
        else:
            self._parts([{"text": event.text}], opened.candidate)

    def _stop_block(self, event: BlockStop) -> None:
        opened = self._open.pop(event.index, None)
        if opened is None:
            return
        block = opened.block
        signature = unwrap("".join(opened.sign), self._notes.source) if opened.sign else opened.signature
        if event.block is not None and event.block.signature is not None:
            signature = event.block.signature
        if isinstance(block, ToolCall):
            if opened.arguments:
                text = "".join(opened.arguments)
                block = replace(block, arguments=text if block.kind == "custom" else parse_arguments(text))
            elif isinstance(event.block, ToolCall):
                block = replace(block, arguments=event.block.arguments)
            self._parts(encode_part(replace(block, signature=signature), self._notes, False), opened.candidate)
        elif isinstance(block, Thinking):
            # The text has been told; an empty part carries the signature.
            signed = replace(block, text="", signature=signature)
            parts = encode_part(signed, self._notes, False)
            if parts and "thoughtSignature" in parts[0]:
                self._parts(parts, opened.candidate)
        elif isinstance(block, Text):
            if signature is not None:
                self._parts(encode_part(Text("", signature=signature), self._notes, False), opened.candidate)
        elif not isinstance(block, Refusal):
            self._parts(encode_part(block, self._notes, False), opened.candidate)

    def _finish(self) -> None:
        if self._finished:
            return
        self._finished = True
        for index in list(self._open):
            self._stop_block(BlockStop(index))
        stop = self._stop or MessageStop(StopReason.END_TURN)
        answer = Response(self._notes.source, stop_reason=stop.stop_reason, stop_detail=stop.stop_detail)
        word = finish_word(answer)
        more = {} if self._usage is None else {"usageMetadata": encode_gemini_usage(self._usage)}
        last = [
            {"content": {"role": "model", "parts": []}, "finishReason": word, "index": candidate}
            for candidate in sorted(self._candidates)
        ]
        self._chunk(last, **more)
        if self._array:
            self._out.append(b"]")
