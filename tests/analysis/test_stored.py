"""The analyst on stores of all sorts: what was said before, what is gone, what is broken."""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ccinspect.analysis import analyst as analyst_module
from ccinspect.analysis import query, scope
from ccinspect.analysis.analyst import Analyst
from ccinspect.analysis.loading import selected
from ccinspect.analysis.options import AnalysisOptions
from ccinspect.analysis.query import Analysis, open_analysis, reanalyse
from ccinspect.analysis.reports import make_report
from ccinspect.analysis.time_limit import time_limit
from ccinspect.errors import AmbiguousFlowId, FlowNotFound, NoModelCall, StoreUnavailable
from ccinspect.store.database import Database
from ccinspect.store.options import StoreOptions
from ccinspect.store.selection import Selection
from tests.analysis.stored import (
    MODEL,
    analysed,
    anthropic_call,
    assistant,
    fill,
    http_call,
    user,
)
from tests.store import records

EVERYTHING = Selection()
OPTIONS = AnalysisOptions()
HISTORY = [user("Write a poem about a lighthouse."), assistant("Done."), user("And one about the sea.")]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


def test_a_store_that_is_not_there_answers_with_nothing(store: Path) -> None:
    with open_analysis(store, OPTIONS) as analysis:
        assert analysis.calls(EVERYTHING) == []
        assert analysis.report("model", EVERYTHING).rows == []
        assert analysis.conversations(EVERYTHING) == []
        with pytest.raises(FlowNotFound):
            analysis.call("abc")
    assert reanalyse(store, OPTIONS, None) == 0
    assert not store.exists()


def test_ids_may_be_shortened_and_must_be_clear(store: Path) -> None:
    fill(store, *anthropic_call(user("one"), id="aaaa1111-0000-4000-8000-000000000000"))
    fill(store, *anthropic_call(user("two"), id="aaaa2222-0000-4000-8000-000000000000"))
    fill(store, *http_call("example.com", "/", None, b"hello", id="bbbb0000-0000-4000-8000-000000000000"))
    with analysed(store) as analysis:
        assert analysis.call("AAAA1").id.startswith("aaaa1111")
        with pytest.raises(AmbiguousFlowId):
            analysis.call("aaaa")
        with pytest.raises(NoModelCall):
            analysis.call("bbbb")
        with pytest.raises(FlowNotFound):
            analysis.call("aaaa1#7")
        assert analysis.calls_of("bbbb") == []


def test_flows_are_analysed_in_the_order_in_which_they_began(store: Path) -> None:
    """The first turn's flow ends last: its place is found all the same, and nothing is analysed twice."""
    first = anthropic_call(HISTORY[0], id="11111111-0000-4000-8000-000000000000")
    second = anthropic_call(*HISTORY, id="22222222-0000-4000-8000-000000000000")
    fill(store, {"kind": "flow_started", "flow": first[0]["flow"] | {"state": "started"}}, *second)
    # The recorder's end marks what was going on as interrupted; here the flow is still going on.
    with closing(sqlite3.connect(store / "flows.db")) as db:
        db.execute("UPDATE flows SET state = 'started' WHERE uuid LIKE '1111%'")
        db.commit()
    with analysed(store) as analysis:
        assert [call.flow[:4] for call in analysis.calls(EVERYTHING)] == ["2222"]
    fill(store, *first)
    with analysed(store) as analysis:
        calls = {call.flow[:4]: call for call in analysis.calls(EVERYTHING)}
    assert calls.keys() == {"1111", "2222"}
    assert calls["1111"].readable


