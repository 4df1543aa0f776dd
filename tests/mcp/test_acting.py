"""Tools that change something: off unless asked for, and careful when on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ccinspect.errors import BadSelection, CcinspectError, DaemonNotRunning, SessionError, ShapeError
from ccinspect.mcp.captured import Captured
from ccinspect.mcp.catalogue import ACTING, READING, offered
from tests.cli.conftest import Place, flow_id, http_flow
from tests.conftest import StartDaemon
from tests.mcp.conftest import Ask
from tests.mcp.test_http import send, server_of, work_with
from tests.mcp.test_stdio import text_of


@pytest.fixture
def act(captured: Captured) -> Ask:
    """Call an acting tool; what it answers, parsed."""
    tools = {tool.name: tool for tool in ACTING}

    def call(name: str, /, **arguments: Any) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(tools[name].call(captured, arguments).text())
        return answer

    return call


def test_they_are_apart_and_off_by_default() -> None:
    names = {tool.name for tool in ACTING}
    assert names == {"clear_flows", "save_shape", "replay_flow", "start_session"}
    assert not names & {tool.name for tool in offered(False)}
    assert names < {tool.name for tool in offered(True)}
    assert all(tool.acts for tool in ACTING)
    assert not any(tool.acts or tool.destroys for tool in READING)
    assert {tool.name for tool in ACTING if tool.destroys} == {"clear_flows", "replay_flow"}


def test_flows_are_removed_only_when_their_number_is_known(place: Place, ask: Ask, act: Ask) -> None:
    place.record(*(http_flow(number) for number in range(3)))
    with pytest.raises(CcinspectError, match="nothing says which flows"):
        act("clear_flows", expected=3)
    with pytest.raises(CcinspectError, match="no other choice"):
        act("clear_flows", everything=True, host="x.example", expected=0)
    first = act("clear_flows", everything=True)
    assert (first["would_remove"], first["total"]) == (3, 3)
    assert "expected: 3" in first["notes"][0]
    with pytest.raises(CcinspectError, match="3 such flows, not 2"):
        act("clear_flows", everything=True, expected=2)
    with pytest.raises(BadSelection):
        act("clear_flows", run="nobody", expected=0)
    assert ask("search_flows")["total"] == 3
    assert act("clear_flows", everything=True, expected=3)["removed"] == 3
    assert ask("search_flows")["total"] == 0


def test_a_shape_is_saved_and_never_replaced(two_calls: Place, act: Ask) -> None:
    saved = act("save_shape", name="mine", description="A model's own")
    assert saved["flow"] == flow_id(2)
    assert "Which branch" not in (two_calls.paths.config_dir / "shapes" / "mine.yaml").read_text()
    with pytest.raises(ShapeError, match="there is a shape 'mine' already"):
        act("save_shape", name="mine", flow=flow_id(1))
    with pytest.raises(ShapeError):
        act("save_shape", name="../escape")


def test_a_session_limits_later_calls_to_what_came_after_it(two_calls: Place, ask: Ask, act: Ask) -> None:
    act("start_session", name="work")
    with pytest.raises(SessionError):
        act("start_session", name="work")
    with pytest.raises(SessionError):
        ask("search_flows", session="never")
    # What is in the store already began long ago.
    assert ask("search_flows", session="work")["total"] == 0
    for name in ("conversations", "usage_report", "list_models"):
        assert ask(name, session="work")["total"] == 0
        assert ask(name)["total"] > 0


def test_without_a_daemon_nothing_is_replayed(two_calls: Place, act: Ask) -> None:
    with pytest.raises(DaemonNotRunning, match="the daemon is not running"):
        act("replay_flow", flow=flow_id(1))


def test_through_a_daemon_a_request_is_sent_again_and_removed(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(
        mcp={"enabled": True, "port": 0, "acting": True},
        providers={"anthropic": {"auth": {"command": "echo sk-ant-secret"}}},
    )
    block = server_of(daemon)

    async def work(session: Any) -> None:
        listed = {tool.name: tool.annotations for tool in (await session.list_tools()).tools}
        assert not listed["replay_flow"].readOnlyHint
        assert listed["replay_flow"].openWorldHint
        assert listed["clear_flows"].destructiveHint
        assert not listed["start_session"].destructiveHint
        await session.call_tool("start_session", {"name": "now"})
        send(daemon)
        (flow,) = json.loads(text_of(await session.call_tool("search_flows", {"session": "now"})))["flows"]
        again = json.loads(
            text_of(await session.call_tool("replay_flow", {"flow": flow["id"], "set": ["max_tokens=7"]}))
        )
        assert again["flow"]["status"] == 200
        assert again["answer"]
        assert "sk-ant-secret" not in json.dumps(again)
        found = json.loads(text_of(await session.call_tool("search_flows", {"session": "now", "model_calls": True})))
        assert found["total"] == 2
        cleared = await session.call_tool("clear_flows", {"everything": True, "expected": 2})
        assert json.loads(text_of(cleared))["removed"] == 2

    work_with(block, work)
    assert daemon.flows() == []
