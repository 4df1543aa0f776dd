"""What the analysis says of an agent's model calls, held against what the fake provider knows it told."""

from __future__ import annotations

from collections import Counter
from typing import Any

from ccinspect.demo.provider import Provider
from tests.support.daemon import Daemon, Record

Told = tuple[str, int, int]
"""(model asked for, tokens of its context, tokens of its answer)."""


def calls_of(daemon: Daemon) -> list[Record]:
    """All model calls, in the order they were made; each belongs to exactly one conversation."""
    calls: dict[str, Record] = {}
    listed = daemon.json("conversations", "list", "--all", "--json")
    # Those that others stand beside or below come first: they show them, too.
    for conversation in sorted(listed, key=lambda each: each["relation"] != "root"):
        if conversation["id"] not in calls:
            shown = _turns(daemon.json("conversations", "show", conversation["id"], "--json"))
            calls |= {turn["call"]["id"]: turn["call"] for turn in shown}
    return sorted(calls.values(), key=lambda call: call["started_at"])


def _turns(shown: Record) -> list[Record]:
    found: list[Record] = []
    waiting: list[Any] = [shown]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if "call" in value:
                found.append(value)
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
    return found


def assert_understood(daemon: Daemon, provider: Provider, agent: str, version: str | None) -> list[Record]:
    """None missed, none invented, each by this agent and with the tokens that it was told; returns those answered."""
    calls = calls_of(daemon)
    answered = [call for call in calls if call["kind"] == "generate"]
    told = Counter((reply.model, reply.input_tokens, reply.output_tokens) for reply in provider.replies)
    assert Counter(map(_told, answered)) == told
    assert told, "the agent asked no model"
    counted = [request for request in provider.requests if request.path.endswith("count_tokens")]
    assert len(counted) == sum(call["kind"] == "count_tokens" for call in calls)
    assert {call["kind"] for call in calls} <= {"generate", "count_tokens", "warm_up"}
    for call in calls:
        assert (call["agent"], call["agent_version"], call["agent_kind"]) == (agent, version, "agent")
        assert (call["outcome"], call["fidelity"], call["readable"], call["note"]) == ("complete", "full", True, None)
    _assert_reported(daemon, calls)
    for call in answered:
        _assert_composed(daemon, call)
    return answered


def _told(call: Record) -> Told:
    assert call["counts"]["basis"] == "provider"
    return call["model_requested"], call["counts"]["context"], call["counts"]["output"]


def _assert_reported(daemon: Daemon, calls: list[Record]) -> None:
    """The report counts the same calls, and no other request of the agent is taken for one."""
    report = daemon.json("report", "--json")["total"]
    spent = [call for call in calls if call["kind"] != "count_tokens"]
    assert report["counts"]["total"] == sum(call["counts"]["total"] for call in spent)
    assert report["errors"] == 0
    flows = daemon.flows('map(select(.type == "http")) | map(.id)', "--limit", "1000")
    assert {call["flow"] for call in calls} <= set(flows)


def _assert_composed(daemon: Daemon, call: Record) -> None:
    """The parts of the context sum up, and none of substance is left over."""
    composition = daemon.json("flows", "context", call["id"], "--json")["composition"]
    total = call["counts"]["context"]
    assert composition["total"] == total
    assert sum(composition["categories"].values()) + composition["unattributed"] == total
    assert sum(composition["sources"].values()) + composition["unattributed"] == total
    assert composition["coverage"] > 90
    # What providers put around messages stands in no category: a few tokens each.
    assert composition["categories"].get("uncategorised", 0) <= 100
    assert composition["categories"]["current_user_message"] > 0 or call["purpose"] == "compaction"


def composition_of(daemon: Daemon, call: Record) -> Record:
    found: Record = daemon.json("flows", "context", call["id"], "--json")["composition"]
    return found


def askers(daemon: Daemon, host: str) -> dict[str, str]:
    """The program that opened the connection of each request to a host, by path."""
    flows = daemon.flows(f'map(select(.type == "http" and .request.host == "{host}"))', "--limit", "1000")
    assert all(flow["process"] for flow in flows), flows
    return {flow["request"]["path"]: flow["process"]["exe"].rsplit("/", 1)[-1] for flow in flows}