def test_a_websocket_holds_many_calls_and_they_follow_each_other(store: Path) -> None:
    record = records.flow(
        id="abcdef00-0000-4000-8000-000000000000",
        request={
            "method": "GET",
            "host": "api.openai.com",
            "pretty_host": "api.openai.com",
            "path": "/v1/responses",
            "headers": [[b"upgrade", b"websocket"], [b"user-agent", b"codex_cli_rs/0.169.0"]],
        },
        response={"status_code": 101, "headers": []},
    )
    fill(store, records.started(record), *_socket_messages(record["id"]), records.ended(record))
    with analysed(store) as analysis:
        warm_up, first, second = analysis.calls(EVERYTHING)
        [summary] = analysis.conversations(EVERYTHING)
        opened = analysis.open_call("abcdef#3")
        facts = analysis.facts([record["id"]])[record["id"]]
        assert analysis.call("abcdef").id == second.id
    assert [call.id for call in (warm_up, first, second)] == [f"{record['id']}#{number}" for number in (1, 2, 3)]
    assert (warm_up.kind, warm_up.purpose) == ("warm_up", "housekeeping")
    assert (first.agent, first.counts.input, second.counts.input) == ("codex", 20, 40)
    assert (second.conversation, second.parent, second.certainty) == (first.id, first.id, "exact")
    assert (summary.turns, summary.id) == (2, first.id)
    # The history was kept by the provider, and is put back from what was captured.
    assert opened.complete
    assert len(opened.request.messages) == 3
    assert (facts.calls, facts.model) == (3, "gpt-5")


def _socket_messages(flow: str) -> list[dict[str, Any]]:
    said: list[tuple[bool, dict[str, Any]]] = []
    before = None
    for number, text in enumerate(("", "hello", "and now?")):
        items = [{"type": "message", "role": "user", "content": text}] if text else []
        request = {"type": "response.create", "model": "gpt-5", "input": items}
        if before:
            request["previous_response_id"] = before
        if not text:
            request["generate"] = False
        before = f"resp_{number}"
        usage = {"input_tokens": 20 * number, "output_tokens": 5, "total_tokens": 20 * number + 5}
        answer = {"type": "message", "id": "m", "role": "assistant", "status": "completed"}
        answer["content"] = [{"type": "output_text", "text": f"answer {number}", "annotations": []}]
        response = {"id": before, "object": "response", "model": "gpt-5", "status": "completed", "usage": usage}
        response["output"] = [answer] if text else []
        said += [(True, request), (False, {"type": "response.completed", "response": response})]
    return [
        {
            "kind": "message",
            "flow_id": flow,
            "seq": seq,
            "from_client": from_client,
            "type": "text",
            "timestamp": time.time() + seq,
            "content": json.dumps(message).encode(),
        }
        for seq, (from_client, message) in enumerate(said)
    ]


def test_the_cache_is_explained_with_the_block_that_changed(store: Path) -> None:
    text = "You are brief.\nToday is Monday." + "x" * 9000
    system = [{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}]
    other = [{**system[0], "text": text.replace("Monday", "Tuesday")}]
    wrote = {"input_tokens": 10, "cache_creation_input_tokens": 3000, "cache_read_input_tokens": 0, "output_tokens": 5}
    fill(store, *anthropic_call(HISTORY[0], usage=wrote, body={"system": system}))
    fill(store, *anthropic_call(*HISTORY, usage=wrote, body={"system": other}))
    with analysed(store) as analysis:
        first, second = analysis.calls(EVERYTHING)
        explanation = analysis.cache(second.id)
        verdicts = [one.report.verdict for one in analysis.cache_of_conversation(first.id)]
    assert verdicts == ["first_turn", "system_changed"]
    assert explanation.previous is not None
    assert explanation.previous.id == first.id
    assert explanation.report.missed == 3000
    assert explanation.changed == "system prompt"
    assert explanation.diff is not None
    assert "- Today is Monday." in explanation.diff
    assert "+ Today is Tuesday." in explanation.diff


