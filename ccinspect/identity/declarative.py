"""Reading the calls of a provider that nobody coded, by the jq expressions of `providers.NAME`.

The caller brings text: bodies without their content encoding, streams cut into events (SSE or JSON lines; see
`stream_format`). What comes out is plain: strings, counts and the problems met. Nothing a peer sends makes it raise.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from ccinspect.identity import jq_programs
from ccinspect.identity.jq_process import CPU_SECONDS, JqProcess, Result
from ccinspect.identity.settings import ProviderSettings

MAX_EVENTS = 200_000
"""Events of one stream; what comes after is a problem told."""
MAX_TEXT = 64_000_000
"""Characters of one field's text."""
MAX_EXPLAINED = 5_000
"""Events of one stream that `explain` looks at."""
MAX_PREVIEW = 300
"""Characters of a result that `explain` shows."""

_BATCH_EVENTS = 500
_BATCH_CHARACTERS = 4_000_000
_STRIKES = 3
"""Time-outs in a row after which a provider's expressions rest until the next `reload`."""

Event = tuple[str, str]
"""(SSE event name or empty, data)."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something an expression could not do. `key` is its place in the configuration: `response.usage.input`."""

    key: str
    message: str


@dataclass(frozen=True, slots=True)
class DeclaredMessage:
    role: str
    text: str
    raw: Any
    """What the expression found."""


@dataclass(frozen=True, slots=True)
class DeclaredUsage:
    """Token counts; every part counts tokens no other part counts, but `reasoning` is a share of `output`."""

    input: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    output: int | None = None
    reasoning: int | None = None


@dataclass(frozen=True, slots=True)
class DeclaredRequest:
    model: str | None = None
    system: str = ""
    messages: tuple[DeclaredMessage, ...] = ()
    tools: tuple[Any, ...] = ()
    stream: bool | None = None
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class DeclaredAnswer:
    model: str | None = None
    text: str = ""
    thinking: str = ""
    stop_reason: str | None = None
    usage: DeclaredUsage | None = None
    ended: bool = True
    """Of a stream: its end mark came, or a stop reason."""
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """What one expression finds in a flow, for `providers test`."""

    key: str
    expression: str
    found: tuple[str, ...]
    """The first results as JSON, each cut to MAX_PREVIEW characters."""
    count: int
    """How many results there were, without nulls; of an event's expression, over all events."""
    problem: str | None = None


