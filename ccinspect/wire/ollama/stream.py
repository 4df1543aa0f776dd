"""Ollama: the streamed answer, a line of JSON for each piece; the line with `done` is the last and has the counters."""

from __future__ import annotations

from ccinspect.wire.apierror import read_error
from ccinspect.wire.events import (
    BlockDelta,
    BlockStart,
    BlockStop,
    MessageStart,
    MessageStop,
    StreamEnd,
    StreamFailure,
    UnknownEvent,
    UsageReport,
)
from ccinspect.wire.jsontext import as_list, as_name, as_text
from ccinspect.wire.model import Block, JsonObject, Text, Thinking
from ccinspect.wire.ollama.decode import DIALECT, created, read_call, read_message, stop_reason
from ccinspect.wire.stream import StreamDecoder, pick_framing
from ccinspect.wire.usage import ollama_usage


class OllamaStream(StreamDecoder):
    dialect = DIALECT

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self._next = 0
        self._kind = ""
        self._calls = 0
        self._begun = False

    def on_event(self, name: str, data: JsonObject) -> None:
        if data.get("error"):
            self.out.append(StreamFailure(read_error(data)))
            return
        message = data.get("message")
        if not isinstance(message, dict) and not isinstance(data.get("response"), str) and "done" not in data:
            self.out.append(UnknownEvent(name, data))
            return
        if not self._begun:
            self._begun = True
            self.out.append(MessageStart(None, as_name(data.get("model")), created(data)))
        if isinstance(message, dict):
            self._piece("thinking", as_text(message.get("thinking")))
            self._signed(message)
            self._piece("text", as_text(message.get("content")))
            for call in as_list(message.get("tool_calls")):
                self._whole(read_call(call, ("message", "tool_calls", self._calls)))
                self._calls += 1
        else:
            self._piece("thinking", as_text(data.get("thinking")))
            self._piece("text", as_text(data.get("response")))
        if data.get("done") is True:
            self._end(data)

    def _piece(self, kind: str, text: str) -> None:
        if not text:
            return
        if self._kind != kind:
            self._close()
            self._kind = kind
            self.out.append(BlockStart(self._next, Text() if kind == "text" else Thinking()))
        self.out.append(BlockDelta(self._next, "text" if kind == "text" else "thinking", text))

    def _signed(self, message: JsonObject) -> None:
        signs = as_list(message.get("thinking_signatures"))
        if not signs:
            return
        for block in read_message({"thinking_signatures": signs}, ("message",)).blocks:
            if isinstance(block, Thinking) and block.signature is not None and self._kind == "thinking":
                self.out.append(BlockDelta(self._next, "signature", as_text(signs[0])))
                self._close()
            elif isinstance(block, Thinking):
                self._whole(block)

    def _close(self) -> None:
        if self._kind:
            self.out.append(BlockStop(self._next))
            self._next += 1
            self._kind = ""

    def _whole(self, block: Block) -> None:
        self._close()
        self.out += [BlockStart(self._next, block), BlockStop(self._next)]
        self._next += 1

    def _end(self, data: JsonObject) -> None:
        self._close()
        usage = ollama_usage(data)
        if usage is not None:
            self.out.append(UsageReport(usage))
        word = as_name(data.get("done_reason"))
        self.out.append(MessageStop(stop_reason(word, self._calls > 0), word))
        self.out.append(StreamEnd())

    def on_close(self) -> None:
        self._close()


def open_stream(content_type: str = "") -> OllamaStream:
    return OllamaStream(pick_framing(content_type, "lines"))
