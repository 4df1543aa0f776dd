"""`cache`: why the prompt cache hit or missed."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from decimal import Decimal

from ccinspect.analyser.cache_misses import CacheReport, Verdict
from ccinspect.analysis.results import CacheExplanation
from ccinspect.cli import text
from ccinspect.cli.instance import Instance
from ccinspect.cli.jsonable import jsonable
from ccinspect.cli.output import (
    BOLD,
    CYAN,
    DIM,
    GREEN,
    RED,
    YELLOW,
    paint,
    terminal_width,
    write,
    write_json,
    write_notes,
    write_table,
)
from ccinspect.cli.table import Cell, Column
from ccinspect.cli.understanding import amounts, calls
from ccinspect.cli.understanding.analysing import open_analysis
from ccinspect.cli.understanding.calls import short_id, words_of

COLUMNS = (
    Column("Turn", "right"),
    Column("Call"),
    Column("Cache", least=7),
    Column("Expected", "right"),
    Column("Read", "right"),
    Column("Missed", "right"),
    Column("Cost", "right"),
    Column("Changed at", least=10, sacrifice=1),
    Column("After", "right", sacrifice=2),
    Column("Kept for", "right", sacrifice=3),
)

EXPLANATIONS = {
    Verdict.HIT: "What could be read from the cache was read from it.",
    Verdict.FIRST: "It is the first turn: there was nothing to read yet.",
    Verdict.NO_PREVIOUS: "The turn before it was not captured, so there is nothing to compare with.",
    Verdict.NOT_REPORTED: "The provider says nothing about its cache.",
    Verdict.TOO_SMALL: "What it shares with the turn before is shorter than what this model caches.",
    Verdict.NOT_CACHED: "The provider told of nothing that it kept of the turn before, though it could have.",
    Verdict.TOOLS_CHANGED: "A tool definition changed. Tools come first: nothing behind the change could be read.",
    Verdict.SYSTEM_CHANGED: "The system prompt changed: nothing behind the change could be read.",
    Verdict.HISTORY_CHANGED: "An earlier message changed: nothing behind the change could be read.",
    Verdict.MODEL_CHANGED: "The model changed: each model has a cache of its own.",
    Verdict.SETTINGS_CHANGED: "Tool choice, thinking or output format changed: this invalidates the messages.",
    Verdict.NO_MARKER: "Nothing was marked to be cached, now or the turn before; this provider caches what is marked.",
    Verdict.MARKER_TOO_FAR: "More blocks were added than the provider looks back from a cache marker.",
    Verdict.EXPIRED: "It came later than the cache keeps what it was given.",
    Verdict.EVICTED: "Nothing changed and it was in time: the provider did not serve it all the same.",
}
_PIPE_COLUMNS = 100
_FINE = (Verdict.HIT, Verdict.FIRST)
_NO_MISS = (*_FINE, Verdict.NO_PREVIOUS, Verdict.NOT_REPORTED, Verdict.TOO_SMALL)


def show(instance: Instance, ident: str, as_json: bool) -> None:
    """Explain one call. Raises FlowNotFound, AmbiguousFlowId, NoModelCall."""
    with open_analysis(instance) as analysis:
        found = analysis.cache(ident)
    if as_json:
        write_json(jsonable(found))
        return
    for line in lines(found, terminal_width() if sys.stdout.isatty() else _PIPE_COLUMNS):
        write(line)


def show_conversation(instance: Instance, ident: str, as_json: bool) -> None:
    """One line for each call of a conversation. Raises FlowNotFound, AmbiguousFlowId, NoModelCall."""
    with open_analysis(instance) as analysis:
        found = analysis.cache_of_conversation(ident)
    if as_json:
        write_json(jsonable(found))
        return
    write_table(COLUMNS, [_row(each) for each in found])
    missed = [each.report for each in found if each.report.verdict not in _NO_MISS]
    write_notes(_sum(missed) if missed else "")


def _sum(missed: list[CacheReport]) -> str:
    known = [report.cost for report in missed if report.cost is not None]
    money = amounts.money(sum(known, Decimal(0)) if known else None, len(missed) - len(known))
    tokens = sum(report.missed for report in missed)
    return f"{text.count(len(missed), 'call')} missed {tokens:,} tokens: {money} more than reading them"


def _row(each: CacheExplanation) -> list[str | Cell]:
    report = each.report
    missed = report.verdict not in _NO_MISS
    return [
        str(each.call.turn or ""),
        Cell(short_id(each.call.id), CYAN),
        Cell(words_of(report.verdict), _colour(report.verdict)),
        text.size(report.expected),
        text.size(report.read),
        text.size(report.missed) if missed else "-",
        amounts.money(report.cost) if missed else "-",
        report.changed_at or report.changed_from or "",
        text.duration(report.age),
        text.duration(report.ttl),
    ]


def _colour(verdict: Verdict) -> str:
    return GREEN if verdict in _FINE else DIM if verdict in _NO_MISS else RED


def lines(found: CacheExplanation, columns: int) -> Iterator[str]:
    """Everything that is known about the cache in one call, clean; words of ours are broken at `columns`."""
    report = found.report
    yield paint(text.shorten(text.clean(f"cache of {calls.heading(found.call)}"), columns), BOLD)
    yield f"  {paint(words_of(report.verdict), _colour(report.verdict))}"
    for line in textwrap.wrap(EXPLANATIONS[report.verdict], max(20, columns - 2)):
        yield f"  {line}"
    if found.previous is not None:
        yield _fact("before", f"{short_id(found.previous.id)}, turn {found.previous.turn}, {_ages(report)}")
    if report.verdict is not Verdict.NOT_REPORTED:
        yield _fact("expected", f"{report.expected:>10,} tokens, left in the cache by the turn before")
        yield _fact("read", f"{report.read:>10,} tokens")
    if report.verdict not in _NO_MISS:
        yield _fact("missed", f"{report.missed:>10,} tokens: {amounts.money(report.cost)} more than reading them", RED)
    if report.shared:
        unchanged = text.count(report.blocks_shared, "block")
        yield _fact("same", f"{report.shared:>10,} tokens at the beginning are as before ({unchanged})")
    yield _fact("markers", ", ".join(report.markers) or "none in this request")
    if report.changed_at or report.changed_from:
        yield from _difference(found)


def _ages(report: CacheReport) -> str:
    kept = f"; kept for at least {text.duration(report.ttl)}" if report.ttl is not None else ""
    return f"{text.duration(report.age)} earlier{kept}"


def _difference(found: CacheExplanation) -> Iterator[str]:
    report = found.report
    what = f"{found.changed}: " if found.changed else ""
    places = f"{report.changed_at or 'nothing'} here, {report.changed_from or 'nothing'} before"
    yield _fact("changed", f"{what}{places}", YELLOW)
    if found.diff is None:
        return
    yield ""
    for line in text.clean_lines(found.diff).split("\n"):
        colour = {"-": RED, "+": GREEN, "@": CYAN}.get(line[:1], "")
        yield f"    {paint(line, colour)}"


def _fact(label: str, value: str, colour: str = "") -> str:
    return f"  {label:<9} {paint(text.clean(value), colour)}"
