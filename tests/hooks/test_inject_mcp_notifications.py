"""Events of background tasks in the history of a request."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from ccinspect.hooks.extract_session_id import extract_session_id
from ccinspect.hooks.inject_mcp_notifications import inject_mcp_notifications
from ccinspect.hooks.notifications import Notifications
from ccinspect.hooks.synthetic_calls import DIALECTS, Call, place_for
from ccinspect.pipeline.message import Facts
from ccinspect.pipeline.pipeline import Pipeline
from ccinspect.pipeline.services import Services
from ccinspect.wire.registry import DIALECTS as CODECS
from tests.hooks.through import through
from tests.pipeline.running import FACTS, request, states, steps

CALL = Call("toolu_1", "tasks_get", {"taskId": "t"}, '{"events": []}')
TOOLS = [{"name": "Read", "input_schema": {"type": "object"}}]


def user(content: Any = "hi") -> dict[str, Any]:
    return {"role": "user", "content": content}


def model(*content: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": list(content)}


USE = {"type": "tool_use", "id": "c1", "name": "Read", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "c1", "content": "x"}
THOUGHT = {"type": "thinking", "thinking": "hm", "signature": "s"}
TEXT = {"type": "text", "text": "yes"}
THINKS = {"thinking": {"type": "enabled", "budget_tokens": 2000}}


def shown(messages: list[dict[str, Any]]) -> str:
    """Who spoke: `u` and `a` for what was there, `O` for the opener, `C` and `R` for the call and its result."""
    told = ""
    for message in messages:
        text = json.dumps(message)
        told += (
            "C" if '"tasks_get"' in text else "R" if '"toolu_1"' in text else "O" if "Background" in text else text[10]
        )
    return told


@pytest.mark.parametrize(
    ("messages", "more", "expected"),
    [
        ([user()], {}, "OCRu"),
        ([user(), model(TEXT), user()], {}, "uaCRu"),
        # A result stays with its call.
        ([user(), model(USE), user([RESULT])], {}, "uCRau"),
        ([user(), model(TEXT), model(USE), user([RESULT, TEXT])], {}, "uCRaau"),
        # The model's last words begin with its thinking.
        ([user(), model(THOUGHT, TEXT), user()], THINKS, "uCRau"),
        ([user(), model(THOUGHT, USE), user([RESULT])], {"thinking": {"type": "adaptive"}}, "uCRau"),
        ([user(), model(THOUGHT, TEXT), user()], {"thinking": {"type": "disabled"}}, "uaCRu"),
        ([user()], THINKS, None),
        ([], {}, None),
        ([model(TEXT)], {}, None),
        ([user(), model(TEXT)], {}, "OCRua"),
    ],
)
def test_the_place_in_a_history_of_anthropics(messages: list[Any], more: dict[str, Any], expected: str | None) -> None:
    body = {"messages": messages, "tools": TOOLS} | more
    insert = place_for("anthropic", body)
    if insert is None:
        assert expected is None
        return
    insert([CALL])
    assert shown(body["messages"]) == expected
    for at, message in enumerate(body["messages"]):
        for block in message["content"] if message["role"] == "assistant" else []:
            if block.get("type") == "tool_use":
                following = body["messages"][at + 1]
                assert [each["tool_use_id"] for each in following["content"] if "tool_use_id" in each] == [block["id"]]


OTHERS: dict[str, dict[str, Any]] = {
    "openai_chat": {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "hi"}]},
    "openai_responses": {"input": [{"type": "message", "role": "user", "content": "hi"}]},
    "gemini": {
        "contents": [
            {"role": "user", "parts": [{"text": "hi"}]},
            {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}]},
        ]
    },
    "ollama": {"messages": [{"role": "user", "content": "hi"}]},
    "anthropic": {"messages": [user()], "tools": TOOLS},
}


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
def test_the_call_can_be_read_in_each_dialect(dialect: str) -> None:
    body = OTHERS[dialect] | {"model": "m"}
    insert = place_for(dialect, body)
    assert insert is not None
    insert([CALL])
    read = CODECS[dialect].decode_request(json.dumps(body).encode(), "/v1/x")
    kinds = [type(block).__name__ for message in read.messages for block in message.blocks]
    calls = [block for message in read.messages for block in message.blocks if type(block).__name__ == "ToolCall"]
    assert (calls[0].name, calls[0].arguments) == ("tasks_get", {"taskId": "t"})  # type: ignore[attr-defined]
    at = kinds.index("ToolCall")
    assert kinds[at : at + 3] == ["ToolCall", "ToolResult", "Text"]
    assert not [each for each in read.diagnostics if each.severity == "error"]


def test_plain_input_of_responses_becomes_a_list() -> None:
    body = {"input": "hi"}
    insert = place_for("openai_responses", body)
    assert insert is not None
    insert([CALL])
    assert [each.get("type", each.get("role")) for each in body["input"]] == [  # type: ignore[attr-defined]
        "function_call", "function_call_output", "user",
    ]  # fmt: skip


@pytest.mark.parametrize("dialect", [*sorted(DIALECTS), "bedrock", ""])
@pytest.mark.parametrize(
    "body",
    [None, [], {}, {"messages": 5}, {"messages": [5, None, []]}, {"messages": [{"role": ["user"]}]}, {"input": 5},
     {"input": [[]]}, {"contents": {}}, {"contents": [None, {"parts": 5}]}, {"messages": [{"role": "user"}]}],
)  # fmt: skip
def test_no_body_breaks_it(dialect: str, body: Any) -> None:
    before = json.dumps(body)
    insert = place_for(dialect, body)
    if insert is not None:
        insert([CALL])
    # Where it can be put nowhere, the request stays as it is.
    assert (json.dumps(body) == before) == (insert is None)


def waiting_for(*sessions: str) -> Notifications:
    waiting = Notifications()
    for session in sessions:
        waiting.add({"task_id": "t", "session_id": session, "event": {"done": "yes"}})
    return waiting


def test_through_the_pipeline_with_the_session_in_the_body() -> None:
    """The way of a real request: the session is found in the body, which is read because events wait."""
    waiting = waiting_for("0a1b2c3d-session", "another")
    facts = replace(FACTS, session=None)
    body = (
        b'{"model": "m", "temperature": 1.0, "metadata": {"user_id": "user_x_account__session_0a1b2c3d-session"},'
        b' "tools": [{"name": "Read"}],\n "messages": [{"role": "user", "content": "hi"}]}'
    )
    pipeline = Pipeline({"inbound": steps([inject_mcp_notifications, extract_session_id])}, services=Services(waiting))
    head = request(None)
    assert pipeline.needs_body(facts, head)
    result = through(pipeline, "inbound", request(body), facts)
    assert states(result) == {"extract_session_id": "ran", "inject_mcp_notifications": "ran"}
    sent = json.loads(result.outgoing.body or b"")
    assert shown(sent["messages"])[1] == "C"
    call, told, last = sent["messages"][-3:]
    assert call["content"][0]["input"] == {"taskId": "t"}
    assert call["content"][0]["id"] == told["content"][0]["tool_use_id"]
    assert json.loads(told["content"][0]["content"]) == {"taskId": "t", "events": [{"done": "yes"}]}
    assert last == {"role": "user", "content": "hi"}
    # All else keeps its bytes.
    assert (result.outgoing.body or b"").startswith(body[: body.index(b"{", body.index(b"messages"))])
    assert result.notes["inject_mcp_notifications"] == {"tasks": 1, "events": 1}
    assert not waiting.pending("0a1b2c3d-session")
    assert waiting.pending("another")
    pipeline.close()


@pytest.mark.parametrize(
    ("facts", "body"),
    [
        (replace(FACTS, session="stranger"), {"messages": [user()], "tools": TOOLS}),
        (replace(FACTS, session=None), {"messages": [user()], "tools": TOOLS}),
        (replace(FACTS, kind="count_tokens"), {"messages": [user()], "tools": TOOLS}),
        (replace(FACTS, dialect="bedrock"), {"messages": [user()], "tools": TOOLS}),
        (replace(FACTS, kind=None, dialect=None), {"messages": [user()], "tools": TOOLS}),
        # An agent's request for a title.
        (FACTS, {"messages": [user()]}),
        (FACTS, {"messages": []}),
        (FACTS, []),
    ],
)
def test_events_wait_for_the_right_request(facts: Facts, body: Any) -> None:
    waiting = waiting_for(FACTS.session or "")
    pipeline = Pipeline({"inbound": steps([inject_mcp_notifications])}, services=Services(waiting))
    given = request(body)
    assert through(pipeline, "inbound", given, facts).outgoing is given
    assert waiting.pending(FACTS.session)
    pipeline.close()


def test_a_thin_client_without_tools_is_told_too() -> None:
    """Calls may stand only in a request with tools, so there is one then that cannot be called."""
    waiting = waiting_for(FACTS.session or "")
    pipeline = Pipeline({"inbound": steps([inject_mcp_notifications])}, services=Services(waiting))
    result = through(pipeline, "inbound", request({"messages": [user()]}), replace(FACTS, agent=None))
    sent = json.loads(result.outgoing.body or b"")
    assert [tool["name"] for tool in sent["tools"]] == ["tasks_get"]
    assert sent["tool_choice"] == {"type": "none"}
    pipeline.close()


def test_nobody_reads_a_body_while_nothing_waits() -> None:
    pipeline = Pipeline({"inbound": steps([inject_mcp_notifications])}, services=Services(Notifications()))
    assert not pipeline.needs_body(FACTS, request())
    pipeline.close()
