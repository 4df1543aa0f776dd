"""`session` on a real store."""

from __future__ import annotations

import time

from tests.cli.conftest import START, Place
from tests.cli.model_calls import two_turns
from tests.cli.screens import on_terminal


def now(calls: list[dict[str, object]]) -> list[dict[str, object]]:
    """The same calls, as if they were made now, a thousand times as fast: none is yet to come."""
    for call in calls:
        flow = call["flow"]
        assert isinstance(flow, dict)
        flow["timing"] = {key: (value - START) / 1000 + time.time() for key, value in flow["timing"].items()}
    return calls


def test_calls_between_start_and_end_belong_to_it(place: Place) -> None:
    place.record(*two_turns())
    assert place.run("session", "start", "work").returncode == 0
    assert place.run("session", "start", "web only", "--project", "web").returncode == 0
    later = now(two_turns())
    for number, call in enumerate(later):
        call["flow"]["id"] = f"cafe{number}000-0000-4000-8000-000000000000"  # type: ignore[index]
    place.record(*later)
    work, web = place.json("session", "list")
    assert (work["name"], work["ended_at"], work["spend"]["calls"]) == ("work", None, 2)
    assert (web["project"], web["spend"]["calls"]) == ("web", 0)
    assert place.run("session", "end", "work").returncode == 0
    shown = place.json("session", "show", "work")
    assert shown["ended_at"] > shown["started_at"]
    assert [row["key"] for row in shown["by_model"]] == ["claude-sonnet-4-5"]
    assert [tool["name"] for tool in shown["unused"]["tools"]] == ["search"]
    assert place.json("report", "--session", "work")["total"]["calls"] == 2
    assert place.json("report")["total"]["calls"] == 4
    said = on_terminal(place, "session", "show", "work", NO_COLOR="1")
    assert "1 tool never called" in said
    assert all(len(line) <= 80 for line in said.splitlines())
    assert all(len(line) <= 80 for line in on_terminal(place, "session", "list", NO_COLOR="1").splitlines())


def test_an_archived_one_is_out_of_the_way(place: Place) -> None:
    place.record(*two_turns())
    place.run("session", "start", "work")
    assert place.run("session", "archive", "work").returncode == 0
    assert place.json("session", "list") == []
    [work] = place.json("session", "list", "--all")
    assert work["archived"]
    assert work["ended_at"] is not None


def test_mistakes_are_explained(place: Place) -> None:
    place.record(*two_turns())
    place.run("session", "start", "work")
    for words in (
        ["start", "work"],
        ["end", "play"],
        ["show", "play"],
        ["archive", "play"],
        ["start", "x", "--run", "no"],
    ):
        done = place.run("session", *words)
        assert done.returncode in (1, 2), words
        assert done.stderr.startswith(b"ccinspect: ")
        assert b"Traceback" not in done.stderr