class Declared:
    """The reader of one provider's calls."""

    def __init__(self, name: str, settings: ProviderSettings, process: JqProcess) -> None:
        """`settings` were validated, so that every expression compiles; `process` may be shared with other readers."""
        self.name = name
        self.settings = settings
        self._process = process
        self._strikes = 0
        stream = settings.stream
        self._request = jq_programs.document_program(settings.request.fields())
        self._response = jq_programs.document_program(settings.response.fields())
        self._event = jq_programs.event_program(
            stream.type, {kind: found.fields() for kind, found in stream.events.items()}
        )
        self._final = jq_programs.event_program(stream.type, {"*": stream.final.fields()})

    def stream_format(self, content_type: str) -> str:
        """`sse` or `json-lines`: how an answer of this content type is to be cut into events."""
        if self.settings.stream.format != "auto":
            return self.settings.stream.format
        return "sse" if "event-stream" in content_type.lower() else "json-lines"

    def read_request(self, body: str) -> DeclaredRequest:
        found, problems = self._read("request", self._request, body)
        messages = [_message(item) for item in _items(found.get("messages", []))]
        if not messages and (prompt := _texts(found.get("text", []), "\n")):
            messages = [DeclaredMessage("user", prompt, prompt)]
        return DeclaredRequest(
            model=_first_text(found.get("model", [])),
            system=_texts(found.get("system", []), "\n"),
            messages=tuple(messages),
            tools=tuple(_items(found.get("tools", []))),
            stream=next((item for item in found.get("stream", []) if isinstance(item, bool)), None),
            problems=tuple(problems),
        )

    def read_response(self, body: str) -> DeclaredAnswer:
        """Read an answer that is not a stream."""
        found, problems = self._read("response", self._response, body)
        return DeclaredAnswer(
            model=_first_text(found.get("model", [])),
            text=_texts(found.get("text", [])),
            thinking=_texts(found.get("thinking", [])),
            stop_reason=_first_text(found.get("stop_reason", [])),
            usage=_usage(found),
            problems=tuple(problems),
        )

    def read_stream(self, events: Iterable[Event]) -> DeclaredAnswer:
        """Read a streamed answer, whole or cut off."""
        answer = _Gathering(self.settings.stream.cumulative)
        last: Event | None = None
        batch: list[Event] = []
        size = 0
        for count, (name, data) in enumerate(events):
            if data.strip() == self.settings.stream.end:
                answer.ended = True
                break
            if count >= MAX_EVENTS:
                answer.note("stream", f"has more than {MAX_EVENTS} events")
                break
            last = (name, data) if data.strip() else last
            batch.append((name, data))
            size += len(data)
            if len(batch) >= _BATCH_EVENTS or size >= _BATCH_CHARACTERS:
                self._read_events(batch, answer)
                batch, size = [], 0
        self._read_events(batch, answer)
        if last is not None and self.settings.stream.final.fields():
            [result] = self._run([(self._final, jq_programs.event_document(*last))])
            answer.add("stream.final", result)
        return answer.answer()

    def explain(
        self, request: str | None = None, response: str | None = None, events: Sequence[Event] | None = None
    ) -> list[Finding]:
        """Run every expression by itself, each with a time limit of its own, over what there is of a flow."""
        findings = []
        for block, document in (("request", request), ("response", response)):
            if document is not None:
                for key, expression in _expressions(block, getattr(self.settings, block).fields()):
                    findings.append(self._find(key, expression, jq_programs.one_expression(expression), [document]))
        if events is not None:
            findings += self._explain_stream(events[:MAX_EXPLAINED])
        return findings

    def _explain_stream(self, events: Sequence[Event]) -> list[Finding]:
        stream = self.settings.stream
        marked = [index for index, (_, data) in enumerate(events) if data.strip() == stream.end]
        spoken = [event for event in events[: marked[0] if marked else None] if event[1].strip()]
        by_type, problem = self._sort_by_type(spoken)
        findings = [Finding("stream.type", " // ".join(stream.type), tuple(by_type)[:10], len(spoken), problem)]
        for kind, block in stream.events.items():
            others = [event for name, found in by_type.items() if name not in stream.events for event in found]
            chosen = others if kind == "*" else by_type.get(kind, [])
            documents = [jq_programs.event_document(*event) for event in chosen]
            for key, expression in _expressions(f"stream.events.{kind}", block.fields()):
                program = jq_programs.one_event_expression(expression, stream.type)
                findings.append(self._find(key, expression, program, documents))
        for key, expression in _expressions("stream.final", stream.final.fields()):
            program = jq_programs.one_event_expression(expression, stream.type)
            documents = [jq_programs.event_document(*event) for event in spoken[-1:]]
            findings.append(self._find(key, expression, program, documents))
        return findings

    def _sort_by_type(self, events: Sequence[Event]) -> tuple[dict[str, list[Event]], str | None]:
        program = jq_programs.event_program(self.settings.stream.type, {})
        sorted_events: dict[str, list[Event]] = {}
        problem = None
        results = self._process.run([(program, jq_programs.event_document(*event)) for event in events])
        for event, result in zip(events, results, strict=True):
            if result.text is None:
                problem = problem or _plain(result.problem)
            else:
                sorted_events.setdefault(json.loads(result.text)["type"], []).append(event)
        return sorted_events, problem

    def _find(self, key: str, expression: str, program: str, documents: Sequence[str]) -> Finding:
        found: list[Any] = []
        count = 0
        problem = None
        for result in self._process.run([(program, document) for document in documents]):
            outcome = json.loads(result.text) if result.text else {"e": _plain(result.problem)}
            problem = problem or outcome.get("e")
            results = [item for item in outcome.get("v", []) if item is not None]
            count += len(results)
            found += results[: 5 - len(found)]
        return Finding(key, expression, tuple(_preview(item) for item in found), count, problem)

    def _read_events(self, batch: list[Event], answer: _Gathering) -> None:
        jobs = [(self._event, jq_programs.event_document(name, data)) for name, data in batch if data.strip()]
        for result in self._run(jobs):
            answer.add("stream.events", result)

    def _read(self, block: str, program: str, body: str) -> tuple[dict[str, list[Any]], list[Problem]]:
        [result] = self._run([(program, body)])
        if result.text is None:
            return {}, [Problem(block, _plain(result.problem))]
        return _unpack(block, json.loads(result.text))

    def _run(self, jobs: Sequence[tuple[str, str]]) -> list[Result]:
        """As the process does, but a provider whose expressions keep timing out stops costing CPU time."""
        if self._strikes >= _STRIKES:
            resting = Result(None, f"at rest after {_STRIKES} failures in a row: mend the expressions, then reload")
            return [resting] * len(jobs)
        results = self._process.run(jobs)
        if results:
            died = all(result.problem and result.problem.startswith(("takes more", "jq ended")) for result in results)
            self._strikes = self._strikes + 1 if died else 0
        return results


