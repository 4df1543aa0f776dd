"""Amazon Bedrock: streamed answers as AWS event streams.

InvokeModelWithResponseStream wraps the model's own events, base64, in `chunk` events; ConverseStream has events of its
own, with the usage in `metadata` at the very end.
"""

from __future__ import annotations

import base64
import binascii

from ccinspect.wire.anthropic.stream import AnthropicStream
from ccinspect.wire.apierror import error_kind
from ccinspect.wire.bedrock.decode import DIALECT, SIGNER, STOP_REASONS, read_citation
from ccinspect.wire.events import (
    BlockDelta,
    BlockPatch,
    BlockStart,
    BlockStop,
    CitationAdded,
    MessageStart,
    MessageStop,
    StreamEnd,
    StreamFailure,
    UnknownEvent,
    UsageReport,
)
from ccinspect.wire.jsontext import as_int, as_name, as_object, as_text, parse_event
from ccinspect.wire.model import ApiError, Block, JsonObject, Signature, StopReason, Text, Thinking, ToolCall, Unknown
from ccinspect.wire.stream import MAX_BLOCKS, AwsFraming, pick_framing
from ccinspect.wire.usage import converse_usage


class BedrockStream(AnthropicStream):
    """Both kinds of stream; the events' names tell them apart."""

    dialect = DIALECT

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self._open: set[int] = set()

    def on_event(self, name: str, data: JsonObject) -> None:
        if name.startswith("!"):
            word = name[1:]
            error = ApiError(error_kind(None, word), as_text(data.get("message")), word, raw=data)
            self.out.append(StreamFailure(error))
        elif name == "chunk":
            self._chunk(data)
        elif name == "contentBlockDelta":
            self._converse_delta(data)
        elif name == "contentBlockStart":
            self._converse_start(data)
        elif name == "contentBlockStop":
            index = as_int(data.get("contentBlockIndex"))
            if index is not None:
                self.out.append(BlockStop(index))
        elif name == "messageStart":
            self.out.append(MessageStart(raw=data))
        elif name == "messageStop":
            stopped = as_name(data.get("stopReason"))
            self.out.append(MessageStop(STOP_REASONS.get(stopped or "", StopReason.OTHER), stopped))
        elif name == "metadata":
            usage = converse_usage(data.get("usage"))
            if usage is not None:
                self.out.append(UsageReport(usage))
            self.out.append(StreamEnd())
        else:
            super().on_event(name, data)

    def _chunk(self, data: JsonObject) -> None:
        try:
            text = base64.b64decode(as_text(data.get("bytes")), validate=True).decode("utf-8", "replace")
        except (binascii.Error, ValueError):
            self.out.append(UnknownEvent("chunk", data))
            return
        value, problem = parse_event(text.strip())
        if problem is None and isinstance(value, dict):
            super().on_event(as_text(value.get("type")), value)
        else:
            self.on_text("chunk", text)

    def _converse_start(self, data: JsonObject) -> None:
        index = as_int(data.get("contentBlockIndex"))
        start = as_object(data.get("start"))
        call = as_object(start.get("toolUse"))
        if index is None or len(self._open) > MAX_BLOCKS:
            return
        self._open.add(index)
        block: Block
        if call:
            server = call.get("type") == "server_tool_use"
            block = ToolCall(as_text(call.get("toolUseId")), as_text(call.get("name")))
            if server:
                block = ToolCall(block.id, block.name, executor="provider", kind="server_tool_use")
        else:
            block = Unknown(kind=str(next(iter(start), "")), dialect=DIALECT, raw=start)
        self.out.append(BlockStart(index, block))

    def _converse_delta(self, data: JsonObject) -> None:
        index = as_int(data.get("contentBlockIndex"))
        delta = as_object(data.get("delta"))
        if index is None:
            return
        text, call = delta.get("text"), as_object(delta.get("toolUse"))
        reasoning = as_object(delta.get("reasoningContent"))
        if isinstance(text, str):
            self._ensure(index, Text())
            self.out.append(BlockDelta(index, "text", text))
        elif call:
            self._ensure(index, ToolCall())
            self.out.append(BlockDelta(index, "arguments", as_text(call.get("input"))))
        elif "redactedContent" in reasoning:
            sealed = Signature(as_text(reasoning.get("redactedContent")), SIGNER)
            self._ensure(index, Thinking(redacted=True, signature=sealed))
        elif reasoning:
            self._ensure(index, Thinking())
            if as_text(reasoning.get("text")):
                self.out.append(BlockDelta(index, "thinking", as_text(reasoning["text"])))
            if as_text(reasoning.get("signature")):
                self.out.append(BlockDelta(index, "signature", as_text(reasoning["signature"])))
        elif "citation" in delta:
            self._ensure(index, Text())
            self.out.append(CitationAdded(index, read_citation(delta["citation"])))
        else:
            self.out.append(BlockPatch(index, delta))

    def _ensure(self, index: int, block: Block) -> None:
        """Text and reasoning have no start event of their own."""
        if index not in self._open and len(self._open) <= MAX_BLOCKS:
            self._open.add(index)
            self.out.append(BlockStart(index, block))


def open_stream(content_type: str = "") -> BedrockStream:
    return BedrockStream(pick_framing(content_type, "aws") if content_type else AwsFraming())
