"""`flows context` and `flows show` of model calls, on a real store that nobody has analysed yet."""

from __future__ import annotations

import json
import re

import pytest

from tests.cli.conftest import Stored, flow_id, http_flow
from tests.cli.flows.test_flows import EVIL, assert_harmless
from tests.cli.model_calls import anthropic_call, assistant, openai_call, tool_result, tool_use, two_turns, user
from tests.cli.screens import each_on_terminal, on_terminal

SAYS = [{"type": "text", "text": "Hello."}]


def test_categories_sum_to_what_the_provider_counted(stored: Stored) -> None:
    place = stored(*two_turns())
    context = place.json("flows", "context", flow_id(2)[:6])
    composition = context["composition"]
    assert (composition["basis"], composition["total"]) == ("provider", 1490)
    assert sum(composition["categories"].values()) + composition.get("unattributed", 0) == 1490
    assert {"system_prompt", "tool_definitions", "tool_results"} <= composition["categories"].keys()
    assert composition["servers"].keys() == {"github"}
    assert context["call"]["counts"]["cache_hit_rate"] == pytest.approx(1400 / 1490)


def test_a_pipe_gets_every_table_with_its_basis(stored: Stored) -> None:
    place = stored(openai_call(1, "Is this a question?", usage=False), *two_turns()[:1])
    rows = [line.split("\t") for line in place.lines("flows", "context", flow_id(1))]
    categories = {row[1]: row for row in rows if row[0] == "category"}
    assert categories["tool_definitions"][4] == "provider"
    assert sum(int(row[2]) for row in categories.values()) == 1500
    assert sum(float(row[3]) for row in categories.values()) == pytest.approx(100, abs=0.1)
    assert ["tool", "github/search"] in [row[:2] for row in rows]


def test_without_the_providers_count_every_number_says_so(stored: Stored) -> None:
    place = stored(openai_call(1, "Is this a question?", usage=False))
    rows = [line.split("\t") for line in place.lines("flows", "context", flow_id(1))]
    assert {row[4] for row in rows} == {"estimated"}
    said = on_terminal(place, "flows", "context", flow_id(1), NO_COLOR="1")
    table = said[said.index("Category") :]
    numbers = re.findall(r"(\S*\d[\d,]*)\s+\d+\.\d%", table)
    assert numbers
    assert all(number.startswith("~") for number in numbers)
    assert "~ estimated here" in said


@pytest.mark.parametrize("columns", [40, 80, 140])
def test_it_fits_its_terminal(stored: Stored, columns: int) -> None:
    place = stored(*two_turns())
    said = on_terminal(place, "flows", "context", flow_id(2), columns=columns, NO_COLOR="1")
    assert all(len(line) <= columns for line in said.splitlines())
    bar = next(line for line in said.splitlines() if re.fullmatch(r"\s*D+S+[HFRUPO?]*", line))
    assert len(bar.strip()) == columns - 4


def test_the_bar_has_colours_or_letters(stored: Stored) -> None:
    place = stored(*two_turns())
    assert "\x1b[33m█" in on_terminal(place, "flows", "context", flow_id(2))
    plain = on_terminal(place, "flows", "context", flow_id(2), NO_COLOR="1")
    assert "\x1b" not in plain
    assert "█" not in plain


def test_a_call_is_shown_as_a_conversation(stored: Stored) -> None:
    place = stored(*two_turns())
    said = "\n".join(place.lines("flows", "show", flow_id(2)[:6]))
    for words in (
        "claude-code 2.1.3",
        "user [0]",
        "Which branch is this?",
        "-> Bash",
        "command: git branch",
        "  other",
    ):
        assert words in said, words
    assert re.search(r"system +[\d,]+$", said, re.MULTILINE)
    assert "1,490 tokens in (90 new, 1,400 cached)" in said
    assert re.search(r"cost +\$0\.00\d\d", said)


def test_the_messages_as_they_went_stay_at_hand(stored: Stored) -> None:
    place = stored(*two_turns())
    for words in (["--http"], ["--request"], ["--request", "--response"]):
        said = "\n".join(place.lines("flows", "show", flow_id(2), *words))
        assert "POST https://api.anthropic.com/v1/messages HTTP/1.1" in said
        assert '"max_tokens": 1000' in said
    assert b'"max_tokens": 1000' in place.run("flows", "show", flow_id(2), "--raw", "--request").stdout


