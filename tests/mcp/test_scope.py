"""What a run's own server shows: the run, and of others not a word, whatever is asked."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ccinspect.analysis import query
from ccinspect.errors import BadSelection, CcinspectError, FlowNotFound, SessionError
from ccinspect.mcp.captured import Captured
from ccinspect.mcp.catalogue import READING
from ccinspect.mcp.flow_content import NoFiles, resource_text
from ccinspect.mcp.sql import QueryRefused
from tests.cli.conftest import START, Place, flow_id, http_flow
from tests.cli.model_calls import SYSTEM, anthropic_call, assistant, user
from tests.mcp.conftest import Ask

OWN, OTHER = "b0b0000001", "f0f0000002"
SECRET = "zebra"
"""Stands in everything that is another run's, and in nothing of ours."""


def run_started(ident: str, name: str, at: float) -> dict[str, Any]:
    run = {"id": ident, "name": name, "mode": "inspect", "command": [name], "cwd": f"/home/{name}", "project": name,
           "tags": {}, "started_at": at, "ended_at": None, "exit_code": None}  # fmt: skip
    return {"kind": "run_started", "run": run}


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Ours went on with a conversation of the other run (flows 1 and 8), and the other with one of ours (2 and 3)."""
    place = Place(tmp_path_factory.mktemp("two-runs") / "instance")
    first = [user("First?")]
    marked = [{"type": "text", "text": SYSTEM, "cache_control": {"type": "ephemeral"}}]
    theirs = [{"name": SECRET, "description": SECRET * 200, "input_schema": {"type": "object"}}]
    written = {"input_tokens": 100, "cache_creation_input_tokens": 5000}
    host = {"host": f"{SECRET}.example", "pretty_host": f"{SECRET}.example"}
    socket = http_flow(5, run=OTHER, request=host, response={"status_code": 101})
    place.record(
        run_started(OTHER, SECRET, START),
        run_started(OWN, "mine", START + 1),
        anthropic_call(
            1,
            first,
            [{"type": "text", "text": "One."}],
            written,
            run=OTHER,
            headers=[[b"X", SECRET.encode()]],
            body={"system": marked, "tools": theirs},
        ),
        anthropic_call(2, [user("Hello?")], [{"type": "text", "text": "Hello."}], written, run=OWN),
        anthropic_call(
            3,
            [user("Hello?"), assistant([{"type": "text", "text": "Hello."}]), user("And?")],
            [{"type": "text", "text": SECRET}],
            written,
            run=OTHER,
            body={"model": f"claude-{SECRET}"},
        ),
        http_flow(4, run=OTHER, request={**host, "method": "GET", "path": f"/{SECRET}"}),
        socket,
        {"kind": "message", "flow_id": flow_id(5), "seq": 0, "from_client": True, "type": "text",
         "timestamp": START, "content": SECRET.encode()},
        http_flow(6, run=OWN, request={"method": "GET", "path": "/mine"}),
        anthropic_call(
            8,
            [*first, assistant([{"type": "text", "text": "One."}]), user("Two?")],
            [{"type": "text", "text": "2"}],
            written,
            run=OWN,
            body={"system": marked},
        ),
        http_flow(7, request={**host, "path": f"/no-run/{SECRET}"}),
    )  # fmt: skip
    query.start_session(place.paths.store_dir, SECRET, START - 1)
    return place


@pytest.fixture
def scoped(two_runs: Place) -> Captured:
    return Captured(two_runs.paths, OWN)


@pytest.fixture
def ask_scoped(scoped: Captured) -> Ask:
    return asking(scoped)


def asking(captured: Captured) -> Ask:
    tools = {tool.name: tool for tool in READING}

    def call(name: str, /, **arguments: Any) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(tools[name].call(captured, arguments).text())
        return answer

    return call


ITS_OWN: list[tuple[str, dict[str, Any], int]] = [
    ("search_flows", {}, 3),
    ("search_flows", {"model_calls": True}, 2),
    ("search_flows", {"jq": "map(select(true))"}, 3),
    ("search_flows", {"run": "last"}, 3),
    ("runs", {}, 1),
    ("conversations", {"all_kinds": True}, 2),
    ("usage_report", {}, 1),
    ("usage_report", {"by": "run"}, 1),
    ("usage_report", {"by": "host"}, 1),
    ("usage_report", {"by": "session"}, 1),
    ("usage_report", {"by": "project"}, 1),
    ("list_models", {}, 1),
    ("limits", {}, 0),
    ("context_breakdown", {}, 1),
    ("explain_cache", {"flow": flow_id(2)}, 1),
    ("explain_cache", {"flow": flow_id(8)}, 1),
    ("explain_cache", {"flow": flow_id(8), "conversation": True}, 1),
    ("conversations", {"flow": flow_id(8)}, 1),
    ("flow_messages", {"flow": flow_id(8)}, 5),
    ("explain_cache", {"flow": flow_id(2), "conversation": True}, 1),
    ("conversations", {"flow": flow_id(2)}, 1),
    ("flow_messages", {"flow": flow_id(2)}, 3),
    ("flow_outline", {"flow": flow_id(6)}, 1),
    ("diff_flows", {"before": flow_id(2), "after": flow_id(2)}, 0),
    ("compare_flow", {"flow": flow_id(2)}, 0),
    ("query", {"sql": "SELECT run, count(*) FROM flows GROUP BY run"}, 1),
    ("query", {"sql": "SELECT * FROM spend"}, 2),
    ("query", {"sql": "SELECT * FROM context_parts WHERE facet = 'category'"}, 9),
    ("query", {"sql": "SELECT * FROM conversations"}, 2),
    ("query", {"sql": "SELECT * FROM runs"}, 1),
]


def test_everything_of_its_own_and_nothing_else_is_shown(two_runs: Place, ask_scoped: Ask) -> None:
    ask = asking(Captured(two_runs.paths))
    # Else nothing would be shown by hiding it.
    assert SECRET in json.dumps(
        [ask("search_flows"), ask("runs"), ask("conversations"), ask("usage_report", by="host")]
    )
    totals = []
    for name, arguments, _ in ITS_OWN:
        answer = ask_scoped(name, **arguments)
        totals.append((name, arguments, answer["total"]))
        assert SECRET not in json.dumps(answer), (name, arguments)
        assert OTHER not in json.dumps(answer), (name, arguments)
    assert totals == ITS_OWN


@pytest.mark.parametrize("number", [1, 3, 4, 5, 7])
def test_flows_of_others_do_not_exist(scoped: Captured, ask_scoped: Ask, number: int) -> None:
    other = flow_id(number)
    asked: list[tuple[str, dict[str, Any]]] = [
        *((name, {"flow": other}) for name in ("flow_outline", "flow_body", "flow_messages", "compare_flow")),
        *((name, {"flow": other}) for name in ("context_breakdown", "explain_cache", "conversations")),
        ("flow_body", {"flow": other[:6]}),
        ("flow_body", {"flow": other, "side": "client_response"}),
        ("diff_flows", {"before": flow_id(2), "after": other}),
        ("explain_cache", {"flow": other, "conversation": True}),
        ("search_flows", {"cursor": other}),
    ]
    for name, arguments in asked:
        with pytest.raises((FlowNotFound, BadSelection)) as caught:
            ask_scoped(name, **arguments)
        assert SECRET not in f"{caught.value.message}{caught.value.hint}"
    with pytest.raises(FlowNotFound):
        resource_text(scoped, other, "request")
    # A record that the filter made up is not looked up for it.
    made_up = {"id": other, "type": "http", "state": "complete", "timing": {}}
    assert ask_scoped("search_flows", jq=json.dumps([made_up]))["values"] == [made_up]


def test_neither_runs_nor_sessions_of_others_can_be_chosen(ask_scoped: Ask) -> None:
    for run in (OTHER, OTHER[:4], SECRET):
        with pytest.raises(BadSelection):
            ask_scoped("usage_report", run=run)
    for name in ("search_flows", "usage_report", "conversations"):
        with pytest.raises(SessionError):
            ask_scoped(name, session=SECRET)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT host FROM store.flows",
        "SELECT host FROM main.flows WHERE run != 'b0b0000001'",
        "SELECT host FROM temp.flows",
        "WITH flows AS (SELECT host FROM store.flows) SELECT host FROM flows",
        "SELECT (SELECT group_concat(host) FROM store.flows)",
        "SELECT host FROM flows UNION SELECT host FROM store.flows",
        "SELECT * FROM calls",
        "SELECT record FROM runs",
        "SELECT name FROM names",
        "SELECT data FROM pieces",
        "SELECT content FROM messages",
        "SELECT name FROM sqlite_master",
        "SELECT sql FROM sqlite_temp_schema",
        "SELECT file FROM pragma_database_list",
        "PRAGMA database_list",
        "PRAGMA writable_schema = 1",
        "ATTACH 'file:flows.db?mode=ro' AS x",
        "DETACH store",
        "CREATE TEMP VIEW x AS SELECT 1",
        "DROP VIEW temp.flows",
        "DROP TABLE flows",
        "SELECT load_extension('x')",
        "SELECT readfile('/etc/passwd')",
        "SELECT * FROM dbstat",
        "VACUUM INTO '/tmp/x'",
        "SELECT 1; SELECT 2",
    ],
)
def test_sql_does_not_get_beyond_the_run(ask_scoped: Ask, sql: str) -> None:
    try:
        answer = json.dumps(ask_scoped("query", sql=sql))
    except QueryRefused as error:
        answer = error.message + error.hint
    else:
        # What can be read is the copy that was made for it.
        assert "main.flows" in sql
        assert json.loads(answer)["total"] == 0
    assert SECRET not in answer
    assert OTHER not in answer


def test_no_file_is_written_for_a_run(scoped: Captured, ask_scoped: Ask) -> None:
    with pytest.raises(NoFiles):
        ask_scoped("flow_body", flow=flow_id(2), to_file=True)
    assert not (scoped.paths.data_dir / "mcp-files").exists()


def test_a_run_that_did_nothing_sees_nothing(two_runs: Place) -> None:
    tools = {tool.name: tool for tool in READING}
    nobody = Captured(two_runs.paths, "0000000000")
    for name in ("search_flows", "runs", "conversations", "usage_report", "list_models", "limits"):
        assert tools[name].call(nobody, {}).total == 0
    with pytest.raises(CcinspectError):
        tools["context_breakdown"].call(nobody, {})
    for bad in ("", "x' OR '1'='1", "a" * 65):
        with pytest.raises(ValueError, match="no id of a run"):
            tools["search_flows"].call(Captured(two_runs.paths, bad), {})
