"""OpenAI Responses: stream events told as its events, each as it comes. Each block becomes an item."""

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
from ccinspect.wire.jsontext import arguments_text, dump_line
from ccinspect.wire.model import (
    Block,
    Citation,
    Diagnostic,
    JsonObject,
    Outcome,
    Refusal,
    Response,
    Signature,
    StopReason,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from ccinspect.wire.openai_chat.encode import encode_error
from ccinspect.wire.openai_responses.encode import block_items, message_item, reasoning_item, response_body, text_part
from ccinspect.wire.openai_responses.items import DIALECT
from ccinspect.wire.signatures import unwrap
from ccinspect.wire.sse import encode_event
from ccinspect.wire.usage import merge_usage


class _Open:
    def __init__(self, block: Block, position: int) -> None:
        self.block = block
        self.position = position
        self.parts: list[str] = []
        self.sign: list[str] = []
        self.citations: list[Citation] = []
        self.signature: Signature | None = block.signature

    def whole(self, source: str) -> Block:
        """The block as all its events told it."""
        text = "".join(self.parts)
        block = self.block
        signature = unwrap("".join(self.sign), source) if self.sign else self.signature
        if isinstance(block, Text):
            citations = (*block.citations, *self.citations)
            return replace(block, text=block.text + text, citations=citations, signature=None)
        if isinstance(block, Thinking):
            return replace(block, text=block.text + text, signature=signature)
        if isinstance(block, Refusal):
            return replace(block, text=block.text + text)
        if isinstance(block, ToolCall):
            return replace(block, arguments=text or arguments_text(block.arguments), signature=None)
        return block


class ResponsesEncoder:
    """See `codec.StreamEncoder`."""

    def __init__(self, source: str) -> None:
        self._notes = Notes(source, DIALECT)
        self._open: dict[int, _Open] = {}
        self._items: dict[int, JsonObject] = {}
        """The finished items by their position."""
        self._positions = 0
        self._sequence = 0
        self._start = MessageStart()
        self._begun = False
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

    def _say(self, kind: str, **fields: object) -> None:
        event = {"type": kind, "sequence_number": self._sequence, **fields}
        self._sequence += 1
        self._out.append(encode_event(dump_line(event), kind))

    def _event(self, event: StreamEvent) -> None:
        match event:
            case MessageStart():
                self._begin(event)
            case BlockStart():
                self._start_block(event)
            case BlockDelta():
                self._delta(event)
            case BlockSigned(index, signature):
                self._signed(index, signature)
            case CitationAdded(index, citation):
                if index in self._open:
                    self._open[index].citations.append(citation)
            case BlockStop():
                self._stop_block(event)
            case UsageReport(usage):
                self._usage = merge_usage(self._usage, usage)
            case MessageStop():
                self._stop = event
            case StreamFailure(error):
                inner = encode_error(error).body["error"]
                self._say("error", code=inner["code"], message=inner["message"], param=inner["param"])
            case StreamEnd():
                self._finish()
            case _:
                pass

    def _response(self, status: str) -> JsonObject:
        stop = self._stop or MessageStop(None)
        response = Response(
            dialect=self._notes.source,
            id=self._start.id,
            model=self._start.model,
            created=self._start.created,
            stop_reason=stop.stop_reason,
            stop_detail=stop.stop_detail,
            usage=self._usage if status != "in_progress" else None,
            outcome=Outcome.COMPLETE,
        )
        body = response_body(response, [self._items[position] for position in sorted(self._items)])
        return body | {"status": status} if status == "in_progress" else body

    def _begin(self, event: MessageStart) -> None:
        if self._begun:
            return
        self._begun = True
        self._start = event
        self._say("response.created", response=self._response("in_progress"))
        self._say("response.in_progress", response=self._response("in_progress"))

    def _start_block(self, event: BlockStart) -> None:
        self._begin(MessageStart())
        block = event.block
        if event.candidate:
            if not any(note.code == "candidates_dropped" for note in self._notes.found):
                self._notes.lost("candidates_dropped", "further candidates")
            return
        if isinstance(block, ToolCall) and not block.id:
            block = replace(block, id=f"call_{event.index}")
        if isinstance(block, ToolCall) and block.signature is not None:
            # Gemini's signature on a call gets an item of its own before it.
            [carrier, _] = block_items(block, self._notes, False, self._positions)
            self._whole_item(carrier)
            block = replace(block, signature=None)
        if isinstance(block, Text | Refusal | Thinking) or (isinstance(block, ToolCall) and block.executor == "client"):
            opened = self._open[event.index] = _Open(block, self._positions)
            self._positions += 1
            self._added(opened)
            if isinstance(block, Text | Refusal | Thinking) and block.text:
                self._say_delta(opened, block.text)
        else:
            for item in block_items(block, self._notes, False, self._positions):
                self._whole_item(item)

    def _whole_item(self, item: JsonObject) -> None:
        position = self._positions
        self._positions += 1
        self._say("response.output_item.added", output_index=position, item=item)
        self._say("response.output_item.done", output_index=position, item=item)
        self._items[position] = item

    def _added(self, opened: _Open) -> None:
        block, position = opened.block, opened.position
        item: JsonObject
        if isinstance(block, Text | Refusal):
            item = message_item(position, [], "in_progress")
            self._say("response.output_item.added", output_index=position, item=item)
            empty = replace(block, text="", citations=()) if isinstance(block, Text) else replace(block, text="")
            self._say_part("response.content_part.added", opened, part=text_part(empty, self._notes))
        elif isinstance(block, Thinking):
            item = {"type": "reasoning", "id": reasoning_item(block, self._notes, position)["id"], "summary": []}
            self._say("response.output_item.added", output_index=position, item=item)
            if not block.redacted:
                empty_part = {"type": "summary_text", "text": ""}
                self._say_part("response.reasoning_summary_part.added", opened, part=empty_part)
        elif isinstance(block, ToolCall):
            empty_call = replace(block, arguments="", signature=None)
            [item] = block_items(empty_call, self._notes, False, position)
            item["status"] = "in_progress"
            self._say("response.output_item.added", output_index=position, item=item)

    def _say_part(self, kind: str, opened: _Open, **fields: object) -> None:
        block = opened.block
        place: JsonObject = {"item_id": self._item_id(opened), "output_index": opened.position}
        if isinstance(block, Text | Refusal):
            place["content_index"] = 0
        elif isinstance(block, Thinking):
            place["summary_index"] = 0
        self._say(kind, **place, **fields)

    def _item_id(self, opened: _Open) -> str:
        if isinstance(opened.block, Thinking):
            return str(reasoning_item(opened.block, self._notes, opened.position)["id"])
        return f"{'fc' if isinstance(opened.block, ToolCall) else 'msg'}_{opened.position}"

    def _say_delta(self, opened: _Open, text: str) -> None:
        block = opened.block
        if isinstance(block, Text):
            self._say_part("response.output_text.delta", opened, delta=text, logprobs=[])
        elif isinstance(block, Refusal):
            self._say_part("response.refusal.delta", opened, delta=text)
        elif isinstance(block, Thinking):
            self._say_part("response.reasoning_summary_text.delta", opened, delta=text)
        elif isinstance(block, ToolCall):
            kind = "custom_tool_call_input" if block.kind == "custom" else "function_call_arguments"
            self._say_part(f"response.{kind}.delta", opened, delta=text)

    def _delta(self, event: BlockDelta) -> None:
        opened = self._open.get(event.index)
        if opened is None:
            return
        if event.kind == "signature":
            opened.sign.append(event.text)
            return
        opened.parts.append(event.text)
        self._say_delta(opened, event.text)

    def _signed(self, index: int, signature: Signature) -> None:
        opened = self._open.get(index)
        if opened is not None and isinstance(opened.block, Thinking):
            opened.signature = signature
        else:
            self._notes.lost("signature_dropped", "a signature that came after its block had begun")

    def _stop_block(self, event: BlockStop) -> None:
        opened = self._open.pop(event.index, None)
        if opened is None:
            return
        final = event.block
        if isinstance(opened.block, ToolCall) and not opened.parts:
            arguments = (final if isinstance(final, ToolCall) else opened.block).arguments
            opened.parts.append(arguments_text(arguments))
            self._say_delta(opened, opened.parts[0])
        block = opened.whole(self._notes.source)
        if isinstance(final, Thinking) and isinstance(block, Thinking):
            block = replace(block, signature=final.signature or block.signature)
        [item] = block_items(block, self._notes, False, opened.position)[-1:]
        self._say_done(opened, block, item)
        self._say("response.output_item.done", output_index=opened.position, item=item)
        self._items[opened.position] = item

    def _say_done(self, opened: _Open, block: Block, item: JsonObject) -> None:
        if isinstance(block, Text):
            self._say_part("response.output_text.done", opened, text=block.text, logprobs=[])
            self._say_part("response.content_part.done", opened, part=item["content"][0])
        elif isinstance(block, Refusal):
            self._say_part("response.refusal.done", opened, refusal=block.text)
            self._say_part("response.content_part.done", opened, part=item["content"][0])
        elif isinstance(block, Thinking) and not block.redacted:
            self._say_part("response.reasoning_summary_text.done", opened, text=block.text)
            part = {"type": "summary_text", "text": block.text}
            self._say_part("response.reasoning_summary_part.done", opened, part=part)
        elif isinstance(block, ToolCall) and block.kind == "custom":
            self._say_part("response.custom_tool_call_input.done", opened, input=item["input"])
        elif isinstance(block, ToolCall):
            done = {"name": block.name, "arguments": item["arguments"]}
            self._say_part("response.function_call_arguments.done", opened, **done)

    def _finish(self) -> None:
        if self._finished or not self._begun:
            return
        self._finished = True
        for index in list(self._open):
            self._stop_block(BlockStop(index))
        self._stop = self._stop or MessageStop(StopReason.END_TURN)
        body = self._response("completed")
        self._say(f"response.{body['status']}", response=body)
