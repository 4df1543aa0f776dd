"""The daemon's analyst, with real clients and a provider that stands in: what is known when a question is asked."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import select
import signal
import socket
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
import yaml

from ccinspect.analysis.options import AnalysisOptions
from ccinspect.analysis.query import Analysis, open_analysis
from ccinspect.config import load_config
from ccinspect.control.client import ControlClient
from ccinspect.demo.answers import Answer, Gate, Truncate, chunk, head
from ccinspect.demo.answers import json_answer as scripted_json
from ccinspect.demo.provider import Provider
from ccinspect.errors import ConfigError
from ccinspect.store.selection import Selection
from tests.analysis.stored import MODEL, TEXT_START, message_start, sse, text_delta
from tests.conftest import StartDaemon
from tests.support.daemon import Daemon

KEY = "sk-ant-api03-this-is-a-secret-of-the-test-0002"
WEATHER: Any = {
    "name": "weather",
    "description": "Tells the weather of a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
EVERYTHING = Selection()

pytestmark = pytest.mark.filterwarnings("ignore:The model:DeprecationWarning")


@contextmanager
def claude(daemon: Daemon) -> Iterator[anthropic.Anthropic]:
    base = f"http://127.0.0.1:{daemon.ports['reverse']}"
    with anthropic.Anthropic(api_key=KEY, base_url=base, max_retries=0) as client:
        yield client


@contextmanager
def gpt(daemon: Daemon) -> Iterator[openai.OpenAI]:
    base = f"http://127.0.0.1:{daemon.ports['reverse']}/v1"
    with openai.OpenAI(api_key=KEY, base_url=base, max_retries=0) as client:
        yield client


def ask(client: anthropic.Anthropic, text: str = "hello", **options: Any) -> Any:
    messages: Any = [{"role": "user", "content": text}]
    return client.messages.create(model=MODEL, max_tokens=100, messages=messages, **options)


def plainly(daemon: Daemon, method: str, path: str, body: Any = None) -> bytes:
    """A request without any SDK."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", daemon.ports["reverse"], timeout=20)) as client:
        headers = {"x-api-key": KEY, "content-type": "application/json", "anthropic-version": "2023-06-01"}
        client.request(method, path, None if body is None else json.dumps(body), headers)
        return client.getresponse().read()


def control(daemon: Daemon, method: str, **params: Any) -> Any:
    with ControlClient.connect(daemon.paths.control_socket) as client:
        return client.call(method, **params)


@contextmanager
def flushed(daemon: Daemon) -> Iterator[Analysis]:
    """What the daemon's analyst has made; nothing is analysed by this process."""
    control(daemon, "flush")
    with Analysis(daemon.paths.store_dir, AnalysisOptions()) as analysis:
        yield analysis


def analyst_of(daemon: Daemon) -> dict[str, Any]:
    status: dict[str, Any] = control(daemon, "status")["analysis"]
    return status


def test_no_analyst_runs_before_there_is_something_to_analyse(start_daemon: StartDaemon) -> None:
    daemon = start_daemon()
    assert analyst_of(daemon)["running"] is False
    plainly(daemon, "GET", "/v1/models")
    daemon.wait_for(1)
    control(daemon, "flush")
    assert analyst_of(daemon)["running"] is False


def test_a_call_is_analysed_when_the_question_comes(daemon: Daemon) -> None:
    with claude(daemon) as client:
        answer = ask(client, "What do you see of me? " * 20, system="You are brief. " * 20)
    with flushed(daemon) as analysis:
        [call] = analysis.calls(EVERYTHING)
        context = analysis.context(call.id)
    assert (call.provider, call.dialect, call.kind, call.purpose) == ("anthropic", "anthropic", "generate", "user_turn")
    assert (call.agent, call.agent_version, call.agent_kind) == ("anthropic-python", anthropic.__version__, "sdk")
    assert (call.model_requested, call.model_answered, call.stream) == (MODEL, answer.model, False)
    assert (call.counts.input, call.counts.output) == (answer.usage.input_tokens, answer.usage.output_tokens)
    assert (call.counts.basis, call.price.basis) == ("provider", "provider")
    expected = Decimal(3) * answer.usage.input_tokens + Decimal(15) * answer.usage.output_tokens
    assert call.price.dollars == expected / 1_000_000
    assert (call.stop_reason, call.outcome, call.status, call.error_kind) == ("end_turn", "complete", 200, None)
    assert (call.relation, call.turn, call.conversation, call.readable) == ("root", 1, call.id, True)
    assert context.composition.total == answer.usage.input_tokens == sum(context.composition.categories.values())
    assert {"system_prompt", "current_user_message"} <= context.composition.categories.keys()


