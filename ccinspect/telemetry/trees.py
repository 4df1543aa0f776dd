"""Where each span hangs: run -> conversation -> call -> tool, and what a sub-agent says below the tool that began it.

A call's span is made when it was analysed. A tool's is made when its result is sent to the model. A conversation's
and a run's are made last: when the run has ended, or a conversation outside of runs has been silent for a while; one
that goes on after that gets another span. Until then they are only named, which is why ids are hashes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import PurePath
from typing import Any

from ccinspect.analysis.observer import FindRun, SeenCall, SeenFlow
from ccinspect.analysis.parties import header
from ccinspect.store.record import Record
from ccinspect.telemetry import names
from ccinspect.telemetry.attempts import tell_attempts
from ccinspect.telemetry.calls import Told, clean, dollars, run_attributes, tell_call, tell_flow, whose_attributes
from ccinspect.telemetry.content import arguments_text, result_text
from ccinspect.telemetry.settings import OtelSettings
from ccinspect.telemetry.spans import (
    CLIENT,
    INTERNAL,
    Attributes,
    Link,
    Place,
    Span,
    is_sampled,
    read_traceparent,
    span_id,
    trace_id,
)
from ccinspect.wire.model import ToolCall, ToolResult

IDLE_SECONDS = 600.0
"""A conversation outside of runs that was silent for so long has ended, as far as a trace goes."""
_KEPT_RUNS = 1_000
_KEPT_CALLS = 20_000
_KEPT_TOOLS = 1_000
_KEPT_CONVERSATIONS = 2_000


@dataclass(slots=True)
class _Open:
    """A run or a conversation whose span is not made yet."""

    place: Place
    parent: Place | None
    started_at: float
    ended_at: float
    attributes: Attributes
    run: str | None
    calls: int = 0
    unpriced: int = 0
    cost: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class _PendingTool:
    """A tool call in an answer, whose result was not sent yet."""

    place: Place
    parent: Place
    name: str
    started_at: float
    attributes: Attributes


@dataclass(slots=True)
class Trees:
    """What has to be remembered between flows; bounded."""

    settings: OtelSettings
    share: float = 1.0
    """Of all traces, this share (0 to 1) is told."""
    _runs: dict[str, _Open] = field(default_factory=dict)
    _over: dict[str, Record | None] = field(default_factory=dict)
    """Runs that have ended, and whose span is not made yet."""
    _ended: OrderedDict[str, Place] = field(default_factory=OrderedDict)
    """Runs whose span was made: what a process that outlived its run still sends hangs there too."""
    _conversations: OrderedDict[str, _Open] = field(default_factory=OrderedDict)
    _calls: OrderedDict[str, Place] = field(default_factory=OrderedDict)
    _tools: OrderedDict[tuple[str, str], _PendingTool] = field(default_factory=OrderedDict)
    """By conversation and the call's id, which only within one is sure to be its own."""

    def call(self, seen: SeenCall) -> Iterator[Span]:
        """The spans that are complete with this call: of the tools whose results it brings, and its own."""
        told = tell_call(seen, self.settings.capture_content)
        conversation = self._conversation(seen, told)
        above = conversation.place if conversation else self._run(seen.flow, told)
        place, parent, links = self._place(seen.ident, seen.flow, above, "call")
        if conversation is not None:
            conversation.calls += 1
            conversation.ended_at = max(conversation.ended_at, told.ended_at)
            cost = seen.analysis.cost.total if seen.analysis else None
            conversation.unpriced += cost is None
            conversation.cost += cost or 0
        links += self._again(seen)
        _keep(self._calls, seen.ident, place, _KEPT_CALLS)
        yield from self._answered_tools(seen)
        self._asked_tools(seen, place, told)
        yield from self._sampled(_span(told, CLIENT, place, parent, links))
        yield from self._attempts(seen.flow.record, seen.ident, place, told)
        while len(self._conversations) > _KEPT_CONVERSATIONS:
            yield from self._close(next(iter(self._conversations)))

    def other(self, seen: SeenFlow) -> Iterator[Span]:
        """The span of an HTTP flow that is no model call."""
        told = tell_flow(seen)
        ident = seen.record["id"]
        place, parent, links = self._place(ident, seen, self._run(seen, told), "flow")
        yield from self._sampled(_span(told, CLIENT, place, parent, links))
        yield from self._attempts(seen.record, ident, place, told)

    def note_ended(self, find_run: FindRun) -> bool:
        """Note which runs have ended; True when there is one more.

        Flows of theirs may have ended since one last looked for flows: only once one has looked again, all are told.
        """
        known = len(self._over)
        for ident in self._runs.keys() - self._over.keys():
            record = find_run(ident)
            if record is None or record.get("ended_at") is not None:
                self._over[ident] = record
        return len(self._over) > known

    def end_runs(self) -> Iterator[Span]:
        """The spans of the runs that were noted, and of their conversations."""
        while self._over:
            yield from self._end_run(*self._over.popitem())

    def end_idle(self, now: float) -> Iterator[Span]:
        """The spans of conversations outside of live runs that have been silent. `now` is seconds since the epoch."""
        for ident, one in list(self._conversations.items()):
            if one.run not in self._runs and now - one.ended_at > IDLE_SECONDS:
                yield from self._close(ident)

    def end_all(self, find_run: FindRun) -> Iterator[Span]:
        """Whatever is open: nothing more comes."""
        self._over.clear()
        for ident in list(self._runs):
            yield from self._end_run(ident, find_run(ident))
        for ident in list(self._conversations):
            yield from self._close(ident)

    def _place(
        self, ident: str, flow: SeenFlow, above: Place | None, kind: str
    ) -> tuple[Place, Place | None, tuple[Link, ...]]:
        """A span's own place, its parent and its links: the client's span comes before our own tree."""
        theirs = read_traceparent(header(flow.request_headers, b"traceparent"))
        if theirs is not None:
            links = (Link(above, {names.LINK: "conversation" if kind == "call" else "run"}),) if above else ()
            return Place(theirs.trace, span_id(kind, ident)), theirs, links
        trace = above.trace if above else trace_id(kind, ident)
        return Place(trace, span_id(kind, ident)), above, ()

    def _again(self, seen: SeenCall) -> tuple[Link, ...]:
        """Links to the call that this one tries again."""
        links = []
        lineage = seen.analysis.lineage if seen.analysis else None
        tried = lineage.parent if lineage is not None and lineage.relation.value == "retry" else None
        if tried is not None and tried in self._calls:
            links.append(Link(self._calls[tried], {names.LINK: "retry_of"}))
        replayed = seen.flow.record.get("parent")
        if isinstance(replayed, str) and replayed in self._calls:
            links.append(Link(self._calls[replayed], {names.LINK: "replay_of"}))
        return tuple(links)

    def _attempts(self, record: Record, ident: str, flow: Place, told: Told) -> Iterator[Span]:
        before: Place | None = None
        for number, attempt in enumerate(tell_attempts(record, told, self.settings.capture_content)):
            place = Place(flow.trace, span_id("attempt", ident, str(number)))
            links = (Link(before, {names.LINK: attempt.relation}),) if before else ()
            yield from self._sampled(_span(attempt.told, CLIENT, place, flow, links))
            before = place

    def _run(self, flow: SeenFlow, told: Told) -> Place | None:
        ident = flow.sender.labels.run
        if ident is None:
            return None
        if ident in self._ended:
            return self._ended[ident]
        known = self._runs.get(ident)
        if known is None:
            place = Place(trace_id("run", ident), span_id("run", ident))
            started_at = float((flow.run or {}).get("started_at") or told.started_at)
            about = clean(_about_run(flow.run, ident))
            known = self._runs[ident] = _Open(place, None, started_at, told.ended_at, about, ident)
        known.ended_at = max(known.ended_at, told.ended_at)
        return known.place

    def _conversation(self, seen: SeenCall, told: Told) -> _Open | None:
        if seen.analysis is None:
            return None
        lineage = seen.analysis.lineage
        ident = lineage.conversation
        run = self._run(seen.flow, told)
        known = self._conversations.get(ident)
        if known is None:
            parent = self._above_conversation(seen) or run
            trace = parent.trace if parent else trace_id("conversation", seen.ident)
            about: dict[str, Any] = {
                names.OPERATION: names.INVOKE_AGENT,
                names.PROVIDER: told.attributes.get(names.PROVIDER),
                names.CONVERSATION: ident,
                names.SESSION: seen.analysis.session.session,
                names.RELATION: lineage.relation.value,
                **whose_attributes(seen.flow),
            }
            # Named after the first call of this stretch: after a pause there is another span.
            place = Place(trace, span_id("conversation", ident, seen.ident))
            labels = seen.flow.sender.labels
            known = _Open(place, parent, told.started_at, told.ended_at, clean(about), labels.run)
            self._conversations[ident] = known
        self._conversations.move_to_end(ident)
        return known

    def _above_conversation(self, seen: SeenCall) -> Place | None:
        """What a sub-agent or side call hangs below: the tool that began it, else the call, else the conversation."""
        assert seen.analysis is not None
        lineage = seen.analysis.lineage
        if lineage.origin is None:
            return None
        if lineage.call_id is not None:
            tool = self._tools.get((lineage.origin, lineage.call_id))
            if tool is not None:
                return tool.place
        if lineage.parent is not None and lineage.parent in self._calls:
            return self._calls[lineage.parent]
        origin = self._conversations.get(lineage.origin)
        return origin.place if origin else None

    def _asked_tools(self, seen: SeenCall, place: Place, told: Told) -> None:
        if seen.analysis is None or seen.spoken.response is None:
            return
        for block in seen.spoken.response.blocks:
            if isinstance(block, ToolCall) and block.executor == "client" and block.id:
                tool = Place(place.trace, span_id("tool", seen.ident, block.id))
                pending = _PendingTool(tool, place, block.name, told.ended_at, self._about_tool(block, told))
                _keep(self._tools, (seen.analysis.lineage.conversation, block.id), pending, _KEPT_TOOLS)

    def _about_tool(self, call: ToolCall, told: Told) -> Attributes:
        about: dict[str, Any] = {
            names.OPERATION: names.EXECUTE_TOOL,
            names.TOOL_NAME: call.name,
            names.TOOL_TYPE: "function" if call.kind == "function" else "extension",
            names.TOOL_CALL: call.id,
        }
        if self.settings.capture_content == "full":
            about[names.TOOL_ARGUMENTS] = arguments_text(call.arguments)
        of_call = (names.AGENT_NAME, names.CONVERSATION, names.RUN, names.RUN_NAME, names.PROJECT)
        return clean(about) | {name: told.attributes[name] for name in of_call if name in told.attributes}

    def _answered_tools(self, seen: SeenCall) -> Iterator[Span]:
        if seen.analysis is None or not self._tools:
            return
        conversation = seen.analysis.lineage.conversation
        for message in seen.spoken.request.messages:
            for block in message.blocks:
                if isinstance(block, ToolResult):
                    pending = self._tools.pop((conversation, block.call_id), None)
                    if pending is not None:
                        yield from self._tool(pending, seen.spoken.started_at, block)

    def _tool(self, tool: _PendingTool, ended_at: float, result: ToolResult | None) -> Iterator[Span]:
        about: dict[str, Any] = dict(tool.attributes)
        failed = None
        if result is None:
            about[names.UNFINISHED] = True
        elif result.is_error:
            failed = about[names.ERROR_TYPE] = "tool_error"
        if result is not None and self.settings.capture_content == "full":
            about[names.TOOL_RESULT] = result_text(result)
        ended_at = max(tool.started_at, ended_at)
        name = f"{names.EXECUTE_TOOL} {tool.name}"
        yield from self._sampled(
            Span(name, INTERNAL, tool.place, tool.parent, tool.started_at, ended_at, clean(about), error=failed)
        )

    def _end_run(self, ident: str, record: Record | None) -> Iterator[Span]:
        run = self._runs.pop(ident)
        _keep(self._ended, ident, run.place, _KEPT_RUNS)
        mine = [key for key, one in self._conversations.items() if one.run == ident]
        for conversation in mine:
            one = self._conversations[conversation]
            run.calls, run.cost, run.unpriced = run.calls + one.calls, run.cost + one.cost, run.unpriced + one.unpriced
            yield from self._close(conversation)
        record = record or {}
        ended_at = max(run.started_at, float(record.get("ended_at") or run.ended_at))
        code = record.get("exit_code")
        failed = f"exit code {code}" if isinstance(code, int) and code else None
        title = record.get("name") or run.attributes.get(names.COMMAND)
        said = {names.EXIT_CODE: code, names.ERROR_TYPE: str(code) if failed else None, names.WORKFLOW: title}
        about = run.attributes | _sums(run) | clean(said)
        name = f"{names.INVOKE_WORKFLOW} {title or 'run'}"
        yield from self._sampled(Span(name, INTERNAL, run.place, None, run.started_at, ended_at, about, error=failed))

    def _close(self, ident: str) -> Iterator[Span]:
        one = self._conversations.pop(ident)
        for key in [key for key in self._tools if key[0] == ident]:
            # It may be a sub-agent's parent, so it is told even though its end was not seen.
            yield from self._tool(self._tools.pop(key), one.ended_at, None)
        name = f"{names.INVOKE_AGENT} {one.attributes.get(names.AGENT_NAME, '')}".strip()
        about = one.attributes | _sums(one)
        yield from self._sampled(Span(name, INTERNAL, one.place, one.parent, one.started_at, one.ended_at, about))

    def _sampled(self, span: Span) -> Iterator[Span]:
        if is_sampled(span.place.trace, self.share):
            yield span