def test_long_blocks_are_shown_whole_if_wanted(stored: Stored) -> None:
    place = stored(anthropic_call(1, [user("\n".join(f"line {n}" for n in range(100)))], SAYS))
    cut = "\n".join(place.lines("flows", "show", flow_id(1)))
    assert "76 lines more: --full" in cut
    assert "line 99" in "\n".join(place.lines("flows", "show", flow_id(1), "--full"))


def test_what_is_no_call_is_shown_as_ever_and_has_no_context(stored: Stored) -> None:
    place = stored(http_flow(1, request={"path": "/telemetry"}), http_flow(2, type="dns", request={"question": {}}))
    assert "POST https://api.anthropic.com/telemetry" in "\n".join(place.lines("flows", "show", flow_id(1)))
    for number in (1, 2):
        done = place.run("flows", "context", flow_id(number))
        assert done.returncode == 1
        assert b"Traceback" not in done.stderr
        assert done.stderr.startswith(b"ccinspect: ")


@pytest.mark.parametrize("command", [("flows", "context"), ("cache",), ("conversations", "show"), ("flows", "show")])
def test_ids_that_fit_none_or_many_are_explained(stored: Stored, command: tuple[str, ...]) -> None:
    twins = two_turns()
    for number, twin in enumerate(twins):
        twin["flow"]["id"] = f"abcd{number}000-0000-4000-8000-000000000000"
    place = stored(*twins)
    ambiguous = place.run(*command, "abcd")
    assert ambiguous.returncode == 1
    assert b"abcd0000" in ambiguous.stderr
    assert b"abcd1000" in ambiguous.stderr
    missing = place.run(*command, "ffff")
    assert missing.returncode == 1
    assert b"no flow has the id" in missing.stderr


def test_nothing_that_was_said_talks_to_the_terminal(stored: Stored) -> None:
    said = [user(EVIL), assistant([tool_use(EVIL)]), user([tool_result(EVIL)])]
    evil_tool = {"name": EVIL, "description": EVIL, "input_schema": {}}
    place = stored(
        anthropic_call(
            1,
            said,
            [{"type": "text", "text": EVIL}],
            body={"model": EVIL, "system": EVIL, "tools": [evil_tool]},
            headers=[[b"user-agent", b"\x1b[2J/1.0"], [b"x-ccinspect-session", EVIL.encode()]],
        )
    )
    commands = [
        ["flows", "show", flow_id(1)],
        ["flows", "show", flow_id(1), "--full"],
        ["flows", "context", flow_id(1), "--all"],
        ["flows", "context", flow_id(1), "--json"],
        ["flows", "list"],
        ["conversations", "list"],
        ["conversations", "show", flow_id(1)],
        ["cache", flow_id(1)],
        ["report"],
        ["report", "--by", "tool"],
        ["report", "--by", "session"],
        ["report", "--csv"],
        ["report", "--by", "agent", "--json"],
    ]
    for said in each_on_terminal(place, commands).values():
        assert_harmless(said)
    for piped in place.each(commands):
        assert_harmless(piped.replace("\t", ""))


@pytest.mark.parametrize("columns", [60, 80, 140])
def test_the_list_shows_model_and_tokens(stored: Stored, columns: int) -> None:
    place = stored(*two_turns(), openai_call(3, "Why?", usage=False), http_flow(4, request={"path": "/telemetry"}))
    rows = [line.split("\t") for line in place.lines("flows", "list")]
    assert [row[5:8] for row in rows] == [
        ["claude-code", "claude-sonnet-4-5", "1.6k"],
        ["claude-code", "claude-sonnet-4-5", "1.5k"],
        ["openai-python", "gpt-4o", "~11"],
        ["claude-code", "", ""],
    ]
    said = on_terminal(place, "flows", "list", columns=columns, NO_COLOR="1")
    assert all(len(line) <= columns for line in said.splitlines())
    assert "~ estimated" in said


def test_a_list_without_model_calls_has_no_columns_for_them(stored: Stored) -> None:
    place = stored(http_flow(1, request={"path": "/telemetry"}))
    assert "Model" not in on_terminal(place, "flows", "list", columns=140)


def test_context_as_json_is_json(stored: Stored) -> None:
    place = stored(anthropic_call(1, [user("hi")], SAYS, body={"model": "no-such-model-1"}))
    context = json.loads(place.run("flows", "context", flow_id(1), "--json").stdout)
    assert context["call"]["price"]["dollars"] is None
    assert "unknown" in on_terminal(place, "flows", "context", flow_id(1))