@pytest.mark.parametrize("streamed", [False, True])
def test_a_tool_loop_is_one_conversation_of_two_turns(daemon: Daemon, streamed: bool) -> None:
    messages: Any = [{"role": "user", "content": "Please use the tool weather."}]
    with claude(daemon) as client:
        first = _say(client, messages, streamed)
        [use] = [block for block in first.content if block.type == "tool_use"]
        messages.append({"role": "assistant", "content": [block.model_dump() for block in first.content]})
        result = {"type": "tool_result", "tool_use_id": use.id, "content": "It is sunny."}
        messages.append({"role": "user", "content": [result]})
        _say(client, messages, streamed)
    with flushed(daemon) as analysis:
        asked, brought = analysis.calls(EVERYTHING)
        [summary] = analysis.conversations(EVERYTHING)
        tree = analysis.conversation(brought.id)
        context = analysis.context(brought.id)
    assert (asked.purpose, brought.purpose) == ("user_turn", "tool_continuation")
    assert (brought.conversation, brought.parent, brought.relation, brought.turn) == (
        asked.id,
        asked.id,
        "continuation",
        2,
    )
    assert (summary.turns, summary.calls, summary.context_last) == (2, 2, brought.counts.context)
    assert [node.call.id for node in tree.turns] == [asked.id, brought.id]
    assert tree.title == "Please use the tool weather."
    assert context.composition.tools["weather"] >= context.composition.definitions["weather"] > 0
    assert context.composition.categories["tool_results"] > 0


def _say(client: anthropic.Anthropic, messages: Any, streamed: bool) -> Any:
    options: Any = {"model": MODEL, "max_tokens": 100, "messages": messages, "tools": [WEATHER]}
    if not streamed:
        return client.messages.create(**options)
    with client.messages.stream(**options) as stream:
        return stream.get_final_message()


def test_the_dialects_of_openai_are_read(daemon: Daemon) -> None:
    with gpt(daemon) as client:
        messages: Any = [{"role": "user", "content": "hello"}]
        list(client.chat.completions.create(model="gpt-4o", messages=messages, stream=True))
        counted = client.chat.completions.create(model="gpt-4o", messages=messages)
        answer = client.responses.create(model="gpt-5", input="hello")
    assert counted.usage is not None
    assert answer.usage is not None
    with flushed(daemon) as analysis:
        untold, chat, responses = analysis.calls(EVERYTHING)
    # A stream carries no usage unless it was asked for.
    assert (untold.counts.basis, untold.price.basis) == ("estimated", "estimated")
    assert untold.counts.input == 8
    assert (chat.dialect, chat.counts.input, chat.counts.basis) == (
        "openai_chat",
        counted.usage.prompt_tokens,
        "provider",
    )
    assert (responses.dialect, responses.counts.output) == ("openai_responses", answer.usage.output_tokens)


def test_counting_tokens_is_no_spend(daemon: Daemon) -> None:
    messages: Any = [{"role": "user", "content": "hello " * 100}]
    with claude(daemon) as client:
        client.messages.count_tokens(model=MODEL, messages=messages)
        ask(client)
    with flushed(daemon) as analysis:
        counted, asked = analysis.calls(EVERYTHING)
        reports = {by: analysis.report(by, EVERYTHING) for by in ("model", "provider", "host", "day")}
        [summary] = analysis.conversations(EVERYTHING)
    assert (counted.kind, counted.purpose, counted.price.dollars) == ("count_tokens", "count_tokens", 0)
    assert counted.counts.total == 0
    for report in reports.values():
        assert (report.total.calls, report.total.uncounted) == (1, 1)
        assert report.total.counts.total == asked.counts.total
        assert report.total.dollars == asked.price.dollars
        assert [row.calls for row in report.rows] == [1]
    assert summary.id == asked.id


