"""`report` and `limits` on a real store."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest

from ccinspect.analysis.query import REPORTS
from ccinspect.cli.understanding.report_commands import GROUPS
from tests.cli.conftest import Place, Stored, flow_id, http_flow
from tests.cli.model_calls import JSON, anthropic_call, openai_call, two_turns, user
from tests.cli.screens import each_on_terminal, on_terminal

SAYS = [{"type": "text", "text": "Hello."}]


def table(said: str) -> dict[str, list[str]]:
    """Cells of a table on a terminal by their row's key."""
    rows = [re.split(r"  +", line.strip()) for line in said.splitlines() if "  " in line]
    return {row[0]: row[1:] for row in rows}


def test_the_groups_of_the_help_are_those_there_are() -> None:
    assert GROUPS == REPORTS


def test_tokens_and_money_add_up(stored: Stored) -> None:
    place = stored(*two_turns(), openai_call(3, "Why?"))
    report = place.json("report")
    rows = {row["key"]: row for row in report["rows"]}
    assert rows.keys() == {"claude-sonnet-4-5", "gpt-4o"}
    claude = rows["claude-sonnet-4-5"]
    assert (claude["calls"], claude["counts"]["context"], claude["counts"]["output"]) == (2, 2990, 100)
    # 190 new at $3, 1,400 written at $3.75, 1,400 read at $0.30, 100 out at $15, for a million each.
    assert claude["dollars"] == pytest.approx((190 * 3 + 1400 * 3.75 + 1400 * 0.3 + 100 * 15) / 1e6)
    assert report["total"]["calls"] == 3
    assert report["total"]["dollars"] == pytest.approx(sum(row["dollars"] for row in rows.values()))


@pytest.mark.parametrize("columns", [80, 140])
def test_every_report_fits_its_terminal(stored: Stored, columns: int) -> None:
    place = stored(*two_turns(), openai_call(3, "Why?", usage=False, model="a-model-with-" + "a-long-name-" * 9))
    commands = [["report", "--by", by] for by in GROUPS]
    for words, said in each_on_terminal(place, commands, columns, NO_COLOR="1").items():
        assert said, words
        assert all(len(line) <= columns for line in said.splitlines()), words


def test_every_report_can_be_csv(stored: Stored) -> None:
    place = stored(*two_turns())
    for by, said in zip(GROUPS, place.each([["report", "--by", by, "--csv"] for by in GROUPS]), strict=True):
        [heading, *rows] = csv.reader(io.StringIO(said))
        assert heading[0] == by.replace("-", "_")
        assert all(len(row) == len(heading) for row in rows)
        assert rows or by == "session"


def test_the_report_at_80_columns(stored: Stored) -> None:
    place = stored(*two_turns(), openai_call(3, "Why?", usage=False), openai_call(4, "Why?", model="no-such-model-1"))
    rows = table(on_terminal(place, "report", NO_COLOR="1"))
    assert rows["Model"][:5] == ["Calls", "Context", "Cached", "Output", "Cost"]
    assert rows["claude-sonnet-4-5"][:4] == ["2", "3.0k", "47%", "100"]
    estimated = rows["gpt-4o"]
    assert estimated[1].startswith("~")
    assert estimated[4].startswith("~$") or estimated[4].startswith("~<$")
    assert rows["no-such-model-1"][4] == "unknown"
    assert rows["total"][4].endswith("+?")


def test_what_only_counts_tokens_is_no_spend(stored: Stored) -> None:
    counting = anthropic_call(2, [user("hi")], [], path="/v1/messages/count_tokens", body={"max_tokens": None})
    counting["response_body"] = b'{"input_tokens": 5000}'
    place = stored(anthropic_call(1, [user("hi")], SAYS), counting)
    report = place.json("report")
    assert report["total"]["calls"] == 1
    assert report["total"]["counts"]["context"] == 1500
    assert report["total"]["uncounted"] == 1
    assert "1 call that only counted tokens" in on_terminal(place, "report")


def test_csv_is_whole_plain_and_obeyed_by_no_spreadsheet(stored: Stored) -> None:
    place = stored(anthropic_call(1, [user("hi")], SAYS, body={"model": "=cmd|' /C calc'!A1"}), openai_call(2, "Why?"))
    done = place.run("report", "--csv")
    rows = list(csv.DictReader(io.StringIO(done.stdout.decode())))
    assert {row["model"] for row in rows} == {"'=cmd|' /C calc'!A1", "gpt-4o"}
    by_model = {row["model"]: row for row in rows}
    assert by_model["gpt-4o"]["context"] == "20"
    assert by_model["gpt-4o"]["basis"] == "provider"
    assert by_model["'=cmd|' /C calc'!A1"]["dollars"] == ""


