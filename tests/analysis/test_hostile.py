"""Flows that want the analyst to stop, to raise, or to run for ever: each leaves a row, and the next is analysed."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from ccinspect.analyser.analyse import Analyser, Exchange, Result
from ccinspect.analysis.analyst import Analyst
from ccinspect.analysis.options import AnalysisOptions
from ccinspect.analysis.query import Analysis, open_analysis
from ccinspect.store.selection import Selection
from tests.analysis.stored import MODEL, analysed, anthropic_call, assistant, fill, http_call, user

EVERYTHING = Selection()
OPTIONS = AnalysisOptions()
SECONDS = 30.0
"""Processor time; the slowest takes a tenth of that on an idle machine."""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


def asked(**fields: Any) -> bytes:
    return json.dumps({"model": MODEL, "max_tokens": 9, "messages": [user("hello")]} | fields).encode()


def blocks(*texts: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": "text", "text": text} for text in texts]}]


def called(name: str, arguments: dict[str, Any], times: int) -> list[dict[str, Any]]:
    uses = [{"type": "tool_use", "id": f"toolu_{at}", "name": name, "input": arguments} for at in range(times)]
    return [user("go"), {"role": "assistant", "content": uses}]


NESTED = '{"a":' * 190 + "1" + "}" * 190
HOSTILE = {
    "a run of letters": lambda: asked(messages=blocks("qzxjkv" * 3_400)),
    "no UTF-8": lambda: asked().replace(b"hello", b"\xff\xfe\xf0\x9f\x80\xc3(" * 100_000),
    "deep": lambda: b'{"model": "m", "messages": ' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}",
    "deep but allowed": lambda: asked(tools=[{"name": "t", "input_schema": json.loads(NESTED)}]),
    "100,000 blocks": lambda: asked(messages=blocks(*(f"block {at}" for at in range(100_000)))),
    "100,000 messages": lambda: asked(messages=[user("x"), assistant("y")] * 50_000),
    "10,000 tools": lambda: asked(tools=[{"name": f"mcp__s{at}__t", "input_schema": {}} for at in range(10_000)]),
    "file names": lambda: asked(messages=blocks("<file path='" + "a/" * 50_000 + "\n" * 9 + "```" + "../" * 50_000)),
    "file of a tool": lambda: asked(messages=called("Read", {"file_path": "(" * 100_000 + "a+" * 50_000}, 3)),
    "command lines": lambda: asked(messages=called("Bash", {"command": "'\"\\`$((" * 20_000}, 20)),
    "open fences": lambda: asked(messages=blocks("```a.py\n" * 200_000)),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_requests_take_bounded_time(store: Path, name: str) -> None:
    fill(store, *http_call("api.anthropic.com", "/v1/messages", HOSTILE[name](), {"type": "message", "content": []}))
    fill(store, *anthropic_call(user("and another")))
    start = time.process_time()
    with analysed(store) as analysis:
        assert time.process_time() - start < SECONDS
        hostile, harmless = analysis.calls(EVERYTHING)
        assert (hostile.provider, harmless.readable) == ("anthropic", True)
        analysis.open_call(hostile.id)
        analysis.conversation(hostile.id)
        for by in ("tool", "mcp-server", "model"):
            analysis.report(by, EVERYTHING)


@pytest.mark.slow
def test_a_body_of_100_megabytes_is_known_by_its_metadata(store: Path) -> None:
    body = b'{"model": "m", "messages": [{"role": "user", "content": "' + b"some words " * 9_100_000 + b'"}]}'
    fill(store, *http_call("api.anthropic.com", "/v1/messages", body, {"type": "message", "content": []}))
    with analysed(store) as analysis:
        [call] = analysis.calls(EVERYTHING)
    assert (call.readable, call.kind, call.status) == (False, "generate", 200)
    assert call.note is not None
    assert "larger than" in call.note


def test_a_fault_of_ours_costs_one_flow(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever analyses, the daemon's process or a command: neither stops, and none of the other flows is lost."""
    fill(store, *(anthropic_call(user("one"))[0], anthropic_call(user("faulty"))[0], anthropic_call(user("three"))[0]))
    _make_faulty(monkeypatch)
    with open_analysis(store, OPTIONS) as analysis:
        one, faulty, three = analysis.calls(EVERYTHING)
        assert analysis.behind() == 0
    assert (one.readable, faulty.readable, three.readable) == (True, False, True)
    assert (faulty.provider, faulty.status) == ("anthropic", 200)
    assert faulty.note is not None
    assert "fault of ccinspect (ZeroDivisionError at test_hostile.py:" in faulty.note