def test_side_calls_and_sub_agents_hang_where_they_started(store: Path) -> None:
    session = [("x-claude-code-session-id", "5f4dcc3b-5aa7-4e3c-9b1a-000000000001")]
    prompt = "Find every place where the lighthouse is mentioned, and say so."
    task = {"type": "tool_use", "id": "toolu_1", "name": "Task", "input": {"prompt": prompt}}
    answer = http_call(
        "api.anthropic.com", "/v1/messages", {"model": MODEL, "max_tokens": 9, "messages": [HISTORY[0]]},
        {"id": "msg_1", "type": "message", "role": "assistant", "model": MODEL, "content": [task],
         "stop_reason": "tool_use", "usage": {"input_tokens": 10, "output_tokens": 5}},
        headers=session,
    )  # fmt: skip
    fill(store, *answer)
    fill(store, *anthropic_call(user(prompt), headers=session))
    title = {"system": "Generate a short title for this conversation.", "max_tokens": 20}
    fill(store, *anthropic_call(HISTORY[0], headers=session, body=title))
    with analysed(store) as analysis:
        main, agent, aside = analysis.calls(EVERYTHING)
        tree = analysis.conversation(agent.origin or "")
        listed = analysis.conversations(EVERYTHING)
        everything = analysis.conversations(EVERYTHING, all_kinds=True)
    assert (agent.relation, agent.origin, agent.tool_call) == ("sub_agent", main.conversation, "toolu_1")
    assert (aside.relation, aside.purpose) == ("side_call", "housekeeping")
    [turn] = tree.turns
    assert {child.summary.relation for child in turn.children} == {"sub_agent", "side_call"}
    assert (tree.summary.children, [one.id for one in listed]) == (2, [main.id])
    assert len(everything) == 3


def test_what_a_translation_leaves_behind_still_names_the_agent_and_its_session(store: Path) -> None:
    said = {"user-agent": "Bun/1.3", "x-claude-code-session-id": "5f4dcc3b-5aa7-4e3c-9b1a-000000000001", "x-app": "cli"}
    for text, more in (("Find the lighthouse.", {}), ("Count the boats.", {"x-claude-code-agent-id": "a1"})):
        asked = {"path": "/v1/chat/completions", "headers": [[*pair] for pair in (said | more).items()]}
        fill(store, *anthropic_call(user(text), headers=[("user-agent", "Bun/1.3")], client_request=asked))
    with analysed(store) as analysis:
        main, agent = analysis.calls(EVERYTHING)
    assert (main.agent, agent.agent) == ("claude-code", "claude-code")
    assert (agent.relation, agent.origin) == ("sub_agent", main.conversation)


def test_reports_sum_to_their_total(store: Path) -> None:
    run = records.run(project="moon", tags={"team": "search"})
    fill(store, {"kind": "run_started", "run": run})
    for number in range(6):
        changes: dict[str, Any] = {"run": run["id"]} if number % 2 else {}
        usage = {"input_tokens": 100 + number, "output_tokens": number, "cache_read_input_tokens": 7}
        model = {"model": f"claude-{('haiku', 'sonnet')[number % 2]}-4-5"}
        fill(store, *anthropic_call(user(f"question {number}"), usage=usage, body=model, **changes))
    fill(store, *anthropic_call(user("again"), status=529))
    fill(store, *anthropic_call(user("how much?"), path="/v1/messages/count_tokens"))
    with analysed(store) as analysis:
        calls = analysis.calls(EVERYTHING)
        for by in ("model", "provider", "agent", "project", "run", "conversation", "day", "hour", "session"):
            report = analysis.report(by, EVERYTHING)
            assert report.total.calls == 7 == sum(row.calls for row in report.rows), by
            assert report.total.counts.total == sum(row.counts.total for row in report.rows), by
            assert report.total.dollars == sum(row.dollars or 0 for row in report.rows), by
            assert report.total.errors == 1 == sum(row.errors for row in report.rows), by
            assert report.total.uncounted == 1, by
        projects = {row.key: row.calls for row in analysis.report("project", EVERYTHING).rows}
        of_run = analysis.report("model", Selection(run=run["id"])).total
    assert projects == {"": 4, "moon": 3}
    assert of_run.calls == 3
    assert sum(call.counts.total for call in calls) == 6 * 107 + 2 * sum(range(6))
    assert {call.tags.get("team") for call in calls if call.run} == {"search"}