def test_an_error_costs_nothing_and_is_named(daemon: Daemon) -> None:
    with claude(daemon) as client, pytest.raises(anthropic.APIStatusError):
        client.messages.create(model="error-529", max_tokens=9, messages=[{"role": "user", "content": "hello"}])
    with flushed(daemon) as analysis:
        [call] = analysis.calls(EVERYTHING)
        report = analysis.report("model", EVERYTHING)
    assert (call.status, call.outcome, call.error_kind) == (529, "error", "overloaded")
    assert (call.price.dollars, call.price.source, call.counts.total) == (0, "not_billed", 0)
    assert report.total.errors == 1


CUT = sse(message_start(1234), TEXT_START, text_delta("as far as it"))


def test_what_came_before_the_provider_hung_up_is_kept(daemon: Daemon, provider: Provider) -> None:
    stream = [("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked")]
    provider.answer_with(Answer([head(200, stream), chunk(CUT), Truncate()]))
    body = {"model": MODEL, "max_tokens": 9, "stream": True, "messages": [{"role": "user", "content": "hello"}]}
    with pytest.raises(http.client.IncompleteRead):
        plainly(daemon, "POST", "/v1/messages", body)
    _assert_partial(daemon, "upstream_reset")


def test_what_came_before_the_client_hung_up_is_kept(daemon: Daemon, provider: Provider) -> None:
    stream = [("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked")]
    gate = Gate()
    provider.answer_with(Answer([head(200, stream), chunk(CUT), gate, Truncate()]))
    body = {"model": MODEL, "max_tokens": 9, "stream": True, "messages": [{"role": "user", "content": "hello"}]}
    content = json.dumps(body).encode()
    request = (
        f"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nx-api-key: {KEY}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", daemon.ports["reverse"])) as connection:
        connection.sendall(request.encode() + content)
        received = b""
        while b"as far as it" not in received:
            received += connection.recv(65536)
    daemon.wait_for(1)
    gate.open()
    _assert_partial(daemon, "client_disconnected")


def _assert_partial(daemon: Daemon, outcome: str) -> None:
    daemon.wait_for(1)
    with flushed(daemon) as analysis:
        [call] = analysis.calls(EVERYTHING)
        opened = analysis.open_call(call.id)
    assert (call.outcome, call.counts.input, call.counts.basis) == (outcome, 1234, "provider")
    assert call.price.dollars is not None
    assert call.price.dollars > 0
    assert opened.response is not None
    assert [getattr(block, "text", None) for block in opened.response.blocks] == ["as far as it"]


def test_limits_are_the_newest_of_each_account(daemon: Daemon, provider: Provider) -> None:
    for left in ("40", "39"):
        headers = [
            ("anthropic-ratelimit-requests-limit", "50"),
            ("anthropic-ratelimit-requests-remaining", left),
            ("anthropic-ratelimit-requests-reset", "2099-01-01T00:00:00Z"),
        ]
        provider.answer_with(scripted_json(200, _answer(), headers))
        with claude(daemon) as client:
            ask(client)
    with flushed(daemon) as analysis:
        [state] = analysis.limits(1_800_000_000.0)
        calls = analysis.calls(EVERYTHING)
    [limit] = state.limits
    assert (state.provider, limit.name, limit.limit, limit.remaining) == ("anthropic", "requests", 50, 39)
    assert {call.account for call in calls} == {state.account}
    assert KEY[-8:] not in state.account


def _answer() -> dict[str, Any]:
    usage = {"input_tokens": 10, "output_tokens": 2}
    content = [{"type": "text", "text": "hello"}]
    answer = {"id": "msg_1", "type": "message", "role": "assistant", "model": MODEL, "content": content}
    return answer | {"stop_reason": "end_turn", "stop_sequence": None, "usage": usage}