def _make_faulty(monkeypatch: pytest.MonkeyPatch) -> None:
    analyse = Analyser.analyse

    def faulty(self: Analyser, exchange: Exchange) -> Result:
        if "faulty" in str(exchange.request.messages):
            raise ZeroDivisionError
        return analyse(self, exchange)

    monkeypatch.setattr(Analyser, "analyse", faulty)


def test_a_body_that_the_disk_has_lost_costs_one_flow(store: Path) -> None:
    fill(store, *anthropic_call(user("lost")), *anthropic_call(user("kept")))
    with closing(sqlite3.connect(store / "flows.db")) as db:
        (lost,) = db.execute("SELECT request_body FROM flows ORDER BY id LIMIT 1").fetchone()
        db.execute("UPDATE bodies SET hash = x'00' WHERE id = ?", (lost,))
        db.commit()
    with open_analysis(store, OPTIONS) as analysis:
        first, second = analysis.calls(EVERYTHING)
    assert (first.readable, second.readable) == (False, True)
    assert first.note is not None
    assert "damaged" in first.note


def test_a_record_that_the_disk_has_lost_costs_one_flow(store: Path) -> None:
    fill(store, *anthropic_call(user("lost")), *anthropic_call(user("kept")))
    with closing(sqlite3.connect(store / "flows.db")) as db:
        db.execute("UPDATE flows SET record = x'01ff00ff' WHERE id = (SELECT min(id) FROM flows)")
        db.commit()
    with open_analysis(store, OPTIONS) as analysis:
        [call] = analysis.calls(EVERYTHING)
        assert analysis.behind() == 0
    assert call.readable


def test_a_flow_that_is_removed_while_it_is_read_leaves_nothing(store: Path) -> None:
    fill(store, *anthropic_call(user("one")), *anthropic_call(user("two")))

    @contextmanager
    def clearing() -> Iterator[None]:
        with closing(sqlite3.connect(store / "flows.db")) as db:
            db.execute("DELETE FROM flows")
            db.commit()
        yield

    with Analyst.open(store, OPTIONS, guard=clearing) as analyst:
        assert analyst is not None
        analyst.catch_up()
        analyst.remove_gone()
    with closing(sqlite3.connect(store / "analysis.db")) as db:
        for table in ("parties", "calls", "turns", "turn_keys", "prefixes", "composition", "waiting", "attempts"):
            assert db.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table


def test_a_clock_that_jumps_back_breaks_nothing(store: Path) -> None:
    history = [user("Write a poem about a lighthouse."), assistant("Done."), user("And one about the sea.")]
    usage = {"input_tokens": 5, "cache_read_input_tokens": 900, "cache_creation_input_tokens": 90, "output_tokens": 5}
    later, earlier = ({"started_at": at, "ended_at": at - 50.0, "first_byte_at": at - 60.0} for at in (9000.0, 500.0))
    fill(store, *anthropic_call(history[0], usage=usage, timing=later))
    fill(store, *anthropic_call(*history, usage=usage | {"cache_read_input_tokens": 0}, timing=earlier))
    with analysed(store) as analysis:
        second, first = analysis.calls(EVERYTHING)
        assert (second.conversation, second.parent, second.turn) == (first.id, first.id, 2)
        assert (first.duration, first.first_byte) == (0.0, 0.0)
        tree = analysis.conversation(first.id)
        assert {node.call.id for node in tree.turns} == {first.id, second.id}
        analysis.cache(second.id)
        assert analysis.report("day", EVERYTHING).total.calls == 2


def test_an_interrupted_analysis_goes_on_where_it_was(store: Path) -> None:
    fill(store, *(message for at in range(120) for message in anthropic_call(user(f"question {at}"))))
    seen: list[tuple[int, int]] = []

    def interrupt(done: int, total: int) -> None:
        seen.append((done, total))
        if done == 80:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), open_analysis(store, OPTIONS, interrupt):
        pass
    assert seen[-1] == (80, 120)
    with Analysis(store, OPTIONS) as analysis:
        kept = len(analysis.calls(EVERYTHING))
    # What is kept depends on the time, too: at most 50 flows, or a quarter of a second, go together.
    assert 0 < kept <= 80
    seen.clear()
    with open_analysis(store, OPTIONS, lambda done, total: seen.append((done, total))) as analysis:
        assert len({call.id for call in analysis.calls(EVERYTHING)}) == 120
    assert seen[0] == (1, 120 - kept)
