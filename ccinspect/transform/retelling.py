"""A buffered answer as the events of a stream: for a client that asked for one and an upstream that sent none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ccinspect.wire.events import (
    BlockDelta,
    BlockStart,
    BlockStop,
    CitationAdded,
    DeltaKind,
    MessageStart,
    MessageStop,
    StreamEnd,
    StreamEvent,
    StreamFailure,
    UsageReport,
)
from ccinspect.wire.jsontext import arguments_text
from ccinspect.wire.model import Block, Refusal, Response, Text, Thinking, ToolCall


def events_of(response: Response) -> Iterator[StreamEvent]:
    """All of the answer, each block in one piece."""
    yield MessageStart(response.id, response.model, response.created, response.service_tier)
    index = 0
    for candidate, blocks in enumerate((response.blocks, *response.alternatives)):
        for block in blocks:
            yield from _block(index, block, candidate)
            index += 1
    if response.usage is not None:
        yield UsageReport(response.usage)
    if response.error is not None:
        yield StreamFailure(response.error)
        return
    yield MessageStop(response.stop_reason, response.stop_detail, response.stop_sequence)
    yield StreamEnd()


def _block(index: int, block: Block, candidate: int) -> Iterator[StreamEvent]:
    if isinstance(block, Text | Refusal | Thinking) and block.text:
        kind: DeltaKind = "text" if isinstance(block, Text) else "refusal" if isinstance(block, Refusal) else "thinking"
        citations = block.citations if isinstance(block, Text) else ()
        bare = replace(block, text="", citations=()) if isinstance(block, Text) else replace(block, text="")
        yield BlockStart(index, bare, candidate)
        yield BlockDelta(index, kind, block.text)
        for citation in citations:
            yield CitationAdded(index, citation)
    elif isinstance(block, ToolCall) and block.executor == "client":
        yield BlockStart(index, replace(block, arguments={}), candidate)
        yield BlockDelta(index, "arguments", arguments_text(block.arguments))
    else:
        yield BlockStart(index, block, candidate)
    yield BlockStop(index, block)
