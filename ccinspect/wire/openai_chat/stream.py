"""OpenAI Chat Completions: the streamed answer.

Every chunk repeats id and model and brings a `delta` for one choice or more; blocks have neither start nor stop and
are told from the fields that occur. Usage, if asked for, comes in a last chunk without choices; then `[DONE]`.
"""

from __future__ import annotations

from ccinspect.wire.apierror import read_error
from ccinspect.wire.events import (
    BlockDelta,
    BlockSigned,
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
from ccinspect.wire.jsontext import as_list, as_name, as_number, as_object, as_text, dump_text
from ccinspect.wire.model import Block, JsonObject, Refusal, Text, Thinking, ToolCall
from ccinspect.wire.openai_chat.decode import DIALECT, google_signature, read_annotation, stop_reason
from ccinspect.wire.signatures import unwrap
from ccinspect.wire.stream import MAX_BLOCKS, StreamDecoder, pick_framing
from ccinspect.wire.usage import openai_chat_usage

_MAX_CANDIDATES = 1000


class _Candidate:
    """What one choice is writing just now."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.index = -1
        """The open block of text, thinking or refusal; -1 for none."""
        self.kind = ""
        self.calls: dict[object, int] = {}
        """The wire's index of a tool call -> the block."""
        self.ids: dict[int, str] = {}
        self.last_call = -1


class ChatStream(StreamDecoder):
    dialect = DIALECT
    end_mark_optional = True

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self._candidates: dict[int, _Candidate] = {}
        self._next = 0
        self._begun = False

    def on_text(self, name: str, text: str) -> None:
        if text.startswith("[DONE]"):
            self.out.append(StreamEnd())
        else:
            super().on_text(name, text)

    def on_event(self, name: str, data: JsonObject) -> None:
        if data.get("error") and not data.get("choices"):
            self.out.append(StreamFailure(read_error(data)))
            return
        choices = data.get("choices")
        usage = data.get("usage")
        if not isinstance(choices, list) and usage is None:
            self.out.append(UnknownEvent(name, data))
            return
        if not self._begun:
            self._begin(data)
        if isinstance(choices, list):
            for choice in choices:
                if isinstance(choice, dict):
                    self._choice(choice)
        if usage is not None:
            self._report(usage, data)

    def _begin(self, data: JsonObject) -> None:
        # Azure opens with a chunk about its content filter, without id and model.
        self._begun = bool(data.get("id") or data.get("model") or data.get("choices"))
        if self._begun:
            raw = {key: data[key] for key in data if key not in ("choices", "usage")}
            start = MessageStart(as_name(data.get("id")), as_name(data.get("model")), as_number(data.get("created")))
            start.service_tier, start.raw = as_name(data.get("service_tier")), raw
            self.out.append(start)

    def _report(self, value: object, data: JsonObject) -> None:
        usage = openai_chat_usage(value)
        if usage is not None:
            self.out.append(UsageReport(usage))
            if tier := as_name(data.get("service_tier")):
                self.out.append(MessageStart(service_tier=tier))

    def _choice(self, choice: JsonObject) -> None:
        number = choice.get("index")
        if type(number) is not int or not 0 <= number < _MAX_CANDIDATES:
            number = 0
        candidate = self._candidates.get(number)
        if candidate is None:
            candidate = self._candidates[number] = _Candidate(number)
        delta = choice.get("delta") or choice.get("message")
        if isinstance(delta, dict):
            self._delta(candidate, delta)
        if choice.get("error"):
            self.out.append(StreamFailure(read_error(choice)))
        word = choice.get("finish_reason")
        if word is not None:
            self._finish(candidate)
            if number == 0:
                self.out.append(MessageStop(stop_reason(word), as_name(word)))

    def _delta(self, candidate: _Candidate, delta: JsonObject) -> None:
        content = delta.get("content")
        if "reasoning_content" in delta or "reasoning" in delta or "reasoning_details" in delta:
            self._reasoning(candidate, delta)
        if isinstance(content, str):
            if content:
                self._say(candidate, "text", content)
        elif isinstance(content, list):
            self._parts(candidate, content)
        refusal = delta.get("refusal")
        if isinstance(refusal, str) and refusal:
            self._say(candidate, "refusal", refusal)
        calls = delta.get("tool_calls")
        if isinstance(calls, list):
            for call in calls:
                self._call(candidate, as_object(call))
        if isinstance(delta.get("function_call"), dict):
            self._call(candidate, {"index": "function_call", "function": delta["function_call"]})
        for annotation in as_list(delta.get("annotations")):
            if candidate.kind == "text":
                self.out.append(CitationAdded(candidate.index, read_annotation(annotation)))

    def _parts(self, candidate: _Candidate, parts: list[object]) -> None:
        """Mistral's reasoning models send content as parts."""
        for part in parts:
            part = as_object(part)
            if part.get("type") == "thinking":
                for piece in as_list(part.get("thinking")):
                    self._say(candidate, "thinking", as_text(as_object(piece).get("text")))
            elif as_text(part.get("text")):
                self._say(candidate, "text", as_text(part.get("text")))

    def _reasoning(self, candidate: _Candidate, delta: JsonObject) -> None:
        text = as_text(delta.get("reasoning_content")) or as_text(delta.get("reasoning"))
        if text:
            self._say(candidate, "thinking", text)
        for detail in map(as_object, as_list(delta.get("reasoning_details"))):
            told = as_text(detail.get("text")) or as_text(detail.get("summary"))
            if told and not text:
                self._say(candidate, "thinking", told)
            sign = as_name(detail.get("signature")) or as_name(detail.get("data"))
            if sign and detail.get("type") == "reasoning.encrypted":
                block = Thinking(redacted=True, signature=unwrap(sign, DIALECT))
                self._close(candidate)
                self.out += [BlockStart(self._next, block, candidate.number), BlockStop(self._next)]
                self._next += 1
            elif sign:
                self._open(candidate, "thinking")
                self.out.append(BlockSigned(candidate.index, unwrap(sign, DIALECT)))

    def _say(self, candidate: _Candidate, kind: DeltaKind, text: str) -> None:
        if candidate.kind != kind:
            self._open(candidate, kind)
        self.out.append(BlockDelta(candidate.index, kind, text))

    def _open(self, candidate: _Candidate, kind: str) -> None:
        if candidate.kind == kind:
            return
        self._close(candidate)
        block: Block = {"text": Text, "thinking": Thinking, "refusal": Refusal}[kind]()
        candidate.index, candidate.kind = self._next, kind
        self._next += 1
        self.out.append(BlockStart(candidate.index, block, candidate.number))

    def _close(self, candidate: _Candidate) -> None:
        if candidate.kind:
            self.out.append(BlockStop(candidate.index))
            candidate.index, candidate.kind = -1, ""

    def _call(self, candidate: _Candidate, raw: JsonObject) -> None:
        custom = raw.get("type") == "custom" or isinstance(raw.get("custom"), dict)
        inner = as_object(raw.get("custom" if custom else "function"))
        call_id, name = as_text(raw.get("id")), as_text(inner.get("name"))
        block = self._known_call(candidate, raw.get("index"), call_id, name)
        if block is None and self._next > MAX_BLOCKS:
            return
        if block is None:
            self._close(candidate)
            block = self._next
            self._next += 1
            candidate.calls[_call_key(raw.get("index"), call_id)] = candidate.last_call = block
            candidate.ids[block] = call_id
            call = ToolCall(call_id, name, "" if custom else {}, kind="custom" if custom else "function")
            self.out.append(BlockStart(block, call, candidate.number))
        if signature := google_signature(raw):
            self.out.append(BlockSigned(block, signature))
        text = inner.get("input" if custom else "arguments")
        if isinstance(text, dict):
            text = dump_text(text)
        if isinstance(text, str) and text:
            self.out.append(BlockDelta(block, "arguments", text))

    def _known_call(self, candidate: _Candidate, index: object, call_id: str, name: str) -> int | None:
        """The block this piece belongs to. Servers are known to send index -1, none at all, or 0 for every call."""
        block = candidate.calls.get(_call_key(index, call_id))
        if block is None and not _is_index(index) and not call_id and not name and candidate.last_call >= 0:
            return candidate.last_call
        if block is not None and call_id and name and candidate.ids.get(block, call_id) not in ("", call_id):
            return None
        return block

    def _finish(self, candidate: _Candidate) -> None:
        self._close(candidate)
        for block in candidate.ids:
            self.out.append(BlockStop(block))
        candidate.calls, candidate.ids = {}, {}

    def on_close(self) -> None:
        for candidate in self._candidates.values():
            self._finish(candidate)


def _is_index(index: object) -> bool:
    return index == "function_call" or (type(index) is int and index >= 0)


def _call_key(index: object, call_id: str) -> object:
    return index if _is_index(index) else ("id", call_id)


def open_stream(content_type: str = "") -> ChatStream:
    return ChatStream(pick_framing(content_type, "sse"))