def _sums(one: _Open) -> Attributes:
    # Tokens are not summed here: backends add up `gen_ai.usage.*` over all spans of a trace.
    unpriced = {names.UNPRICED: one.unpriced} if one.unpriced else {}
    return (
        clean({names.CALLS: one.calls, names.COST: dollars(one.cost) if one.unpriced < one.calls else None}) | unpriced
    )


def _about_run(run: Record | None, ident: str) -> dict[str, Any]:
    run = run or {}
    command = run.get("command") or [None]
    tags = {names.TAG + str(name): str(value) for name, value in (run.get("tags") or {}).items()}
    program = PurePath(str(command[0])).name if command[0] else None
    return {
        names.OPERATION: names.INVOKE_WORKFLOW,
        **run_attributes(run, ident),
        names.RUN_MODE: run.get("mode"),
        names.HOST_NAME: run.get("host"),
        names.COMMAND: program,
        **tags,
    }


def _span(told: Told, kind: str, place: Place, parent: Place | None, links: tuple[Link, ...]) -> Span:
    return Span(
        told.name, kind, place, parent, told.started_at, told.ended_at, told.attributes, told.events, links, told.error
    )


def _keep[K, V](kept: OrderedDict[K, V], key: K, value: V, most: int) -> None:
    kept[key] = value
    while len(kept) > most:
        kept.popitem(last=False)
