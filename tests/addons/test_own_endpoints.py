"""What the reverse listener answers by itself, and what it makes of notifications and replays."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ccinspect.demo.provider import Provider
from tests.addons.conftest import Configure
from tests.addons.test_changes import MESSAGES, OWN, REAL, SENTINEL, anthropic_with, ask, only_flow
from tests.support.daemon import Daemon
from tests.support.shared_daemon import SharedDaemon

TOOLS = [{"name": "x", "input_schema": {"type": "object"}}]
EVENT = {"task_id": "t1", "session_id": "s1", "event": {"done": True}}


@pytest.fixture
def daemon(configure: Configure) -> SharedDaemon:
    return configure()


def in_session(session: str) -> dict[str, Any]:
    return MESSAGES | {"tools": TOOLS, "metadata": {"user_id": json.dumps({"session_id": session})}}


def test_health(daemon: Daemon, provider: Provider) -> None:
    status, answer = ask(daemon, method="GET", path="/health", body=b"")
    assert (status, answer["status"]) == (200, "ok")
    assert not provider.requests


class TestModels:
    @pytest.fixture
    def offering(self, configure: Configure) -> Daemon:
        return configure(
            providers={"anthropic": {"models": ["claude-a"]}, "openai": {"models": {"fast": "gpt-5-mini"}}}
        )

    def test_they_are_merged_in_the_dialect_of_the_asker(self, offering: Daemon, provider: Provider) -> None:
        _, anthropic = ask(offering, method="GET", path="/v1/models", body=b"")
        assert [model["id"] for model in anthropic["data"]] == ["claude-a", "fast"]
        assert anthropic["has_more"] is False
        _, openai = ask(offering, method="GET", path="/v1/models", body=b"", headers={"authorization": "Bearer k"})
        assert openai["object"] == "list"
        assert [model["owned_by"] for model in openai["data"]] == ["anthropic", "openai"]
        assert not provider.requests

    def test_without_any_the_provider_is_asked(self, daemon: Daemon, provider: Provider) -> None:
        assert ask(daemon, method="GET", path="/v1/models", body=b"")[1]["data"][0]["id"] == "claude-fake-large"
        assert provider.requests[0].header("host") == "api.anthropic.com"


class TestNotifications:
    def test_an_event_is_told_once_to_its_own_session(self, daemon: Daemon, provider: Provider) -> None:
        assert ask(daemon, EVENT, {}, "/mcp/notify") == (200, {"status": "ok"})
        assert ask(daemon, in_session("another"))[0] == 200
        assert b"tasks_get" not in provider.requests[-1].content
        assert ask(daemon, in_session("s1"))[0] == 200
        told = json.loads(provider.requests[-1].body)["messages"]
        assert told[-1] == MESSAGES["messages"][-1]
        (call,) = [block for block in told[-3]["content"] if block["type"] == "tool_use"]
        assert (call["name"], call["input"]) == ("tasks_get", {"taskId": "t1"})
        assert json.loads(told[-2]["content"][0]["content"])["events"] == [EVENT["event"]]
        assert ask(daemon, in_session("s1"))[0] == 200
        assert b"tasks_get" not in provider.requests[-1].content

    @pytest.mark.parametrize("body", [b"", b"[1]", b"not json", b'{"task_id": 1}', b"[" * 100_000])
    def test_nonsense_is_fine_too(self, daemon: Daemon, provider: Provider, body: bytes) -> None:
        assert ask(daemon, body, {}, "/mcp/notify") == (200, {"status": "ok"})
        assert ask(daemon, in_session("s1"))[0] == 200
        assert len(provider.requests) == 1

    @pytest.mark.parametrize(
        "headers", [{"origin": "https://evil.example"}, {"host": "evil.example"}, {"sec-fetch-site": "cross-site"}]
    )
    def test_a_web_page_tells_nobody_anything(
        self, daemon: Daemon, provider: Provider, headers: dict[str, str]
    ) -> None:
        assert ask(daemon, EVENT, headers, "/mcp/notify")[0] == 200
        assert ask(daemon, in_session("s1"))[0] == 200
        assert b"tasks_get" not in provider.requests[-1].content


class TestReplays:
    def test_a_replay_is_a_child_and_brings_its_own_credential(self, configure: Configure, provider: Provider) -> None:
        daemon = configure(providers=anthropic_with())
        assert ask(daemon, headers=SENTINEL)[0] == 200
        first = only_flow(daemon)
        daemon.run("flows", "replay", first["id"], "--model", "claude-y", check=True)
        child = daemon.wait_for(2)[1]
        assert child["parent"] == first["id"]
        assert json.loads(provider.requests[1].body) == MESSAGES | {"model": "claude-y"}
        assert provider.requests[1].header("x-api-key") == REAL
        assert b"ccinspect" not in provider.requests[1].head

    def test_what_was_translated_is_replayed_from_the_start(self, configure: Configure, provider: Provider) -> None:
        rule = {"match_provider": "anthropic", "action": "transform", "dest_provider": "openai"}
        daemon = configure(
            inspector={"transforms": [rule]},
            providers={**anthropic_with(), "openai": {"type": "openai_chat", "auth": f"echo {REAL}"}},
        )
        assert ask(daemon, headers=SENTINEL)[0] == 200
        daemon.run("flows", "replay", only_flow(daemon)["id"], "--times", "2", check=True)
        assert [request.path for request in provider.requests] == ["/v1/chat/completions"] * 3
        assert len({bytes(request.content) for request in provider.requests}) == 1

    def test_a_web_page_sends_nothing_elsewhere(self, daemon: Daemon, provider: Provider) -> None:
        elsewhere = {"x-ccinspect-upstream": "https://api.openai.com"}
        assert ask(daemon, headers=OWN | elsewhere | {"host": "evil.example"})[0] == 200
        assert provider.requests[0].header("host") == "api.anthropic.com"
