"""Which spans are made of stored flows, and how they hang together. The analyst is the real one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ccinspect.analysis.analyst import Analyst
from ccinspect.analysis.observer import FindRun, SeenCall, SeenFlow
from ccinspect.analysis.options import AnalysisOptions
from ccinspect.telemetry.settings import OtelSettings
from ccinspect.telemetry.spans import Span
from ccinspect.telemetry.trees import IDLE_SECONDS, Trees
from tests.analysis.stored import Message, anthropic_call, fill, http_call, user

SYSTEM = "You are an agent that does what it is told, and says so when it is done with it."


class Collected:
    """An observer that keeps the spans."""

    def __init__(self, settings: OtelSettings) -> None:
        self.trees = Trees(settings, settings.share_in({}))
        self.spans: list[Span] = []

    def call(self, seen: SeenCall) -> None:
        self.spans += self.trees.call(seen)

    def other(self, seen: SeenFlow) -> None:
        self.spans += self.trees.other(seen)

    def settled(self, find_run: FindRun) -> bool:
        self.spans += self.trees.end_runs()
        return self.trees.note_ended(find_run)

    def heard(self, message: dict[str, Any]) -> None:
        raise AssertionError(message)


def observe(directory: Path, *flows: list[Message], end: bool = True, **settings: Any) -> Collected:
    """Fill a store with these flows, have them analysed, and collect what is made of them."""
    fill(directory, *(message for flow in flows for message in flow))
    collected = Collected(OtelSettings.model_validate(settings))
    with Analyst.open(directory, AnalysisOptions(), observer=collected) as analyst:
        assert analyst is not None
        analyst.catch_up()
        if end:
            collected.spans += collected.trees.end_all(analyst.find_run)
        told = len(collected.spans)
        analyst.reanalyse(None)
        assert len(collected.spans) == told
    return collected


def named(spans: list[Span], operation: str) -> list[Span]:
    return [span for span in spans if span.attributes.get("gen_ai.operation.name") == operation]


def loop(name: str = "Read", ident: str = "toolu_1") -> Iterator[list[Message]]:
    """A user's turn whose answer calls a tool, and the turn that brings the result."""
    call = {"type": "tool_use", "id": ident, "name": name, "input": {"path": "a.py", "token": "hush"}}
    answer = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "content": [call],
        "stop_reason": "tool_use", "usage": {"input_tokens": 100, "output_tokens": 10, "cache_read_input_tokens": 7},
    }  # fmt: skip
    first = [user("read a.py")]
    result = {"type": "tool_result", "tool_use_id": ident, "content": "print(1)", "is_error": True}
    body = {"model": "claude-sonnet-4-5", "max_tokens": 100, "system": SYSTEM, "messages": first}
    yield http_call("api.anthropic.com", "/v1/messages", body, answer)
    history = [*first, {"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]
    yield anthropic_call(*history, body={"system": SYSTEM})


def test_a_tool_lies_between_the_answer_that_calls_it_and_the_next_request(tmp_path: Path) -> None:
    spans = observe(tmp_path, *loop()).spans
    first, second = named(spans, "chat")
    [tool], [agent] = named(spans, "execute_tool"), named(spans, "invoke_agent")
    assert tool.name == "execute_tool Read"
    assert tool.parent == first.place
    assert tool.error == tool.attributes["error.type"] == "tool_error"
    assert (tool.started_at, tool.ended_at) == (first.ended_at, max(first.ended_at, second.started_at))
    assert first.parent == second.parent == agent.place
    assert agent.parent is None
    assert agent.attributes["ccinspect.calls"] == 2
    assert "hush" not in str(spans)


def test_usage_counts_what_was_cached_as_input(tmp_path: Path) -> None:
    first = named(observe(tmp_path, *loop()).spans, "chat")[0]
    assert first.attributes["gen_ai.usage.input_tokens"] == 107
    assert first.attributes["gen_ai.usage.cache_read.input_tokens"] == 7
    assert "gen_ai.usage.cache_write.input_tokens" not in first.attributes


def test_content_is_told_as_far_as_it_was_asked_for(tmp_path: Path) -> None:
    spans = observe(tmp_path / "metadata", *loop(), capture_content="metadata").spans
    outline = named(spans, "chat")[1].attributes["ccinspect.input.outline"]
    assert isinstance(outline, str)
    assert '{"type":"tool_call_response","size":8}' in outline
    assert "hush" not in str(spans)
    assert "print(1)" not in str(spans)
    spans = observe(tmp_path / "full", *loop(), capture_content="full").spans
    assert "hush" in str(named(spans, "execute_tool")[0].attributes["gen_ai.tool.call.arguments"])
    assert "print(1)" in str(named(spans, "chat")[1].attributes["gen_ai.input.messages"])


def test_a_tool_whose_result_was_never_seen_is_told_at_the_end(tmp_path: Path) -> None:
    first = next(loop())
    assert named(observe(tmp_path / "open", first, end=False).spans, "execute_tool") == []
    [tool] = named(observe(tmp_path / "ended", first).spans, "execute_tool")
    assert tool.attributes["ccinspect.unfinished"] is True


def test_what_a_sub_agent_says_hangs_below_the_tool_that_began_it(tmp_path: Path) -> None:
    prompt = "Find every place in the code base where the configuration is read, and list the files with their lines."
    task = {"type": "tool_use", "id": "toolu_task", "name": "Task", "input": {"prompt": prompt}}
    asked = [user("Where is the configuration read? Ask somebody.")]
    answer = {
        "id": "msg_9", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "content": [task],
        "stop_reason": "tool_use", "usage": {"input_tokens": 100, "output_tokens": 10},
    }  # fmt: skip
    body = {"model": "claude-sonnet-4-5", "max_tokens": 100, "system": SYSTEM, "messages": asked}
    result = {"type": "tool_result", "tool_use_id": "toolu_task", "content": "in config.py"}
    history = [*asked, {"role": "assistant", "content": [task]}, {"role": "user", "content": [result]}]
    spans = observe(
        tmp_path,
        http_call("api.anthropic.com", "/v1/messages", body, answer),
        anthropic_call(user(prompt), body={"system": "You look for things in files."}),
        anthropic_call(*history, body={"system": SYSTEM}),
    ).spans
    [tool] = named(spans, "execute_tool")
    inner = next(span for span in named(spans, "invoke_agent") if span.parent is not None)
    assert inner.parent == tool.place
    assert inner.attributes["ccinspect.relation"] == "sub_agent"
    assert [span.parent for span in named(spans, "chat")].count(inner.place) == 1
    assert len({span.place.trace for span in spans}) == 1


def test_the_time_of_hooks_is_events_of_the_call(tmp_path: Path) -> None:
    hook = {"name": "shorten", "stage": "request", "state": "ran", "ms": 3.5, "changed": [], "error": None}
    [span] = named(observe(tmp_path, anthropic_call(user("hello"), changes={"hooks": [hook]})).spans, "chat")
    [event] = span.events
    assert event.name == "ccinspect.hook"
    assert event.attributes["ccinspect.hook.name"] == "shorten"
    assert event.attributes["ccinspect.duration_ms"] == 3.5


def attempt(status: int | None, **more: Any) -> dict[str, Any]:
    url = "https://api.anthropic.com/v1/messages"
    return {"provider": "anthropic", "model": None, "url": url, "status": status, "ms": 20.0, "error": "why", **more}


def test_what_was_tried_before_the_answer_is_below_the_call_and_linked(tmp_path: Path) -> None:
    tried = [
        attempt(529, waited=0.5),
        attempt(529),
        {"provider": "gone", "model": "m", "status": None, "error": "there is no such provider"},
    ]
    spans = observe(tmp_path, anthropic_call(user("hello"), changes={"attempts": tried})).spans
    [call] = named(spans, "chat")
    attempts = [span for span in spans if span.parent == call.place]
    assert [span.attributes.get("http.response.status_code") for span in attempts] == [529, 529, None, 200]
    assert [span.error for span in attempts] == ["529", "529", "_OTHER", None]
    assert [span.attributes.get("http.request.resend_count") for span in attempts] == [None, 1, 2, 3]
    assert [link.attributes["ccinspect.link"] for span in attempts for link in span.links] == [
        "retry_of", "fallback_of", "fallback_of",
    ]  # fmt: skip
    assert [link.to for span in attempts for link in span.links] == [span.place for span in attempts[:-1]]
    assert attempts[1].started_at == pytest.approx(call.started_at + 0.52)
    assert attempts[0].attributes["server.address"] == "api.anthropic.com"
    assert len(named(spans, "chat")) == 1
    # A provider's words may quote the prompt.
    assert "why" not in str(spans)
    assert attempts[2].attributes["ccinspect.note"] == "there is no such provider"


def test_the_last_attempt_that_failed_is_the_answer_when_no_other_was_made(tmp_path: Path) -> None:
    tried = [attempt(529, waited=0.1), attempt(529, gave_up="2 attempts failed")]
    for number, attempts in enumerate((tried, tried[1:])):
        flow = anthropic_call(user("hello"), status=529, changes={"attempts": attempts})
        spans = observe(tmp_path / str(number), flow).spans
        [call] = named(spans, "chat")
        assert len([span for span in spans if span.parent == call.place]) == (2 if len(attempts) == 2 else 0)


def test_a_refused_key_that_was_renewed_is_a_retry(tmp_path: Path) -> None:
    spans = observe(tmp_path, anthropic_call(user("hello"), changes={"attempts": [attempt(401)]})).spans
    assert [link.attributes["ccinspect.link"] for span in spans for link in span.links] == ["retry_of"]


def test_another_try_is_linked_to_the_first(tmp_path: Path) -> None:
    spans = observe(tmp_path, anthropic_call(user("hello"), status=529), anthropic_call(user("hello"))).spans
    failed, again = named(spans, "chat")
    assert failed.error == "overloaded_error"
    assert failed.attributes["http.response.status_code"] == 529
    assert again.error is None
    assert [(link.to, link.attributes) for link in again.links] == [(failed.place, {"ccinspect.link": "retry_of"})]


def test_an_http_flow_says_no_query(tmp_path: Path) -> None:
    [span] = observe(tmp_path, http_call("example.com", "/a?secret=1", b"x=1", {}, content_type="text/plain")).spans
    assert str(span.attributes["url.full"]).endswith("example.com/a")
    assert "gen_ai.operation.name" not in span.attributes


def test_a_conversation_that_goes_on_after_a_silence_gets_another_span(tmp_path: Path) -> None:
    collected = observe(tmp_path, anthropic_call(user("hello")), end=False)
    [call] = collected.spans
    assert list(collected.trees.end_idle(call.ended_at + IDLE_SECONDS - 1)) == []
    [agent] = collected.trees.end_idle(call.ended_at + IDLE_SECONDS + 1)
    assert call.parent == agent.place
    assert list(collected.trees.end_idle(call.ended_at + 2 * IDLE_SECONDS)) == []


def test_what_comes_after_the_end_of_its_run_hangs_there_and_makes_no_second_run(tmp_path: Path) -> None:
    run = {
        "id": "run-1",
        "name": "late",
        "started_at": 1.0,
        "command": ["/bin/agent", "-x"],
        "tags": {},
        "mode": "proxy",
    }
    fill(
        tmp_path,
        {"kind": "run_started", "run": run},
        *anthropic_call(user("one"), run="run-1"),
        {"kind": "run_ended", "id": "run-1", "ended_at": 9e9, "exit_code": 3},
    )
    collected = Collected(OtelSettings())

    def analyse() -> None:
        with Analyst.open(tmp_path, AnalysisOptions(), observer=collected) as analyst:
            assert analyst is not None
            analyst.catch_up()
            while collected.settled(analyst.find_run):
                analyst.catch_up()

    analyse()
    [ended] = named(collected.spans, "invoke_workflow")
    assert ended.name == "invoke_workflow late"
    assert ended.error == "exit code 3"
    assert ended.attributes["process.executable.name"] == "agent"
    fill(tmp_path, *anthropic_call(user("something else"), run="run-1"))
    analyse()
    assert len(named(collected.spans, "invoke_workflow")) == 1
    assert len(named(collected.spans, "invoke_agent")) == 1
    [late] = collected.trees.end_idle(9e9)
    assert late.parent == ended.place


def test_what_is_not_sampled_is_not_made(tmp_path: Path) -> None:
    assert observe(tmp_path, *loop(), sample=0.0).spans == []


def test_a_run_is_told_only_once_its_flows_were_looked_for_after_its_end(tmp_path: Path) -> None:
    """Its last flow and its end may be written while other flows are being analysed."""
    run = {"id": "run-1", "name": "quick", "started_at": 1.0, "command": ["agent"], "tags": {}, "mode": "proxy"}
    fill(tmp_path, {"kind": "run_started", "run": run}, *anthropic_call(user("one"), run="run-1"))
    collected = Collected(OtelSettings())
    with Analyst.open(tmp_path, AnalysisOptions(), observer=collected) as analyst:
        assert analyst is not None
        analyst.catch_up()
        end = {"kind": "run_ended", "id": "run-1", "ended_at": 9e9, "exit_code": 0}
        fill(tmp_path, *anthropic_call(user("two"), run="run-1"), end)
        assert collected.settled(analyst.find_run)
        assert named(collected.spans, "invoke_workflow") == []
        analyst.catch_up()
        assert not collected.settled(analyst.find_run)
    [ended] = named(collected.spans, "invoke_workflow")
    assert ended.attributes["ccinspect.calls"] == 2
    assert len(named(collected.spans, "invoke_agent")) == 2
