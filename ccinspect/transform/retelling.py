"""A whole answer as stream events, and encoders in the form that one client wants."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from ccinspect.transform.needs import ClientNeeds
from ccinspect.transform.toolnames import free_text, restored
from ccinspect.wire.codec import StreamEncoder
from ccinspect.wire.events import (
    BlockDelta,
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
from ccinspect.wire.gemini.tell import GeminiEncoder
from ccinspect.wire.model import Block, Response, Text, ToolCall
from ccinspect.wire.ollama.tell import OllamaEncoder
from ccinspect.wire.openai_chat.tell import ChatEncoder
from ccinspect.wire.registry import DIALECTS

_ID_PREFIX = {"anthropic": "msg_", "openai_chat": "chatcmpl-", "openai_responses": "resp_"}


class Naming:
    """Gives an answer what its provider did not say and its client relies on.

    Ids must not repeat: agents send calls and results back in their history, and tell answers apart by id. Gemini and
    Ollama give none.
    """

    def __init__(self, needs: ClientNeeds, now: float, unique: str) -> None:
        """`now` is seconds since the epoch; `unique` is told apart from that of any other answer (the flow's id)."""
        self._needs = needs
        self._now = now
        self._unique = unique.replace("-", "")[:32]
        self._begun = False
        self._calls = 0
        self._free_text: dict[int, list[str]] = {}
        """By block: the arguments so far of calls that take free text here, and an object there."""

    def response(self, response: Response) -> Response:
        return replace(
            response,
            id=response.id or self._id(),
            model=response.model or self._needs.model,
            created=self._now if response.created is None else response.created,
            blocks=tuple(map(self._block, response.blocks)),
            alternatives=tuple(tuple(map(self._block, blocks)) for blocks in response.alternatives),
        )

    def events(self, events: Iterable[StreamEvent]) -> Iterator[StreamEvent]:
        for event in events:
            if isinstance(event, BlockDelta):
                held = self._free_text.get(event.index) if self._free_text else None
                if held is None or event.kind != "arguments":
                    yield event
                else:
                    held.append(event.text)
            elif isinstance(event, BlockStart):
                yield from self._begin(MessageStart())
                yield self._start(event)
            elif isinstance(event, BlockStop):
                if held := self._free_text.pop(event.index, None):
                    yield BlockDelta(event.index, "arguments", free_text("".join(held)))
                last = event.block
                yield BlockStop(event.index, restored(last, self._needs.tools)) if isinstance(last, ToolCall) else event
            elif isinstance(event, MessageStart):
                yield from self._begin(event)
            else:
                if not isinstance(event, StreamFailure | UnknownEvent):
                    yield from self._begin(MessageStart())
                yield event

    def _begin(self, event: MessageStart) -> Iterator[StreamEvent]:
        if self._begun:
            return
        self._begun = True
        yield MessageStart(
            id=event.id or self._id(),
            model=event.model or self._needs.model,
            created=self._now if event.created is None else event.created,
            service_tier=event.service_tier,
            raw=event.raw,
        )

    def _id(self) -> str | None:
        prefix = _ID_PREFIX.get(self._needs.dialect)
        return None if prefix is None else prefix + self._unique

    def _start(self, event: BlockStart) -> BlockStart:
        block = self._block(event.block)
        if block is event.block:
            return event
        if isinstance(block, ToolCall) and isinstance(event.block, ToolCall) and block.kind != event.block.kind:
            self._free_text[event.index] = []
        return BlockStart(event.index, block, event.candidate)

    def _block(self, block: Block) -> Block:
        if not isinstance(block, ToolCall):
            return block
        if self._needs.tools:
            block = restored(block, self._needs.tools)
        if block.id:
            return block
        self._calls += 1
        prefix = "toolu_" if self._needs.dialect == "anthropic" else "call_"
        return replace(block, id=f"{prefix}{self._unique}_{self._calls}")


def events_of(response: Response) -> list[StreamEvent]:
    """A whole answer as the events of a stream that tells it."""
    events: list[StreamEvent] = [
        MessageStart(response.id, response.model, response.created, response.service_tier),
    ]
    index = 0
    for candidate, blocks in enumerate((response.blocks, *response.alternatives)):
        for block in blocks:
            events += _events_of_block(block, index, candidate)
            index += 1
    if response.usage is not None:
        events.append(UsageReport(response.usage))
    if response.error is not None:
        return [*events, StreamFailure(response.error)]
    stop = MessageStop(response.stop_reason, response.stop_detail, response.stop_sequence)
    return [*events, stop, StreamEnd()]


def _events_of_block(block: Block, index: int, candidate: int) -> Iterator[StreamEvent]:
    if not isinstance(block, Text):
        yield BlockStart(index, block, candidate)
        yield BlockStop(index, block)
        return
    yield BlockStart(index, replace(block, text="", citations=()), candidate)
    if block.text:
        yield BlockDelta(index, "text", block.text)
    for citation in block.citations:
        yield CitationAdded(index, citation)
    yield BlockStop(index, block)


def open_encoder(needs: ClientNeeds) -> StreamEncoder:
    """An encoder of the upstream's events, in the form that the client wants."""
    if needs.dialect == "openai_chat":
        return ChatEncoder(needs.upstream, needs.include_usage)
    if needs.dialect == "gemini":
        return GeminiEncoder(needs.upstream, array=needs.form == "array", envelope=needs.envelope)
    if needs.dialect == "ollama":
        return OllamaEncoder(needs.upstream, prompted=needs.form == "generate")
    make = DIALECTS[needs.dialect].open_encoder
    if make is None:
        raise ValueError(f"no stream can be told in {needs.dialect}")
    return make(needs.upstream)