def test_hosts_count_all_flows(store: Path) -> None:
    fill(store, *anthropic_call(user("hello"), headers=[("user-agent", "claude-cli/2.1.0 (external, cli)")]))
    fill(store, *http_call("statsig.example.com", "/v1/log", {"a": 1}, b"", status=500))
    dns = records.flow(type="dns", request={"question": {"name": "api.anthropic.com", "type": "A", "class": "IN"}})
    dns["request"] = {"question": dns["request"]["question"]}
    fill(store, records.ended(dns))
    with analysed(store) as analysis:
        rows = {row.key: row for row in analysis.report("host", EVERYTHING).rows}
    assert rows.keys() == {"api.anthropic.com", "statsig.example.com"}
    claude, other = rows["api.anthropic.com"], rows["statsig.example.com"]
    assert (claude.types, claude.calls, claude.tokens) == ({"http": 1, "dns": 1}, 1, 110)
    assert (claude.providers, claude.agents) == (("anthropic",), ("claude-code",))
    assert (other.calls, other.failed, other.dollars) == (0, 1, None)
    assert other.sent == len('{"a": 1}')


def test_the_sum_of_all_flows_by_host_is_that_of_all_selected_flows(store: Path) -> None:
    fill(store, *anthropic_call(user("hello"), headers=[("user-agent", "claude-cli/2.1.0 (external, cli)")]))
    fill(store, *http_call("statsig.example.com", "/v1/log", {"a": 1}, b"", status=500))
    fill(store, records.ended(records.flow(type="tls", request=None, response=None, server_conn={"address": None})))
    with analysed(store) as analysis:
        rows = analysis.report("host", EVERYTHING).rows
        assert rows == analysis.report("host", Selection(since=1.0)).rows
        assert {row.key for row in rows} == {"", "api.anthropic.com", "statsig.example.com"}