def test_who_is_phoned(stored: Stored) -> None:
    place = stored(
        *two_turns(),
        http_flow(3, request={"path": "/telemetry", "host": "statsig.example", "pretty_host": "statsig.example"}),
        http_flow(
            4,
            type="dns",
            request={"question": {"name": "pastebin.example", "type": "A"}},
            response={"response_code": "NOERROR", "answers": []},
        ),
        http_flow(5, type="tcp", request=None, response=None, opaque=True),
    )
    report = place.json("report", "--by", "host")
    rows = {row["key"]: row for row in report["rows"]}
    assert rows["api.anthropic.com"]["calls"] == 2
    assert rows["api.anthropic.com"]["opaque"] == 1
    assert rows["statsig.example"]["flows"] == 1
    assert rows["pastebin.example"]["types"] == {"dns": 1}


def test_tools_that_are_carried_and_never_called(stored: Stored) -> None:
    place = stored(*two_turns())
    rows = {row["key"]: row for row in place.json("report", "--by", "tool")["rows"]}
    assert rows["Bash"]["calls"] == 1
    assert rows["Bash"]["unused_tokens"] == 0
    assert rows["github/search"]["calls"] == 0
    assert rows["github/search"]["unused_tokens"] > 0
    servers = {row["key"]: row for row in place.json("report", "--by", "mcp-server")["rows"]}
    assert servers["github"]["unused_turns"] == 2


def test_a_report_of_nothing(place: Place) -> None:
    for words in (["report"], ["report", "--by", "host"], ["limits"], ["conversations", "list"], ["session", "list"]):
        done = place.run(*words)
        assert (done.returncode, done.stdout) == (0, b""), words
        assert done.stderr.startswith(b"ccinspect: ")
        assert json.loads(place.run(*words, "--json").stdout) is not None


@pytest.mark.parametrize(
    "words",
    [["--by", "moon"], ["--json", "--csv"], ["--since", "yestermorning"], ["--run", "nope"], ["--session", "x"]],
)
def test_a_wrong_report_is_explained(stored: Stored, words: list[str]) -> None:
    place = stored(*two_turns())
    done = place.run("report", *words)
    assert done.returncode in (1, 2)
    assert done.stderr.startswith(b"ccinspect: ")
    assert b"Traceback" not in done.stderr


def limited(number: int, left: str) -> dict[str, object]:
    headers = [
        *JSON,
        [b"anthropic-ratelimit-tokens-limit", b"80000"],
        [b"anthropic-ratelimit-tokens-remaining", left.encode()],
        [b"anthropic-ratelimit-tokens-reset", b"2035-01-01T00:00:00Z"],
        [b"anthropic-ratelimit-unified-5h-utilization", b"0.93"],
        [b"anthropic-ratelimit-unified-5h-status", b"allowed_warning"],
        [b"anthropic-ratelimit-unified-5h-reset", b"2051222400"],
    ]
    call = anthropic_call(number, [user("hi")], SAYS, headers=[[b"x-api-key", b"sk-ant-api03-abcdefghijklmnop-0001"]])
    call["flow"]["response"]["headers"] = headers
    return call


def test_limits_are_the_newest_word(stored: Stored) -> None:
    place = stored(limited(1, "70000"), limited(2, "20000"))
    [account] = place.json("limits")
    assert account["provider"] == "anthropic"
    states = {limit["name"]: limit for limit in account["limits"]}
    assert states["tokens"]["remaining"] == 20000
    assert states["unified-5h"]["used"] == 0.93
    assert "sk-ant" not in json.dumps(account)
    said = on_terminal(place, "limits", columns=140, NO_COLOR="1")
    assert re.search(r"tokens +75% +█+░+ +20,000 +80,000", said)
    assert re.search(r"unified-5h +93%", said)
    for line in on_terminal(place, "limits", NO_COLOR="1").splitlines():
        assert len(line) <= 80


def test_analysing_again_changes_nothing(place: Place) -> None:
    place.record(*two_turns())
    before = place.json("report")
    done = place.run("reanalyse")
    assert done.returncode == 0, done.stderr
    assert b"2 flows analysed" in done.stderr
    assert place.json("report") == before
    assert flow_id(1) == place.json("conversations", "list")[0]["id"]
