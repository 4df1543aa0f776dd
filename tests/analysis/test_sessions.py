"""Named sessions: what belongs to them, and what a person may do with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ccinspect.analysis.options import AnalysisOptions
from ccinspect.analysis.query import Analysis, archive_session, end_session, reanalyse, start_session
from ccinspect.errors import SessionError
from ccinspect.store.selection import Selection
from tests.analysis.stored import Message, analysed, anthropic_call, fill, user
from tests.store import records

EVERYTHING = Selection()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


def at(second: float, **changes: object) -> list[Message]:
    timing = {"started_at": second, "ended_at": second + 1, "first_byte_at": second}
    return anthropic_call(user(f"question {second}"), timing=timing, **changes)  # type: ignore[arg-type]


def test_calls_belong_to_every_session_that_was_open(store: Path) -> None:
    fill(store, *at(100), *at(200), *at(300), *at(400))
    start_session(store, "long", 150)
    start_session(store, "short", 250)
    end_session(store, "short", 350)
    with analysed(store) as analysis:
        spent = {one.name: one.spend.calls for one in analysis.sessions() if one.spend}
        chosen = [call.started_at for call in analysis.calls(EVERYTHING, session="short")]
        report = analysis.report("session", EVERYTHING)
        inside = analysis.report("day", EVERYTHING, session="long").total.calls
    assert spent == {"long": 3, "short": 1}
    assert chosen == [300]
    assert {row.key: row.calls for row in report.rows} == {"long": 3, "short": 1, "": 1}
    assert (report.total.calls, inside) == (4, 3)


def test_a_session_may_hold_only_a_run_or_a_project(store: Path) -> None:
    runs = [records.run(name="first", project="moon"), records.run(name="second", project="sun")]
    fill(store, *({"kind": "run_started", "run": run} for run in runs))
    fill(store, *at(100, run=runs[0]["id"]), *at(200, run=runs[1]["id"]), *at(300))
    start_session(store, "by name", 0, run="first")
    start_session(store, "by id", 0, run=runs[1]["id"][:8])
    start_session(store, "by project", 0, project="sun")
    with analysed(store) as analysis:
        times = {
            name: [call.started_at for call in analysis.calls(EVERYTHING, session=name)]
            for name in ("by name", "by id", "by project")
        }
    assert times == {"by name": [100], "by id": [200], "by project": [200]}


def test_a_request_may_name_its_session_itself(store: Path) -> None:
    fill(store, *at(100, said={"session": "mine"}), *at(200))
    start_session(store, "mine", 150)
    with analysed(store) as analysis:
        assert analysis.session("mine").spend is not None
        assert [call.started_at for call in analysis.calls(EVERYTHING, session="mine")] == [100, 200]


def test_names_are_told_apart_and_mistakes_told(store: Path) -> None:
    start_session(store, "one", 1)
    with pytest.raises(SessionError, match="open"):
        start_session(store, "one", 2)
    end_session(store, "one", 3)
    with pytest.raises(SessionError, match="already"):
        start_session(store, "one", 4)
    with pytest.raises(SessionError, match="ended already"):
        end_session(store, "one", 5)
    with pytest.raises(SessionError, match="no session"):
        end_session(store, "other", 5)
    for name in ("", "  ", "a\x1b[31m", "x" * 201):
        with pytest.raises(SessionError, match="no name"):
            start_session(store, name, 1)
    with Analysis(store, AnalysisOptions()) as analysis, pytest.raises(SessionError):
        analysis.calls(EVERYTHING, session="other")


def test_archived_sessions_are_kept_but_not_listed(store: Path) -> None:
    fill(store, *at(100))
    start_session(store, "old", 50)
    archive_session(store, "old", 150)
    with analysed(store) as analysis:
        assert analysis.sessions() == []
        [kept] = analysis.sessions(archived=True)
        assert (kept.name, kept.ended_at, kept.archived) == ("old", 150, True)
        assert len(analysis.calls(EVERYTHING, session="old")) == 1


def test_reanalysis_keeps_them(store: Path) -> None:
    fill(store, *at(100))
    start_session(store, "mine", 50)
    (store / "analysis.db").unlink(missing_ok=True)
    assert reanalyse(store, AnalysisOptions(), None) == 1
    with Analysis(store, AnalysisOptions()) as analysis:
        assert [one.name for one in analysis.sessions()] == ["mine"]