def test_without_bodies_the_metadata_are_known(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(store={"bodies": "none"})
    with claude(daemon) as client:
        ask(client)
        client.messages.count_tokens(model=MODEL, messages=[{"role": "user", "content": "hello"}])
    with flushed(daemon) as analysis:
        asked, counted = analysis.calls(EVERYTHING)
        report = analysis.report("provider", EVERYTHING)
    assert (asked.provider, asked.kind, asked.agent, asked.status) == ("anthropic", "generate", "anthropic-python", 200)
    assert (asked.readable, asked.conversation, asked.model, asked.counts.total) == (False, None, None, 0)
    assert (asked.price.dollars, asked.price.source) == (None, "unknown")
    assert (counted.kind, counted.price.dollars) == ("count_tokens", 0)
    assert (report.total.calls, report.total.dollars, report.total.unpriced) == (1, None, 1)


EXPRESSIONS: dict[str, Any] = {
    "hosts": ["api.openai.com"],
    "paths": ["/v1/chat/completions"],
    "prices": "openai",
    "request": {"model": ".model", "messages": ".messages"},
    "response": {
        "model": ".model",
        "text": ".choices[].message.content",
        "stop_reason": ".choices[0].finish_reason",
        "usage": {"input": ".usage.prompt_tokens", "output": ".usage.completion_tokens"},
    },
    "stream": {"events": {"*": {"text": ".choices[0].delta.content", "stop_reason": ".choices[0].finish_reason"}}},
}


def test_a_declared_provider_is_read_by_its_expressions(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(providers={"acme": EXPRESSIONS})
    with gpt(daemon) as client:
        messages: Any = [{"role": "user", "content": "hello"}]
        answer = client.chat.completions.create(model="gpt-4o", messages=messages)
        list(client.chat.completions.create(model="gpt-4o", messages=messages, stream=True))
    assert answer.usage is not None
    with flushed(daemon) as analysis:
        whole, streamed = analysis.calls(EVERYTHING)
    assert (whole.provider, whole.dialect, whole.model) == ("acme", "expressions", "gpt-4o")
    assert (whole.counts.input, whole.counts.output) == (answer.usage.prompt_tokens, answer.usage.completion_tokens)
    assert whole.price.dollars is not None
    assert (streamed.outcome, streamed.counts.basis) == ("complete", "estimated")
    assert streamed.counts.output is not None
    assert streamed.counts.output > 3


def test_reload_takes_other_providers_and_keeps_what_was_when_they_are_wrong(start_daemon: StartDaemon) -> None:
    daemon = start_daemon()
    messages: Any = [{"role": "user", "content": "hello"}]
    with gpt(daemon) as client:
        client.chat.completions.create(model="gpt-4o", messages=messages)
        control(daemon, "flush")
        _write(daemon, {"acme": EXPRESSIONS})
        assert control(daemon, "reload") == {"providers": 1, "prices": 0}
        client.chat.completions.create(model="gpt-4o", messages=messages)
        control(daemon, "flush")
        _write(daemon, {"acme": EXPRESSIONS | {"request": {"model": ".["}}})
        with pytest.raises(ConfigError, match="acme"):
            control(daemon, "reload")
        client.chat.completions.create(model="gpt-4o", messages=messages)
    with flushed(daemon) as analysis:
        assert [call.provider for call in analysis.calls(EVERYTHING)] == ["openai", "acme", "acme"]


def _write(daemon: Daemon, providers: dict[str, Any]) -> None:
    daemon.paths.config_file.write_text(yaml.safe_dump({**daemon.settings, "providers": providers}))


def test_prices_of_the_configuration_come_first(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(prices={"claude-*": {"input": 1000, "output": 0}})
    with claude(daemon) as client:
        ask(client)
    with flushed(daemon) as analysis:
        [call] = analysis.calls(EVERYTHING)
    assert call.counts.input is not None
    assert (call.price.dollars, call.price.source) == (Decimal(call.counts.input) / 1000, "override")


def test_reanalysis_tells_how_far_it_is_and_changes_nothing_else(daemon: Daemon) -> None:
    with claude(daemon) as client:
        for number in range(3):
            ask(client, f"hello {number}")
    with flushed(daemon) as analysis:
        before = analysis.calls(EVERYTHING)
    with ControlClient.connect(daemon.paths.control_socket) as connection:
        events = []
        for name, data in connection.subscribe("reanalyse", since=None):
            events.append((name, data))
            if name == "done":
                break
    assert events[-1] == ("done", {"flows": 3})
    assert ("progress", {"done": 3, "total": 3}) in events
    with flushed(daemon) as analysis:
        assert analysis.calls(EVERYTHING) == before


def test_a_killed_analyst_is_replaced(start_daemon: StartDaemon) -> None:
    daemon = start_daemon()
    with claude(daemon) as client:
        ask(client)
        control(daemon, "flush")
        killed = analyst_of(daemon)["pid"]
        os.kill(killed, signal.SIGKILL)
        ask(client, "hello again")
    with flushed(daemon) as analysis:
        assert len(analysis.calls(EVERYTHING)) == 2
    status = analyst_of(daemon)
    assert status["pid"] != killed
    assert status["restarts"] == 1


def test_an_idle_analyst_ends_and_the_next_call_starts_another(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(analysis={"idle": 0.2})
    with claude(daemon) as client:
        ask(client)
        control(daemon, "flush")
        first = os.pidfd_open(analyst_of(daemon)["pid"])
        assert _wait_for_end(first)
        ask(client, "hello again")
        with flushed(daemon) as analysis:
            assert len(analysis.calls(EVERYTHING)) == 2
    assert analyst_of(daemon)["restarts"] == 0


def _wait_for_end(process: int) -> bool:
    try:
        return bool(select.select([process], [], [], 20)[0])
    finally:
        os.close(process)


def test_the_analyst_ends_with_a_daemon_that_is_killed(start_daemon: StartDaemon) -> None:
    daemon = start_daemon()
    with claude(daemon) as client:
        ask(client)
    control(daemon, "flush")
    analyst = os.pidfd_open(analyst_of(daemon)["pid"])
    daemon.kill()
    assert _wait_for_end(analyst)
    daemon.restart_after_kill()


def test_without_an_analyst_whoever_asks_analyses(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(analysis={"enabled": False})
    with claude(daemon) as client:
        ask(client)
    with flushed(daemon) as analysis:
        assert analysis.calls(EVERYTHING) == []
    assert analyst_of(daemon)["running"] is False
    options = AnalysisOptions.from_config(load_config(daemon.paths.config_file))
    with open_analysis(daemon.paths.store_dir, options) as analysis:
        assert len(analysis.calls(EVERYTHING)) == 1


def test_what_is_removed_from_the_store_is_gone_from_the_analysis(daemon: Daemon) -> None:
    with claude(daemon) as client:
        ask(client)
    control(daemon, "flush")
    control(daemon, "flows.clear")
    with flushed(daemon) as analysis:
        assert analysis.calls(EVERYTHING) == []
        assert analysis.report("tool", EVERYTHING).rows == []
    # Also from the file: nothing of it is left for who looks there.
    with contextlib.closing(sqlite3.connect(daemon.paths.store_dir / "analysis.db")) as db:
        for table in ("parties", "calls", "names", "composition", "turns", "turn_keys", "prefixes", "blocks"):
            assert db.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table


def test_nothing_that_was_said_and_no_secret_is_in_the_analysis(start_daemon: StartDaemon) -> None:
    daemon = start_daemon()
    with claude(daemon) as client:
        ask(
            client, "The password of the moon is swordfish-4711.", system="Keep the words xylophone-quartz to yourself."
        )
    control(daemon, "flush")
    daemon.stop()
    for path in daemon.paths.store_dir.glob("analysis.db*"):
        data = path.read_bytes()
        for word in (b"swordfish", b"xylophone", KEY.encode(), KEY.encode()[-12:]):
            assert word not in data, path


def test_labels_come_from_the_run_and_from_the_request_itself(daemon: Daemon, tmp_path: Path) -> None:
    script = tmp_path / "client.py"
    script.write_text(
        "import anthropic\n"
        "headers = {'x-ccinspect-session': 'mine', 'x-ccinspect-tags': '{\"try\": 2}'}\n"
        "client = anthropic.Anthropic(max_retries=0)\n"
        f"ask = dict(model='{MODEL}', max_tokens=9, messages=[{{'role': 'user', 'content': 'hello'}}])\n"
        "client.messages.create(**ask)\n"
        "client.messages.create(**ask, extra_headers=headers)\n"
    )
    daemon.run(
        *("run", "--project", "moon", "--tag", "team=search", "--", sys.executable, "-W", "ignore", str(script)),
        env={"ANTHROPIC_API_KEY": KEY},
        check=True,
    )
    with flushed(daemon) as analysis:
        plain, marked = analysis.calls(EVERYTHING)
        by_session = {row.key: row.calls for row in analysis.report("session", EVERYTHING).rows}
        [by_project] = analysis.report("project", EVERYTHING).rows
        chosen = analysis.calls(Selection(run="last"))
    assert (plain.project, plain.tags, plain.said_session) == ("moon", {"team": "search"}, None)
    assert (marked.tags, marked.said_session) == ({"team": "search", "try": "2"}, "mine")
    assert by_session == {"": 1, "mine": 1}
    assert (by_project.key, by_project.calls) == ("moon", 2)
    assert len(chosen) == 2
