"""OpenAI Responses: the streamed answer.

Items are opened with `response.output_item.added`, filled by deltas that name the item by `output_index`, and told
whole again with `response.output_item.done`; `response.completed` (or `.incomplete`, `.failed`) repeats the whole
answer with its usage, and is the end mark.
"""

from __future__ import annotations

from collections.abc import Callable

from ccinspect.wire.apierror import read_error
from ccinspect.wire.events import (
    BlockDelta,
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
from ccinspect.wire.jsontext import as_int, as_list, as_name, as_number, as_object, as_text
from ccinspect.wire.model import Block, Citation, JsonObject, Message, Text, Thinking, ToolCall, Unknown
from ccinspect.wire.openai_responses.decode import read_response
from ccinspect.wire.openai_responses.items import DIALECT, read_item, read_part
from ccinspect.wire.stream import MAX_BLOCKS, StreamDecoder, pick_framing

_DELTAS: dict[str, DeltaKind] = {
    "response.output_text.delta": "text",
    "response.refusal.delta": "refusal",
}
_ITEM_DELTAS: dict[str, DeltaKind] = {
    "response.function_call_arguments.delta": "arguments",
    "response.custom_tool_call_input.delta": "arguments",
    "response.mcp_call_arguments.delta": "arguments",
    "response.reasoning_summary_text.delta": "thinking",
    "response.reasoning_text.delta": "thinking",
}
_ITEM = -1
"""In place of a content index: the block is the whole item."""


class ResponsesStream(StreamDecoder):
    dialect = DIALECT

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self._blocks: dict[tuple[int, int], int] = {}
        """(output index, content index) -> block."""
        self._next = 0

    def on_text(self, name: str, text: str) -> None:
        if text.startswith("[DONE]"):
            self.out.append(UnknownEvent(name, text))
        else:
            super().on_text(name, text)

    def on_event(self, name: str, data: JsonObject) -> None:
        kind = data.get("type")
        if not isinstance(kind, str):
            if data.get("error"):
                self._error(data)
            else:
                self.out.append(UnknownEvent(name, data))
        elif kind in _DELTAS:
            self._delta(data, _DELTAS[kind], as_int(data.get("content_index")) or 0)
        elif kind in _ITEM_DELTAS:
            self._delta(data, _ITEM_DELTAS[kind], _ITEM)
        elif handler := _HANDLERS.get(kind):
            handler(self, data)
        else:
            self.out.append(UnknownEvent(kind, data))

    def _delta(self, data: JsonObject, kind: DeltaKind, content_index: int) -> None:
        delta = data.get("delta")
        output_index = data.get("output_index")
        if not isinstance(delta, str) or type(output_index) is not int:
            self.out.append(UnknownEvent(as_text(data.get("type")), data))
            return
        index = self._blocks.get((output_index, content_index))
        if index is None:
            block: Block = {"text": Text, "thinking": Thinking, "arguments": ToolCall}.get(kind, Text)()
            index = self._open(output_index, content_index, block)
        self.out.append(BlockDelta(index, kind, delta))

    def _open(self, output_index: int, content_index: int, block: Block) -> int:
        index = self._next
        self._next += 1
        if len(self._blocks) <= MAX_BLOCKS:
            self._blocks[output_index, content_index] = index
        self.out.append(BlockStart(index, block))
        return index

    def _created(self, data: JsonObject) -> None:
        response = as_object(data.get("response"))
        start = MessageStart(as_name(response.get("id")), as_name(response.get("model")))
        start.created, start.service_tier = as_number(response.get("created_at")), as_name(response.get("service_tier"))
        start.raw = response
        self.out.append(start)

    def _item_added(self, data: JsonObject) -> None:
        output_index = as_int(data.get("output_index"))
        item = as_object(data.get("item"))
        if output_index is None or item.get("type") == "message":
            # A message's parts are announced one by one.
            return
        for block in read_item(item, ("output", output_index)).blocks[:1]:
            self._open(output_index, _ITEM, block)

    def _part_added(self, data: JsonObject) -> None:
        output_index, content_index = as_int(data.get("output_index")), as_int(data.get("content_index"))
        part = as_object(data.get("part"))
        if output_index is None or content_index is None or part.get("type") == "reasoning_text":
            return
        block = read_part(part, ("output", output_index, "content", content_index))
        self._open(output_index, content_index, block)

    def _part_done(self, data: JsonObject) -> None:
        output_index, content_index = as_int(data.get("output_index")), as_int(data.get("content_index"))
        part = as_object(data.get("part"))
        index = self._blocks.get((output_index or 0, content_index or 0))
        if index is not None and part:
            block = read_part(part, ("output", output_index or 0, "content", content_index or 0))
            self.out.append(BlockStop(index, None if isinstance(block, Unknown) else block))

    def _summary_part(self, data: JsonObject) -> None:
        """Between two parts of a summary stands an empty line, as when it is told whole."""
        index = self._blocks.get((as_int(data.get("output_index")) or 0, _ITEM))
        if index is not None and (as_int(data.get("summary_index")) or 0) > 0:
            self.out.append(BlockDelta(index, "thinking", "\n\n"))

    def _annotation(self, data: JsonObject) -> None:
        key = (as_int(data.get("output_index")) or 0, as_int(data.get("content_index")) or 0)
        raw = as_object(data.get("annotation"))
        if key in self._blocks:
            citation = Citation(as_name(raw.get("title")) or as_name(raw.get("filename")), as_name(raw.get("url")))
            self.out.append(CitationAdded(self._blocks[key], Citation(citation.title, citation.url, raw=raw)))

    def _item_done(self, data: JsonObject) -> None:
        output_index = as_int(data.get("output_index"))
        item = as_object(data.get("item"))
        if output_index is None or not item:
            return
        message = read_item(item, ("output", output_index))
        if item.get("type") == "message":
            self._message_done(output_index, message)
            return
        for number, block in enumerate(message.blocks):
            key = (output_index, _ITEM - number)
            index = self._blocks.get(key)
            if index is None:
                index = self._open(*key, block)
            self.out.append(BlockStop(index, block))

    def _message_done(self, output_index: int, message: Message) -> None:
        for number, block in enumerate(message.blocks):
            if (output_index, number) not in self._blocks:
                self.out.append(BlockStop(self._open(output_index, number, block), block))

    def _ended(self, data: JsonObject) -> None:
        response = as_object(data.get("response"))
        self._created(data)
        whole = read_response(response)
        if not self._blocks:
            # A server that tells only the end.
            for index in range(len(as_list(response.get("output")))):
                self._item_done({"output_index": index, "item": response["output"][index]})
        if whole.usage is not None:
            self.out.append(UsageReport(whole.usage))
        if whole.error is not None:
            self.out.append(StreamFailure(whole.error))
        self.out.append(MessageStop(whole.stop_reason, whole.stop_detail))
        self.out.append(StreamEnd())

    def _error(self, data: JsonObject) -> None:
        self.out.append(StreamFailure(read_error(data if data.get("error") else {"error": data})))


_HANDLERS: dict[str, Callable[[ResponsesStream, JsonObject], None]] = {
    "response.created": ResponsesStream._created,
    "response.in_progress": ResponsesStream._created,
    "response.queued": ResponsesStream._created,
    "response.output_item.added": ResponsesStream._item_added,
    "response.output_item.done": ResponsesStream._item_done,
    "response.content_part.added": ResponsesStream._part_added,
    "response.content_part.done": ResponsesStream._part_done,
    "response.reasoning_summary_part.added": ResponsesStream._summary_part,
    "response.output_text.annotation.added": ResponsesStream._annotation,
    "response.completed": ResponsesStream._ended,
    "response.incomplete": ResponsesStream._ended,
    "response.failed": ResponsesStream._ended,
    "response.done": ResponsesStream._ended,
    "error": ResponsesStream._error,
}


def open_stream(content_type: str = "") -> ResponsesStream:
    return ResponsesStream(pick_framing(content_type, "sse"))