def test_the_sum_of_all_flows_by_host_reads_no_record(store: Path) -> None:
    fill(store, *anthropic_call(user("hello")))
    with analysed(store):
        pass
    said: list[str] = []
    with closing(scope.open_for_reading(store)) as db:
        db.set_trace_callback(said.append)
        make_report(db, "host", selected(db, EVERYTHING), [], EVERYTHING)
        db.set_trace_callback(None)
        plans = [[row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {one}")] for one in said]
    assert ["SCAN flows USING COVERING INDEX flows_by_host"] in plans
    assert ["SCAN parties USING COVERING INDEX parties_by_host"] in plans


def test_tools_that_are_never_called_weigh(store: Path) -> None:
    tools = [
        {"name": name, "description": "Does what it says. " * 30, "input_schema": {"type": "object"}}
        for name in ("Read", "mcp__github__search")
    ]
    use = {"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {"file_path": "/a/b.py"}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "print(1)\n" * 50}
    history = [HISTORY[0], {"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}]
    asked = {"model": MODEL, "max_tokens": 9, "messages": [HISTORY[0]], "tools": tools}
    said = {"id": "msg_1", "type": "message", "role": "assistant", "model": MODEL, "content": [use]}
    said |= {"stop_reason": "tool_use", "usage": {"input_tokens": 300, "output_tokens": 5}}
    fill(store, *http_call("api.anthropic.com", "/v1/messages", asked, said))
    fill(store, *anthropic_call(*history, usage={"input_tokens": 500, "output_tokens": 5}, body={"tools": tools}))
    with analysed(store) as analysis:
        by_tool = {row.key: row for row in analysis.report("tool", EVERYTHING).rows}
        by_server = {row.key: row for row in analysis.report("mcp-server", EVERYTHING).rows}
        unused = analysis.unused(EVERYTHING)
        last = analysis.calls(EVERYTHING)[-1]
        context = analysis.context(last.id)
    assert (by_tool["Read"].calls, by_tool["Read"].unused_tokens) == (1, 0)
    weight = by_tool["github/search"]
    assert (weight.calls, weight.unused_turns) == (0, 2)
    assert weight.unused_tokens == weight.definitions == weight.tokens > 0
    assert weight.unused_dollars is not None
    assert by_server["github"].unused_tokens == weight.unused_tokens == unused.tokens
    assert by_server[""].calls == 1
    assert (by_server[""].turns, by_server[""].tokens) == (by_tool["Read"].turns, by_tool["Read"].tokens)
    assert by_server[""].turns == 2
    assert context.composition.files == {"/a/b.py": context.composition.files["/a/b.py"]}
    assert context.composition.total == 500 == sum(context.composition.categories.values())


def test_reanalysis_makes_the_same_rows_and_marks_them_as_new(store: Path) -> None:
    fill(store, *anthropic_call(HISTORY[0]), *anthropic_call(*HISTORY), *anthropic_call(user("another")))
    with analysed(store) as analysis:
        before = analysis.calls(EVERYTHING)
        contexts = [analysis.context(call.id) for call in before]
        assert analysis.needs_reanalysis() == 0
    with closing(sqlite3.connect(store / "analysis.db")) as db:
        db.execute("UPDATE parties SET version = 0")
        db.execute("UPDATE calls SET version = 0, input = 1, conversation = 'wrong'")
        db.commit()
    with Analysis(store, OPTIONS) as analysis:
        assert analysis.needs_reanalysis() == 3
    progress: list[tuple[int, int]] = []
    assert reanalyse(store, OPTIONS, None, lambda done, total: progress.append((done, total))) == 3
    assert progress == [(1, 3), (2, 3), (3, 3)]
    with Analysis(store, OPTIONS) as analysis:
        assert analysis.calls(EVERYTHING) == before
        assert [analysis.context(call.id) for call in before] == contexts
        assert analysis.needs_reanalysis() == 0


def test_reanalysis_since_a_moment_leaves_older_rows_alone(store: Path) -> None:
    old = anthropic_call(HISTORY[0], timing={"started_at": 1000.0, "ended_at": 1001.0})
    new = anthropic_call(*HISTORY, timing={"started_at": 2000.0, "ended_at": 2001.0})
    fill(store, *old, *new)
    with analysed(store) as analysis:
        before = analysis.calls(EVERYTHING)
    with closing(sqlite3.connect(store / "analysis.db")) as db:
        db.execute("UPDATE calls SET note = 'touched'")
        db.commit()
    assert reanalyse(store, OPTIONS, 1500.0) == 1
    with Analysis(store, OPTIONS) as analysis:
        notes = [call.note for call in analysis.calls(EVERYTHING)]
        assert analysis.calls(EVERYTHING)[1] == before[1]
    assert notes == ["touched", None]
    assert before[1].conversation == before[0].id


def test_numbers_that_are_given_again_are_no_old_acquaintances(store: Path) -> None:
    """When all flows are removed the store counts from 1 again."""
    fill(store, *anthropic_call(user("one")), *anthropic_call(user("two")))
    with analysed(store) as analysis:
        assert len(analysis.calls(EVERYTHING)) == 2
    _clear(store)
    fill(store, *anthropic_call(user("three")))
    with analysed(store) as analysis:
        [call] = analysis.calls(EVERYTHING)
        assert analysis.conversation(call.id).title == "three"


def test_removing_the_newest_flow_analyses_nothing_twice(store: Path) -> None:
    fill(store, *anthropic_call(user("one")))
    fill(store, *anthropic_call(user("two")))
    with analysed(store) as analysis:
        first, second = analysis.calls(EVERYTHING)
    _clear(store, Selection(since=second.started_at))
    with Analyst.open(store, OPTIONS) as analyst:
        assert analyst is not None
        assert analyst.catch_up() == 0
    fill(store, *anthropic_call(user("three")))
    with Analyst.open(store, OPTIONS) as analyst:
        assert analyst is not None
        assert analyst.catch_up() == 1
    with Analysis(store, OPTIONS) as analysis:
        assert first.id in [call.id for call in analysis.calls(EVERYTHING)]


def _clear(store: Path, selection: Selection = EVERYTHING) -> None:
    database = Database(store, StoreOptions())
    database.open(wait=False)
    try:
        database.command("clear", selection.to_params())
    finally:
        database.close()


def test_a_damaged_file_is_made_anew(store: Path) -> None:
    fill(store, *anthropic_call(user("hello")))
    with analysed(store) as analysis:
        before = analysis.calls(EVERYTHING)
    (store / "analysis.db").write_bytes(b"this is no database at all" * 1000)
    with analysed(store) as analysis:
        assert analysis.calls(EVERYTHING) == before


def test_a_file_of_a_newer_version_is_left_alone(store: Path) -> None:
    fill(store, *anthropic_call(user("hello")))
    with analysed(store):
        pass
    with closing(sqlite3.connect(store / "analysis.db")) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreUnavailable, match="newer"), open_analysis(store, OPTIONS):
        pass


def test_only_one_process_is_the_analyst(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query, "PATIENCE", 0.0)
    fill(store, *anthropic_call(user("hello")))
    lock = os.open(store / "analyst.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with open_analysis(store, OPTIONS) as analysis:
            assert analysis.calls(EVERYTHING) == []
            assert analysis.behind() == 1
        with pytest.raises(StoreUnavailable, match="another process"):
            reanalyse(store, OPTIONS, None)
    finally:
        os.close(lock)
    with open_analysis(store, OPTIONS) as analysis:
        assert len(analysis.calls(EVERYTHING)) == 1


def test_traffic_that_goes_on_keeps_nobody_waiting_for_another_analyst(store: Path) -> None:
    fill(store, *anthropic_call(user("first")))
    looks: list[tuple[int, int]] = []

    with Analyst.open(store, OPTIONS) as other:
        assert other is not None

        def go_on(done: int, total: int) -> None:
            looks.append((done, total))
            assert len(looks) < 4, "it waits for what came after it was asked"
            other.catch_up()
            fill(store, *anthropic_call(user(f"question {len(looks)}")))

        with open_analysis(store, OPTIONS, go_on) as analysis:
            assert len(analysis.calls(EVERYTHING)) == 1
            assert analysis.behind() == 1


def test_traffic_that_goes_on_is_not_analysed_for_whoever_asked_before_it(store: Path) -> None:
    fill(store, *anthropic_call(user("first")))

    def go_on(_done: int, total: int) -> None:
        assert total == 1
        fill(store, *anthropic_call(user("another")))

    with open_analysis(store, OPTIONS, go_on) as analysis:
        assert len(analysis.calls(EVERYTHING)) == 1
        assert analysis.behind() == 1


def test_a_flow_that_ended_the_analyst_is_passed_over(store: Path) -> None:
    fill(store, *anthropic_call(user("deadly"), id="dead0000-0000-4000-8000-000000000000"))
    fill(store, *anthropic_call(user("harmless")))
    with Analyst.open(store, OPTIONS, careful=True) as analyst:
        assert analyst is not None
        # As the analyst before left it: it noted the flow, and then it was gone.
        with closing(sqlite3.connect(store / "analysis.db")) as db:
            db.execute("INSERT INTO attempts VALUES ('dead0000-0000-4000-8000-000000000000')")
            db.commit()
        analyst.catch_up()
    with Analysis(store, OPTIONS) as analysis:
        deadly, harmless = analysis.calls(EVERYTHING)
        with pytest.raises(NoModelCall, match="ended the analyst"):
            analysis.context(deadly.id)
    assert (deadly.provider, deadly.readable, harmless.readable) == ("anthropic", False, True)


def test_a_flow_that_takes_too_long_is_passed_over(store: Path) -> None:
    """The limit is far below what a long text takes; the next flow is analysed as always."""
    fill(store, *anthropic_call(user(" ".join(map(str, range(400_000))))), *anthropic_call(user("short")))
    limits = iter([0.02, 60.0])
    with Analyst.open(store, OPTIONS, guard=lambda: time_limit(next(limits))) as analyst:
        assert analyst is not None
        analyst.catch_up()
    with Analysis(store, OPTIONS) as analysis:
        long, short = analysis.calls(EVERYTHING)
    assert (long.readable, short.readable) == (False, True)
    assert long.note is not None
    assert "took too much" in long.note


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[" * 100_000,
        b'{"messages": ' + b'[{"content": ' * 500 + b"1" + b"}]" * 500 + b"}",
        json.dumps({"model": "\ud800", "messages": [{"role": "user", "content": "\ud800\u0000"}]}).encode(),
        json.dumps({"model": 7, "messages": "no", "tools": {"a": 1}, "system": 3}).encode(),
        b'{"model": "m", "messages": [{"role": "user", "content": "' + b"a" * 2_000_000 + b'"}]}',
        json.dumps({"model": "claude", "messages": [], "tools": [{"name": "x" * 10_000}] * 300}).encode(),
    ],
    ids=["empty", "text", "deep", "nested", "surrogates", "wrong types", "long run", "many tools"],
)
def test_hostile_requests_leave_a_row(store: Path, body: bytes) -> None:
    usage = {"input_tokens": 10**30, "output_tokens": -5, "cache_read_input_tokens": "many"}
    answer = {"id": ["x"], "model": {"a": 1}, "content": [None, 3, {"type": 9}], "usage": usage}
    fill(store, *http_call("api.anthropic.com", "/v1/messages", body, answer))
    fill(store, *anthropic_call(user("and another")))
    with analysed(store) as analysis:
        hostile, harmless = analysis.calls(EVERYTHING)
        assert hostile.provider == "anthropic"
        assert harmless.readable
        analysis.context(hostile.id)
        analysis.open_call(hostile.id)
        analysis.conversation(hostile.id)
        assert analysis.report("model", EVERYTHING).total.calls == 2


def test_readers_see_the_analysis_while_it_is_written(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analyst_module, "_COMMIT_SECONDS", 600.0)
    fill(store, *(message for number in range(60) for message in anthropic_call(user(f"question {number}"))))
    seen: list[int] = []

    def read() -> None:
        with Analysis(store, OPTIONS) as analysis:
            seen.append(len(analysis.calls(EVERYTHING)))

    with Analyst.open(store, OPTIONS) as analyst:
        assert analyst is not None

        def look(done: int, total: int) -> None:
            if done == 55:
                reader = threading.Thread(target=read)
                reader.start()
                reader.join()

        analyst.catch_up(look)
    # What is committed is seen, and nothing of what is not.
    assert seen == [analyst_module._COMMIT_FLOWS]


def test_a_host_that_nobody_named_is_known_by_its_shape(store: Path) -> None:
    body = {"model": "llama", "messages": [{"role": "user", "content": "hello"}], "temperature": 1}
    usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
    choice = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
    answer = {"id": "x", "model": "llama", "choices": [choice], "usage": usage}
    fill(store, *http_call("llm.corp.example", "/v1/chat/completions", body, answer))
    fill(store, *http_call("telemetry.example", "/v1/events", {"events": [1, 2]}, {}))
    with analysed(store) as analysis:
        [call] = analysis.calls(EVERYTHING)
    assert (call.provider, call.dialect, call.counts.input) == ("unknown", "openai_chat", 9)
    assert call.price.dollars is None
