"""Google Gemini: the streamed answer, as server-sent events or as the elements of one JSON array.

Every chunk is an answer of its own shape with the parts that are new. Parts have no start and no stop; neighbours of
one kind are one block. Each chunk carries the usage so far. The chunk with the finish reason is the last.
"""

from __future__ import annotations

import re

from ccinspect.wire.apierror import read_error
from ccinspect.wire.events import (
    BlockDelta,
    BlockSigned,
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
from ccinspect.wire.gemini.config import field
from ccinspect.wire.gemini.decode import DIALECT, read_citations, read_part, stop_reason
from ccinspect.wire.jsontext import as_list, as_name, as_object, as_text
from ccinspect.wire.model import Block, JsonObject, Signature, Text, Thinking, ToolCall
from ccinspect.wire.stream import StreamDecoder, pick_framing
from ccinspect.wire.usage import gemini_usage

_MAX_CANDIDATES = 1000


class _Candidate:
    def __init__(self, number: int) -> None:
        self.number = number
        self.index = -1
        """The open block; -1 for none."""
        self.kind = ""
        self.calls = False
        self.cited = 0
        self.partial: dict[str, object] | None = None
        """The arguments of a call that come piece by piece."""
        self.started = ToolCall()
        """That call."""


class GeminiStream(StreamDecoder):
    dialect = DIALECT
    end_mark_optional = True

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self._candidates: dict[int, _Candidate] = {}
        self._next = 0
        self._begun = False
        self._counts: object = None

    def on_event(self, name: str, data: JsonObject) -> None:
        inner = data.get("response")
        if isinstance(inner, dict) and "candidates" not in data:
            data = inner
        if data.get("error"):
            self.out.append(StreamFailure(read_error(data)))
            return
        candidates = data.get("candidates")
        if candidates is None and "usageMetadata" not in data and "promptFeedback" not in data:
            self.out.append(UnknownEvent(name, data))
            return
        if not self._begun:
            self._begun = True
            start = MessageStart(as_name(data.get("responseId")), as_name(data.get("modelVersion")))
            start.raw = {key: data[key] for key in data if key not in ("candidates", "usageMetadata")}
            self.out.append(start)
        counts = data.get("usageMetadata")
        if counts != self._counts:
            self._counts = counts
            usage = gemini_usage(counts)
            if usage is not None:
                self.out.append(UsageReport(usage))
        if isinstance(candidates, list) and candidates:
            for raw in candidates:
                if isinstance(raw, dict):
                    self._candidate(raw, data)
        elif data.get("promptFeedback"):
            reason, word = stop_reason(data, {}, ())
            if reason is not None:
                self.out += [MessageStop(reason, word), StreamEnd()]

    def _candidate(self, raw: JsonObject, data: JsonObject) -> None:
        number = raw.get("index", 0)
        if type(number) is not int or not 0 <= number < _MAX_CANDIDATES:
            number = 0
        candidate = self._candidates.get(number)
        if candidate is None:
            candidate = self._candidates[number] = _Candidate(number)
        content = raw.get("content")
        if isinstance(content, dict):
            for part in as_list(content.get("parts")):
                self._part(candidate, as_object(part))
        if "groundingMetadata" in raw or "citationMetadata" in raw:
            self._cite(candidate, raw)
        if field(raw, "finishReason") is not None:
            self._close(candidate)
            if number == 0:
                calls: tuple[Block, ...] = (ToolCall(),) if candidate.calls else ()
                self.out += [MessageStop(*stop_reason(data, raw, calls)), StreamEnd()]

    def _part(self, candidate: _Candidate, raw: JsonObject) -> None:
        text = raw.get("text")
        if isinstance(text, str) and (len(raw) == 1 or raw.keys() <= {"text", "thought"}):
            self._text(candidate, "thinking" if raw.get("thought") is True else "text", text)
            return
        block = read_part(raw, ("candidates", candidate.number, "content", "parts"))
        if isinstance(block, Thinking) and block.redacted:
            self._whole(candidate, block)
        elif isinstance(block, Text | Thinking):
            # A signature alone, in an empty part, belongs to what stands before it.
            kind = "thinking" if isinstance(block, Thinking) else "text"
            if block.text or candidate.index < 0:
                self._text(candidate, kind, block.text)
            if block.signature is not None:
                self._sign(candidate, block.signature)
        elif isinstance(block, ToolCall) and block.executor == "client":
            candidate.calls = True
            self._call(candidate, block, as_object(field(raw, "functionCall")))
        else:
            self._whole(candidate, block)

    def _text(self, candidate: _Candidate, kind: str, text: str) -> None:
        if not text:
            # The last chunk often has an empty part. A block of it would come back in the history, and be refused.
            return
        if candidate.kind != kind:
            self._close(candidate)
            self._open(candidate, kind, Text() if kind == "text" else Thinking())
        self.out.append(BlockDelta(candidate.index, "text" if kind == "text" else "thinking", text))

    def _open(self, candidate: _Candidate, kind: str, block: Block) -> None:
        candidate.index, candidate.kind = self._next, kind
        self._next += 1
        self.out.append(BlockStart(candidate.index, block, candidate.number))

    def _sign(self, candidate: _Candidate, signature: Signature) -> None:
        self.out.append(BlockSigned(candidate.index, signature))
        # What follows is another part, without this signature.
        candidate.kind = candidate.kind + "+signed"

    def _close(self, candidate: _Candidate) -> None:
        if candidate.index < 0:
            return
        if candidate.partial is not None:
            self._end_partial(candidate)
            return
        self.out.append(BlockStop(candidate.index))
        candidate.index, candidate.kind = -1, ""

    def _whole(self, candidate: _Candidate, block: Block) -> None:
        self._close(candidate)
        self._open(candidate, "whole", block)
        self._close(candidate)

    def _call(self, candidate: _Candidate, block: ToolCall, raw: JsonObject) -> None:
        pieces = as_list(field(raw, "partialArgs"))
        continues = raw.get("willContinue") is True
        if candidate.kind != "partial" and not pieces and not continues:
            self._whole(candidate, block)
            return
        if candidate.kind != "partial":
            self._close(candidate)
            self._open(candidate, "partial", block)
            candidate.partial = {}
            candidate.started = block
        for piece in pieces:
            if candidate.partial is not None:
                put_piece(candidate.partial, as_object(piece))
        if not continues:
            self._end_partial(candidate)

    def _end_partial(self, candidate: _Candidate) -> None:
        arguments = candidate.partial or {}
        started = candidate.started
        whole = ToolCall(started.id, started.name, arguments, signature=started.signature)
        self.out.append(BlockStop(candidate.index, whole))
        candidate.index, candidate.kind, candidate.partial = -1, "", None

    def _cite(self, candidate: _Candidate, raw: JsonObject) -> None:
        """Each chunk repeats the citations so far."""
        citations = read_citations(raw)
        if candidate.index >= 0 and candidate.kind.startswith("text"):
            self.out += [CitationAdded(candidate.index, citation) for citation in citations[candidate.cited :]]
            candidate.cited = max(candidate.cited, len(citations))

    def on_close(self) -> None:
        for candidate in self._candidates.values():
            self._close(candidate)


_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d{1,4})\]|\['([^']*)'\]")
_MAX_STEPS = 20
_MAX_ITEMS = 10_000


