"""A conversation as rows of a table: its turns, and below each what it started."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ccinspect.analysis.results import Call, ConversationTree, TurnNode
from ccinspect.cli import text
from ccinspect.cli.jsonable import jsonable
from ccinspect.cli.output import CYAN, DIM, GREEN, RED, YELLOW
from ccinspect.cli.table import Cell, Column
from ccinspect.cli.understanding import amounts, bars
from ccinspect.cli.understanding.calls import cost, outcome_cell, short_id, words_of

COLUMNS = (
    Column("Turn", least=18),
    Column("Call"),
    Column("Context", "right"),
    Column("Growth", "right", sacrifice=3),
    Column("", sacrifice=5),
    Column("Cached", "right"),
    Column("Cache", least=7, sacrifice=1),
    Column("Output", "right"),
    Column("Cost", "right"),
    Column("Ended", least=8, sacrifice=2),
    Column("Took", "right", sacrifice=4),
    Column("Model", least=8, sacrifice=7),
    Column("Started", sacrifice=6),
)
_PURPOSES = {"user_turn": "user", "tool_continuation": "tools"}
_GAUGE = 12
_DEEPEST = 40
"""Levels of a tree that are shown; a tree as deep as this is somebody's joke."""

_VERDICTS = {
    "first_turn": "first",
    "no_previous": "?",
    "not_reported": "-",
    "too_small": "small",
    "not_cached": "not kept",
    "tools_changed": "tools",
    "system_changed": "system",
    "history_changed": "history",
    "model_changed": "model",
    "settings_changed": "settings",
    "no_marker": "unmarked",
    "marker_too_far": "too far",
}
"""In one word what `cache` explains; those that are not here are one word already."""
_GOOD = frozenset(("hit", "first_turn"))
_SILENT = frozenset(("not_reported", "no_previous", "too_small"))


@dataclass(frozen=True)
class _Style:
    """`graphic`: with guides and bars, for eyes. `peak` is the context that fills a bar."""

    graphic: bool
    peak: int


def rows(tree: ConversationTree, *, graphic: bool) -> Iterator[list[str | Cell]]:
    """The cells of COLUMNS for each call, in the order of the tree."""
    yield from _conversation_rows(tree, "", _Style(graphic, max(1, tree.summary.context_peak)), 0)


def all_calls(tree: ConversationTree) -> Iterator[Call]:
    """Every call of the tree."""
    pending = [tree]
    while pending:
        for node in pending.pop().turns:
            yield node.call
            yield from node.retries
            pending += node.children


def as_json(tree: ConversationTree) -> dict[str, Any]:
    """The tree as JSON values, cut where it is deeper than anything sensible."""
    return _as_json(tree, 0)


def _as_json(tree: ConversationTree, depth: int) -> dict[str, Any]:
    turns = [
        {
            "call": jsonable(node.call),
            "cache": jsonable(node.cache),
            "retries": jsonable(node.retries),
            "children": [_as_json(child, depth + 1) for child in node.children] if depth < _DEEPEST else [],
        }
        for node in tree.turns
    ]
    return {"summary": jsonable(tree.summary), "title": tree.title, "turns": turns}


def _conversation_rows(tree: ConversationTree, guide: str, style: _Style, depth: int) -> Iterator[list[str | Cell]]:
    before = 0
    for index, node in enumerate(tree.turns):
        last = index == len(tree.turns) - 1
        label = f"{node.call.turn} {_PURPOSES.get(node.call.purpose) or words_of(node.call.purpose)}"
        yield _row(node.call, node, guide + label, before, style)
        before = node.call.counts.context or before
        inner = guide + ("│ " if style.graphic and not last else "  ")
        for retry in node.retries:
            yield _row(retry, None, f"{inner}retry", 0, style)
        for child in node.children:
            yield from _child_rows(child, inner, style, depth + 1)


def _child_rows(child: ConversationTree, guide: str, style: _Style, depth: int) -> Iterator[list[str | Cell]]:
    if depth > _DEEPEST:
        return
    kind = words_of(child.summary.relation)
    if len(child.turns) == 1 and not child.turns[0].children and not child.turns[0].retries:
        only = child.turns[0]
        name = words_of(only.call.purpose) if child.summary.relation == "side_call" else kind
        yield _row(only.call, only, f"{guide}{'└ ' if style.graphic else ''}{name}", 0, style)
        return
    yield _heading(child, f"{guide}{'└ ' if style.graphic else ''}{kind}")
    yield from _conversation_rows(child, f"{guide}  ", style, depth)


def _heading(child: ConversationTree, label: str) -> list[str | Cell]:
    """What a sub-agent or a branch came to as a whole."""
    summary = child.summary
    basis = summary.counts.basis
    cells: list[str | Cell] = [Cell(label, YELLOW), Cell(short_id(summary.id), CYAN)]
    cells += [amounts.short(summary.context_peak, basis), "", "", amounts.rate(summary.counts.cache_hit_rate), ""]
    cells += [amounts.short(summary.counts.output, basis), amounts.money(summary.dollars, summary.unpriced, basis)]
    took = text.duration(summary.ended_at - summary.started_at)
    return [*cells, text.count(summary.turns, "turn"), took, ", ".join(summary.models), ""]


def _row(call: Call, node: TurnNode | None, label: str, before: int, style: _Style) -> list[str | Cell]:
    counts = call.counts
    growth = counts.context - before
    report = node.cache if node else None
    verdict = str(report.verdict) if report else ""
    colour = GREEN if verdict in _GOOD else DIM if verdict in _SILENT else RED
    return [
        label,
        Cell(short_id(call.id), CYAN),
        amounts.short(counts.context, counts.basis),
        ("+" if growth >= 0 else "-") + text.size(abs(growth)) if before else "",
        _gauge(counts.context, style),
        amounts.rate(counts.cache_hit_rate),
        Cell(_VERDICTS.get(verdict, verdict), colour),
        amounts.short(counts.output, counts.basis),
        cost(call),
        outcome_cell(call),
        text.duration(call.duration),
        call.model or "",
        Cell(text.moment(call.started_at), DIM),
    ]


def _gauge(context: int, style: _Style) -> str | Cell:
    if not style.graphic:
        return ""
    return Cell(bars.BLOCK * min(_GAUGE, round(_GAUGE * context / style.peak)), GREEN)
