"""Anthropic Messages: the streamed answer.

`message_start` opens with the model and the input's usage; each block goes through `content_block_start`, deltas
and `content_block_stop`; `message_delta` brings the stop reason and the final usage; `message_stop` is the end mark.
"""

from __future__ import annotations

from collections.abc import Callable

from ccinspect.wire.anthropic.decode import DIALECT, read_block, read_citation, stop_reason
from ccinspect.wire.apierror import read_error
from ccinspect.wire.events import (
    BlockDelta,
    BlockPatch,
    BlockStart,
    BlockStop,
    CitationAdded,
    DeltaKind,
    MessageStart,
    MessageStop,
    StreamEnd,
    StreamFailure,
    UnknownEvent,
    UsageReport,
)
from ccinspect.wire.jsontext import as_int, as_name, as_object
from ccinspect.wire.model import JsonObject
from ccinspect.wire.stream import StreamDecoder, pick_framing
from ccinspect.wire.usage import anthropic_usage

_DELTAS: dict[str, tuple[DeltaKind, str]] = {
    "text_delta": ("text", "text"),
    "input_json_delta": ("arguments", "partial_json"),
    "thinking_delta": ("thinking", "thinking"),
    "signature_delta": ("signature", "signature"),
}


class AnthropicStream(StreamDecoder):
    dialect = DIALECT

    def on_event(self, name: str, data: JsonObject) -> None:
        kind = data.get("type")
        if kind == "content_block_delta":
            self._delta(data)
            return
        handler = _HANDLERS.get(kind) if isinstance(kind, str) else None
        if handler is None:
            self.out.append(UnknownEvent(name, data))
        else:
            handler(self, data)

    def _delta(self, data: JsonObject) -> None:
        delta = data.get("delta")
        index = data.get("index")
        if type(index) is not int or not isinstance(delta, dict):
            self.out.append(UnknownEvent("content_block_delta", data))
            return
        kind = delta.get("type")
        known = _DELTAS.get(kind) if isinstance(kind, str) else None
        if known is not None:
            text = delta.get(known[1])
            if isinstance(text, str):
                self.out.append(BlockDelta(index, known[0], text))
        elif kind == "citations_delta":
            self.out.append(CitationAdded(index, read_citation(delta.get("citation"))))
        else:
            # A kind nobody here knows: its fields go to the block as they are.
            self.out.append(BlockPatch(index, {key: delta[key] for key in delta if key != "type"}))

    def _message_start(self, data: JsonObject) -> None:
        message = as_object(data.get("message"))
        usage = as_object(message.get("usage"))
        tier = as_name(usage.get("service_tier"))
        start = MessageStart(as_name(message.get("id")), as_name(message.get("model")), None, tier, message)
        self.out.append(start)
        self._report(message.get("usage"))

    def _block_start(self, data: JsonObject) -> None:
        index = as_int(data.get("index"))
        if index is not None:
            self.out.append(BlockStart(index, read_block(data.get("content_block"), ("content", index))))

    def _block_stop(self, data: JsonObject) -> None:
        index = as_int(data.get("index"))
        if index is not None:
            self.out.append(BlockStop(index))

    def _message_delta(self, data: JsonObject) -> None:
        self._report(data.get("usage"))
        delta = as_object(data.get("delta"))
        word = delta.get("stop_reason")
        if word is not None:
            self.out.append(MessageStop(stop_reason(word), as_name(word), as_name(delta.get("stop_sequence"))))

    def _message_stop(self, data: JsonObject) -> None:
        # Bedrock adds its own counters to the last event; they repeat the usage.
        self.out.append(StreamEnd())

    def _error(self, data: JsonObject) -> None:
        self.out.append(StreamFailure(read_error(data)))

    def _report(self, value: object) -> None:
        usage = anthropic_usage(value)
        if usage is not None:
            self.out.append(UsageReport(usage))


_HANDLERS: dict[str, Callable[[AnthropicStream, JsonObject], None]] = {
    "message_start": AnthropicStream._message_start,
    "content_block_start": AnthropicStream._block_start,
    "content_block_stop": AnthropicStream._block_stop,
    "message_delta": AnthropicStream._message_delta,
    "message_stop": AnthropicStream._message_stop,
    "error": AnthropicStream._error,
}


def open_stream(content_type: str = "") -> AnthropicStream:
    return AnthropicStream(pick_framing(content_type, "sse"))
