from __future__ import annotations

import json

import pytest

from ccinspect.errors import BadSelection, FlowNotFound, NoModelCall
from tests.cli.conftest import Place, flow_id, http_flow
from tests.cli.model_calls import SYSTEM, TOOLS, anthropic_call, openai_call, tool_result, user
from tests.mcp.conftest import Ask


def test_what_did_my_last_request_cost_and_why(two_calls: Place, ask: Ask) -> None:
    answer = ask("context_breakdown")
    assert answer["call"]["id"] == flow_id(2)
    assert answer["call"]["tokens"] == {
        "basis": "provider", "new": 90, "cache_read": 1400, "cache_write": 0, "output": 50,
    } or answer["call"]["tokens"] == {"basis": "provider", "new": 90, "cache_read": 1400, "output": 50}  # fmt: skip
    assert answer["call"]["dollars"] > 0
    assert answer["context"]["tokens"] == 1490
    assert sum(answer["context"]["categories"].values()) + answer["context"].get("unattributed", 0) == 1490
    assert answer["context"]["definitions"].keys() == {"Bash", "github/search"}
    assert answer["cache"]["verdict"] == "hit"
    assert len(json.dumps(answer)) < 4_000


def test_the_cause_of_a_miss_is_told(place: Place, ask: Ask) -> None:
    written = {"input_tokens": 100, "cache_creation_input_tokens": 5000}
    marked = [{"type": "text", "text": SYSTEM, "cache_control": {"type": "ephemeral"}}]
    other = [TOOLS[0], TOOLS[1] | {"description": "Changed. " * 60}]
    place.record(
        anthropic_call(1, [user("One?")], [{"type": "text", "text": "1"}], written, body={"system": marked}),
        anthropic_call(
            2,
            [user("One?"), {"role": "assistant", "content": [{"type": "text", "text": "1"}]}, user("Two?")],
            [{"type": "text", "text": "2"}],
            written,
            body={"system": marked, "tools": other},
        ),
    )
    answer = ask("explain_cache", flow=flow_id(2))
    assert answer["cache"]["verdict"] == "tools_changed"
    assert answer["cache"]["missed"] == 5000
    assert "search" in answer["changed"]
    assert "Changed." in answer["difference"]
    rows = ask("explain_cache", flow=flow_id(2), conversation=True)
    assert [row["verdict"] for row in rows["calls"]] == ["first_turn", "tools_changed"]


def test_conversations_and_their_turns(two_calls: Place, ask: Ask) -> None:
    answer = ask("conversations")
    assert answer["total"] == 1
    assert answer["conversations"][0]["turns"] == 2
    assert answer["conversations"][0]["calls"] == 2
    turns = ask("conversations", flow=flow_id(2), limit=1)
    assert turns["title"] == "Which branch is this?"
    assert turns["turns"][0]["call"] == flow_id(1)[:13]
    assert turns["next"] == {"offset": 1}


def test_spend_is_reported_and_paged(two_calls: Place, ask: Ask) -> None:
    two_calls.record(openai_call(3, "Hello?"))
    answer = ask("usage_report", limit=1)
    assert answer["rows"][0]["key"] == "claude-sonnet-4-5"
    assert answer["total"] == 2
    assert answer["next"] == {"offset": 1}
    assert answer["all"]["calls"] == 3
    assert {row["key"] for row in ask("usage_report", by="mcp-server")["rows"]} >= {"github"}
    assert {row["key"] for row in ask("usage_report", by="host")["rows"]} == {"api.anthropic.com", "api.openai.com"}
    models = ask("list_models")["models"]
    assert [(one["model"], one["providers"]) for one in models] == [
        ("claude-sonnet-4-5", ["anthropic"]),
        ("gpt-4o", ["openai"]),
    ]


def test_limits_are_those_last_told(place: Place, ask: Ask) -> None:
    told = [
        [b"Content-Type", b"application/json"],
        [b"anthropic-ratelimit-requests-limit", b"50"],
        [b"anthropic-ratelimit-requests-remaining", b"49"],
        [b"anthropic-ratelimit-requests-reset", b"2031-01-01T00:00:00Z"],
    ]
    call = anthropic_call(1, [user("Hi")], [{"type": "text", "text": "Hi"}])
    call["flow"]["response"]["headers"] = told
    place.record(call)
    answer = ask("limits")
    assert answer["total"] == 1
    assert answer["accounts"][0]["limits"][0]["limit"] == 50


def test_questions_about_nothing_are_answered(place: Place, ask: Ask) -> None:
    for name in ("conversations", "usage_report", "list_models", "limits", "runs"):
        assert ask(name)["total"] == 0
    with pytest.raises(FlowNotFound):
        ask("context_breakdown")
    with pytest.raises(BadSelection):
        ask("usage_report", run="nobody")
    place.record(http_flow(1, request={"method": "GET"}))
    with pytest.raises(NoModelCall):
        ask("context_breakdown", flow=flow_id(1))


def test_a_secret_in_a_title_is_masked(place: Place, ask: Ask) -> None:
    key = "ghp_" + "a1B2" * 9
    place.record(
        anthropic_call(1, [user(f"Use {key} for it"), user([tool_result(key)])], [{"type": "text", "text": "ok"}])
    )
    assert key not in json.dumps(ask("conversations", flow=flow_id(1)))


def test_runs_are_listed_the_newest_first(place: Place, ask: Ask) -> None:
    runs = [
        {"id": f"run-{number}", "name": None, "mode": "inspect", "command": ["agent", str(number)], "cwd": "/tmp",
         "started_at": 1_760_000_000.0 + number, "ended_at": None, "exit_code": None}
        for number in range(3)
    ]  # fmt: skip
    place.record(*({"kind": "run_started", "run": run} for run in runs))
    answer = ask("runs", limit=2)
    assert [run["id"] for run in answer["runs"]] == ["run-2", "run-1"]
    assert answer["runs"][0]["command"] == "agent 2"
    assert answer["next"] == {"offset": 2}