def put_piece(arguments: dict[str, object], piece: JsonObject) -> None:
    """Put one `partialArgs` entry where its JSON path says; strings grow."""
    path = as_text(field(piece, "jsonPath"))
    steps: list[str | int] = [int(m[2]) if m[2] else m[1] or m[3] or "" for m in _STEP.finditer(path[:1000])]
    if not steps or len(steps) > _MAX_STEPS or not isinstance(steps[0], str):
        return
    value: object = None
    for name in ("stringValue", "numberValue", "boolValue"):
        if field(piece, name) is not None:
            value = field(piece, name)
    place: object = arguments
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        last = following is None
        new: object = value if last else ([] if isinstance(following, int) else {})
        if isinstance(place, dict) and isinstance(step, str):
            old = place.get(step)
            if last:
                place[step] = old + value if isinstance(old, str) and isinstance(value, str) else value
            elif old is None:
                place[step] = new
            place = place[step]
        elif isinstance(place, list) and isinstance(step, int) and step <= min(len(place), _MAX_ITEMS):
            if step == len(place):
                place.append(new)
            elif last:
                old = place[step]
                place[step] = old + value if isinstance(old, str) and isinstance(value, str) else value
            place = place[step]
        else:
            return


def open_stream(content_type: str = "") -> GeminiStream:
    return GeminiStream(pick_framing(content_type, "array"))
