"""`conversations` and `cache` on a real store."""

from __future__ import annotations

import re

import pytest

from tests.cli.conftest import Stored, flow_id
from tests.cli.model_calls import SYSTEM, TOOLS, anthropic_call, assistant, tool_result, tool_use, two_turns, user
from tests.cli.screens import on_terminal

SAYS = [{"type": "text", "text": "Hello."}]
MARKED = [{"type": "text", "text": SYSTEM * 10, "cache_control": {"type": "ephemeral"}}]


def changed_tool() -> list[dict[str, object]]:
    """The second turn with one word of a tool's description changed, and so without anything from the cache."""
    first, second = (
        anthropic_call(
            number,
            [user("Which branch is this?")]
            + ([assistant([tool_use("git branch")]), user([tool_result("* main")])] if number == 2 else []),
            [tool_use("git branch")] if number == 1 else SAYS,
            usage,
            body={"system": MARKED, "tools": tools},
        )
        for number, tools, usage in (
            (1, TOOLS, {"input_tokens": 20, "cache_creation_input_tokens": 8000}),
            (
                2,
                [TOOLS[0] | {"description": "Run a program. " * 20}, TOOLS[1]],
                {"input_tokens": 90, "cache_creation_input_tokens": 8000, "cache_read_input_tokens": 0},
            ),
        )
    )
    return [first, second]


def test_two_turns_are_one_conversation(stored: Stored) -> None:
    place = stored(*two_turns())
    [summary] = place.json("conversations", "list")
    assert (summary["id"], summary["turns"], summary["calls"]) == (flow_id(1), 2, 2)
    assert (summary["context_first"], summary["context_last"]) == (1500, 1490)
    assert summary["models"] == ["claude-sonnet-4-5"]
    [line] = place.lines("conversations", "list")
    assert line.split("\t")[0] == flow_id(1)[:8]


def test_any_call_of_it_names_a_conversation(stored: Stored) -> None:
    place = stored(*two_turns())
    trees = [place.json("conversations", "show", flow_id(number)) for number in (1, 2)]
    assert trees[0] == trees[1]
    assert [turn["call"]["id"] for turn in trees[0]["turns"]] == [flow_id(1), flow_id(2)]
    assert trees[0]["title"] == "Which branch is this?"


@pytest.mark.parametrize("columns", [60, 80, 140])
def test_the_tree_fits_its_terminal(stored: Stored, columns: int) -> None:
    place = stored(*two_turns())
    said = on_terminal(place, "conversations", "show", flow_id(2), columns=columns, NO_COLOR="1")
    assert all(len(line) <= columns for line in said.splitlines())
    assert re.search(rf"^1 user +{flow_id(1)[:8]} +1\.5k", said, re.MULTILINE)
    assert re.search(rf"^2 tools +{flow_id(2)[:8]} +1\.5k", said, re.MULTILINE)
    assert '"Which branch is this?"' in said
    listed = on_terminal(place, "conversations", "list", columns=columns, NO_COLOR="1")
    assert all(len(line) <= columns for line in listed.splitlines())


def test_side_calls_only_if_asked_for(stored: Stored) -> None:
    title = anthropic_call(
        3, [user("Which branch is this?")], SAYS, body={"system": "Generate a short title.", "tools": []}
    )
    place = stored(*two_turns(), title)
    assert len(place.json("conversations", "list")) == 1
    kinds = {row["id"]: row["purpose"] for row in place.json("conversations", "list", "--all")}
    assert kinds == {flow_id(1): "user_turn", flow_id(3): "housekeeping"}


def test_the_newest_so_many(stored: Stored) -> None:
    place = stored(*(anthropic_call(number, [user(f"Question {number}?")], SAYS) for number in range(5)))
    listed = place.run("conversations", "list", "--limit", "2")
    assert len(listed.stdout.splitlines()) == 2
    assert b"the newest 2;" in listed.stderr


def test_why_the_cache_missed(stored: Stored) -> None:
    place = stored(*changed_tool())
    found = place.json("cache", flow_id(2))
    report = found["report"]
    assert report["verdict"] == "tools_changed"
    assert (report["expected"], report["read"], report["missed"]) == (8000, 0, 8000)
    # 8,000 tokens written at $3.75 a million that could have been read at $0.30.
    assert report["cost"] == pytest.approx(8000 * (3.75 - 0.3) / 1e6)
    said = on_terminal(place, "cache", flow_id(2), NO_COLOR="1")
    assert "A tool definition changed" in said
    assert "tool definition Bash" in said
    assert re.search(r"^ +- .*Run a command", said, re.MULTILINE)
    assert re.search(r"^ +\+ .*Run a program", said, re.MULTILINE)
    assert "\x1b[31m- " in on_terminal(place, "cache", flow_id(2))


def test_what_the_cache_did_turn_by_turn(stored: Stored) -> None:
    place = stored(*changed_tool())
    said = on_terminal(place, "cache", flow_id(1), "--conversation", NO_COLOR="1")
    assert re.search(rf"^ +1 +{flow_id(1)[:8]} +first turn", said, re.MULTILINE)
    assert re.search(rf"^ +2 +{flow_id(2)[:8]} +tools cha\S* +8\.0k +0 +8\.0k +\$0\.0276", said, re.MULTILINE)
    assert "1 call missed 8,000 tokens: $0.0276" in said
    assert all(len(line) <= 80 for line in said.splitlines())


def test_a_hit_is_no_miss(stored: Stored) -> None:
    place = stored(*two_turns())
    assert place.json("cache", flow_id(2))["report"]["verdict"] == "hit"
    assert "What could be read from the cache was read" in on_terminal(place, "cache", flow_id(2))
