"""Ollama: stream events told as lines of JSON, each as it comes; a tool call when it is whole."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

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
from ccinspect.wire.ollama.decode import DIALECT
from ccinspect.wire.ollama.encode import as_prompted, encode_error, head_of, last_of, message_of
from ccinspect.wire.signatures import sealed, unwrap
from ccinspect.wire.usage import merge_usage


class _Open:
    def __init__(self, block: Block) -> None:
        self.block = block
        self.arguments: list[str] = []
        self.sign: list[str] = []
        self.signature: Signature | None = block.signature


class OllamaEncoder:
    """See `codec.StreamEncoder`. With `prompted`, the lines are those of `/api/generate` instead of `/api/chat`."""

    def __init__(self, source: str, prompted: bool = False) -> None:
        self._prompted = prompted
        self._notes = Notes(source, DIALECT)
        self._open: dict[int, _Open] = {}
        self._answer = Response(source)
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

    def _say(self, body: JsonObject) -> None:
        self._out.append(f"{dump_line(as_prompted(body) if self._prompted else body)}\n".encode())

    def _message(self, **fields: object) -> None:
        message = {"role": "assistant", "content": "", **fields}
        self._say(head_of(self._answer) | {"message": message, "done": False})

    def _event(self, event: StreamEvent) -> None:
        match event:
            case MessageStart(_, model, created):
                self._answer = replace(
                    self._answer, model=self._answer.model or model, created=self._answer.created or created
                )
            case BlockStart():
                self._start_block(event)
            case BlockDelta():
                self._delta(event)
            case BlockSigned(index, signature):
                if index in self._open:
                    self._open[index].signature = signature
            case CitationAdded():
                self._notes.lost("citations_dropped", "a citation")
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
        if event.candidate:
            if not any(note.code == "candidates_dropped" for note in self._notes.found):
                self._notes.lost("candidates_dropped", "further candidates")
            return
        block = event.block
        if isinstance(block, ToolCall) and not block.id:
            block = replace(block, id=f"call_{event.index}")
        self._open[event.index] = _Open(block)
        if isinstance(block, Text | Refusal) and block.text:
            self._message(content=block.text)
        elif isinstance(block, Thinking) and block.text:
            self._message(thinking=block.text)

    def _delta(self, event: BlockDelta) -> None:
        opened = self._open.get(event.index)
        if opened is None:
            return
        if event.kind == "arguments":
            opened.arguments.append(event.text)
        elif event.kind == "signature":
            opened.sign.append(event.text)
        elif event.kind == "thinking":
            self._message(thinking=event.text)
        else:
            self._message(content=event.text)

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
            whole = replace(block, signature=signature)
            told = message_of("assistant", [whole], self._notes, as_request=False)
            if "tool_calls" in told:
                self._message(**{name: told[name] for name in told if name not in ("role", "content")})
        elif isinstance(block, Thinking):
            if signature is not None or not self._notes.home:
                told_sign = sealed(replace(block, signature=signature), self._notes.source, DIALECT)
                self._message(thinking_signatures=[told_sign])
        elif not isinstance(block, Text | Refusal):
            self._notes.lost("block_dropped", f"{DIALECT} has no {type(block).__name__}")

    def _finish(self) -> None:
        if self._finished:
            return
        self._finished = True
        for index in list(self._open):
            self._stop_block(BlockStop(index))
        stop = self._stop or MessageStop(StopReason.END_TURN)
        last = replace(self._answer, stop_reason=stop.stop_reason, stop_detail=stop.stop_detail, usage=self._usage)
        message = {"role": "assistant", "content": ""}
        self._say(head_of(last) | {"message": message} | last_of(last))