class Declarations:
    """The readers of all providers that are declared by expressions, sharing one jq process."""

    def __init__(self, settings: Mapping[str, ProviderSettings], cpu_seconds: float = CPU_SECONDS) -> None:
        self._process = JqProcess(cpu_seconds)
        self._readers = {
            name: Declared(name, one, self._process) for name, one in settings.items() if one.has_expressions
        }

    def get(self, name: str) -> Declared | None:
        """The reader of a provider; None when it is not declared by expressions."""
        return self._readers.get(name)

    def close(self) -> None:
        """End the jq process. A reader used afterwards starts it again."""
        self._process.close()

    def __enter__(self) -> Declarations:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Gathering:
    """Puts an answer together from what the events say."""

    def __init__(self, cumulative: bool) -> None:
        self.cumulative = cumulative
        self.ended = False
        self._model: str | None = None
        self._stop_reason: str | None = None
        self._pieces: dict[str, list[str]] = {"text": [], "thinking": []}
        self._sizes = {"text": 0, "thinking": 0}
        self._counts: dict[str, int] = {}
        self._problems: dict[Problem, None] = {}

    def note(self, key: str, message: str) -> None:
        if len(self._problems) < 100:
            self._problems.setdefault(Problem(key, message))

    def add(self, block: str, result: Result) -> None:
        if result.text is None:
            self.note(block, _plain(result.problem))
            return
        event = json.loads(result.text)
        place = f"{block}.{event['type']}" if block == "stream.events" else block
        found, problems = _unpack(place, event["fields"])
        for problem in problems:
            self.note(problem.key, problem.message)
        self._model = self._model or _first_text(found.get("model", []))
        self._stop_reason = _first_text(found.get("stop_reason", [])) or self._stop_reason
        for name in ("text", "thinking"):
            self._add_piece(name, _texts(found.get(name, [])))
        for name, values in found.items():
            count = _first_count(values) if name.startswith("usage.") else None
            if count is not None:
                self._counts[name.removeprefix("usage.")] = count

    def _add_piece(self, name: str, piece: str) -> None:
        if not piece:
            return
        if self.cumulative:
            self._pieces[name] = [piece]
        elif self._sizes[name] + len(piece) > MAX_TEXT:
            self.note(name, f"is longer than {MAX_TEXT} characters")
        else:
            self._sizes[name] += len(piece)
            self._pieces[name].append(piece)

    def answer(self) -> DeclaredAnswer:
        return DeclaredAnswer(
            model=self._model,
            text="".join(self._pieces["text"]),
            thinking="".join(self._pieces["thinking"]),
            stop_reason=self._stop_reason,
            usage=DeclaredUsage(**self._counts) if self._counts else None,
            ended=self.ended or self._stop_reason is not None,
            problems=tuple(self._problems),
        )


_USAGE = tuple(field.name for field in fields(DeclaredUsage))


def _unpack(block: str, found: Mapping[str, Any]) -> tuple[dict[str, list[Any]], list[Problem]]:
    """Of each field the results of the first alternative that found something, without nulls."""
    values: dict[str, list[Any]] = {}
    problems = []
    for name, alternatives in found.items():
        for outcome in alternatives:
            results = [item for item in outcome.get("v", []) if item is not None]
            if results:
                values[name] = results
                break
        else:
            # An alternative that fails is no problem as long as another one finds something.
            problems += [Problem(f"{block}.{name}", outcome["e"][:500]) for outcome in alternatives if "e" in outcome]
    return values, problems


def _items(results: list[Any]) -> list[Any]:
    """Results given one by one, or as one list."""
    return results[0] if len(results) == 1 and isinstance(results[0], list) else results


def _message(item: Any) -> DeclaredMessage:
    if not isinstance(item, dict):
        return DeclaredMessage("user", _text_of(item), item)
    role = item.get("role")
    content = item.get("content", item.get("text"))
    return DeclaredMessage(role if isinstance(role, str) and role else "user", _text_of(content), item)


def _text_of(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(_text_of(item.get("text") if isinstance(item, dict) else item) for item in value[:10_000])
    return "" if value is None or isinstance(value, dict) else json.dumps(value)


def _texts(results: list[Any], between: str = "") -> str:
    return between.join(text for item in _items(results) if (text := _text_of(item)))[:MAX_TEXT]


def _first_text(results: list[Any]) -> str | None:
    return next((item for item in results if isinstance(item, str) and item), None)


def _first_count(results: list[Any]) -> int | None:
    for item in results:
        if isinstance(item, int | float) and not isinstance(item, bool) and 0 <= item <= 2**53:
            return int(item)
    return None


def _usage(found: Mapping[str, list[Any]]) -> DeclaredUsage | None:
    counts = {name: _first_count(found.get(f"usage.{name}", [])) for name in _USAGE}
    return DeclaredUsage(**counts) if any(count is not None for count in counts.values()) else None


def _expressions(block: str, found: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
    return [
        (f"{block}.{name}" + (f"[{index}]" if len(either) > 1 else ""), expression)
        for name, either in found.items()
        for index, expression in enumerate(either)
    ]


def _preview(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MAX_PREVIEW else text[: MAX_PREVIEW - 1] + "…"


def _plain(problem: str | None) -> str:
    """jq's word for a text that is no JSON, said plainly."""
    text = problem or "finds nothing"
    return f"not JSON: {text.removeprefix('jq: error: ')}" if "parse error" in text or "Invalid" in text else text
