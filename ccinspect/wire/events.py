"""What a streamed answer is made of, dialect-free.

A stream is: MessageStart, then for each block BlockStart, its BlockDelta, CitationAdded and BlockPatch events,
BlockStop; Usage reports where the dialect puts them; MessageStop. Blocks may overlap (parallel tool calls);
their index is unique in the stream and counts up in the order of their start.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ccinspect.wire.model import ApiError, Block, Citation, JsonObject, Signature, StopReason, Usage

DeltaKind = Literal["text", "thinking", "signature", "arguments", "refusal"]


@dataclass(slots=True)
class MessageStart:
    id: str | None = None
    model: str | None = None
    created: float | None = None
    service_tier: str | None = None
    raw: JsonObject | None = None


@dataclass(slots=True)
class BlockStart:
    index: int
    block: Block
    """What is known at the start; server-side tool results come whole here."""
    candidate: int = 0


@dataclass(slots=True)
class BlockDelta:
    index: int
    kind: DeltaKind
    text: str


@dataclass(slots=True)
class CitationAdded:
    index: int
    citation: Citation


@dataclass(slots=True)
class BlockPatch:
    """Fields for a block of an unknown kind: strings are appended to, anything else replaced."""

    index: int
    fields: JsonObject


@dataclass(slots=True)
class BlockSigned:
    """A signature for the block, from a dialect that sends it whole and not in deltas."""

    index: int
    signature: Signature


@dataclass(slots=True)
class BlockStop:
    index: int
    block: Block | None = None
    """The whole block, where the dialect repeats it at its end; it beats what the deltas said."""


@dataclass(slots=True)
class UsageReport:
    """The usage so far; a later report replaces the fields it has."""

    usage: Usage


@dataclass(slots=True)
class MessageStop:
    stop_reason: StopReason | None
    stop_detail: str | None = None
    stop_sequence: str | None = None


@dataclass(slots=True)
class StreamFailure:
    error: ApiError


@dataclass(slots=True)
class StreamEnd:
    """The dialect's own end mark (`message_stop`, `[DONE]`, `response.completed`): nothing is missing."""


@dataclass(slots=True)
class UnknownEvent:
    """An event without neutral meaning (a ping, a progress note, a kind nobody here knows)."""

    name: str
    data: JsonObject | str | None = None


StreamEvent = (
    MessageStart
    | BlockStart
    | BlockDelta
    | CitationAdded
    | BlockPatch
    | BlockSigned
    | BlockStop
    | UsageReport
    | MessageStop
    | StreamFailure
    | StreamEnd
    | UnknownEvent
)
