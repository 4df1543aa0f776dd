"""`flows context`: what was in the context window of a model call, as a bar and as tables."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping

from ccinspect.analyser.composition import Category, Composition
from ccinspect.analysis.results import Context
from ccinspect.cli import table, text
from ccinspect.cli.instance import Instance
from ccinspect.cli.jsonable import jsonable
from ccinspect.cli.output import BOLD, DIM, colours_on, note_lines, paint, terminal_width, write, write_json
from ccinspect.cli.table import Cell, Column
from ccinspect.cli.understanding import amounts, bars, calls
from ccinspect.cli.understanding.analysing import open_analysis

UNATTRIBUTED = "unattributed"
TOP = 8
"""Entries of each of the smaller tables, unless all are wanted."""

# In the order in which they stand in a context: name, colour, letter.
SIGNS = {
    str(Category.TOOLS): ("tool definitions", "33", "D"),
    str(Category.SYSTEM): ("system prompt", "35", "S"),
    str(Category.HISTORY): ("conversation history", "32", "H"),
    str(Category.FILES): ("file contents", "36", "F"),
    str(Category.TOOL_RESULTS): ("tool results", "34", "R"),
    str(Category.USER): ("current user message", "92", "U"),
    str(Category.PREFILL): ("assistant prefill", "95", "P"),
    str(Category.OTHER): ("uncategorised", "90", "O"),
    UNATTRIBUTED: ("unattributed", "31", "?"),
}
# Of the composition: field, title of the table, and whether it is worth showing unasked.
_TABLES = (
    ("tools", "Tool", True),
    ("servers", "MCP server", True),
    ("files", "File", True),
    ("sources", "Source", True),
    ("kinds", "Kind", False),
    ("activities", "Activity", False),
    ("definitions", "Definition", False),
)
_MARGIN = 2


def show(instance: Instance, flow: str, everything: bool, as_json: bool) -> None:
    """Print the context of a call. Raises FlowNotFound, AmbiguousFlowId, NoModelCall."""
    with open_analysis(instance) as analysis:
        found = analysis.context(flow)
    if as_json:
        write_json(jsonable(found))
        return
    lines = page(found, everything, terminal_width()) if sys.stdout.isatty() else tab_separated(found)
    for line in lines:
        write(line)


def tab_separated(context: Context) -> Iterator[str]:
    """Table, name, tokens, percent and whose count it is: one line per entry of every table."""
    composition = context.composition
    tables: list[tuple[str, Mapping[str, int]]] = [("category", categories(composition))]
    tables += [(title.lower(), getattr(composition, name)) for name, title, _ in _TABLES]
    for title, entries in tables:
        for name, tokens in _heaviest(entries):
            share = f"{100 * tokens / composition.total:.2f}" if composition.total else "0"
            yield table.tab_separated_line([title, name, str(tokens), share, str(composition.basis)])


def page(context: Context, everything: bool, columns: int) -> Iterator[str]:
    """The whole view for a terminal of so many columns."""
    composition = context.composition
    yield paint(text.shorten(text.clean(calls.heading(context.call)), columns), BOLD)
    for line in _summary(context):
        yield text.shorten(line, columns)
    yield ""
    yield bar_line(composition, columns)
    yield ""
    yield from _category_table(context, columns)
    for name, title, unasked in _TABLES:
        entries: Mapping[str, int] = getattr(composition, name)
        if entries and (unasked or everything):
            yield ""
            yield from _detail_table(title, entries, composition, None if everything else TOP, columns)
    yield ""
    scaled = composition.basis == amounts.PROVIDER
    note = "other numbers are scaled to the provider's count" if scaled else ""
    for line in note_lines(
        columns - _MARGIN, "; ".join(filter(None, (amounts.legend([amounts.ESTIMATED_MARK]), note)))
    ):
        yield f"{' ' * _MARGIN}{line}"


def categories(composition: Composition) -> dict[str, int]:
    """Tokens by category in the order of the bar, with what is not attributed; those that are empty left out."""
    found = {name: composition.categories.get(name, 0) for name in SIGNS if name != UNATTRIBUTED}
    found |= {name: count for name, count in composition.categories.items() if name not in found}
    found[UNATTRIBUTED] = composition.unattributed
    return {name: count for name, count in found.items() if count}


def bar_line(composition: Composition, columns: int) -> str:
    """The composition as one bar across the terminal."""
    segments = [_segment(name, tokens) for name, tokens in categories(composition).items()]
    room = max(1, columns - 2 * _MARGIN)
    return " " * _MARGIN + bars.bar(segments, room, colours_on(sys.stdout))


def _segment(name: str, tokens: int) -> bars.Segment:
    _, colour, letter = SIGNS.get(name, (name, "37", "o"))
    return bars.Segment(tokens, colour, letter)


def _summary(context: Context) -> Iterator[str]:
    call, composition = context.call, context.composition
    indent = " " * _MARGIN
    total = amounts.exact(composition.total, composition.basis)
    whose = "by the provider's count" if composition.basis == amounts.PROVIDER else "by our own count"
    cached = ""
    if composition.cached:
        cached = f"; {composition.cached:,} ({amounts.share(composition.cached, composition.total)}) from its cache"
    yield f"{indent}{total} tokens in the window, {whose}{cached}"
    if composition.basis == amounts.PROVIDER:
        seen = amounts.exact(composition.visible, "estimated")
        missing = f", {composition.unattributed:,} tokens unattributed" if composition.unattributed else ""
        yield f"{indent}{seen} of them visible; coverage {composition.coverage:g}%{missing}"
    counts = call.counts
    output = amounts.exact(counts.output, counts.basis)
    reasoning = f" ({counts.reasoning:,} of them reasoning)" if counts.reasoning else ""
    stop = f", {text.clean(call.stop_reason)}" if call.stop_reason else ""
    yield f"{indent}answer {output} tokens{reasoning}{stop}; cost {calls.cost(call)}"
    if call.fidelity != "full":
        yield f"{indent}history kept at the provider was not captured: what is shown is a part"
    if call.note:
        yield f"{indent}{text.clean(call.note)}"


def _category_table(context: Context, columns: int) -> Iterator[str]:
    composition = context.composition
    scaled = composition.basis == amounts.PROVIDER
    rows: list[list[str | Cell]] = []
    colours = colours_on(sys.stdout)
    for name, tokens in categories(composition).items():
        segment = _segment(name, tokens)
        title = SIGNS[name][0] if name in SIGNS else name
        own = context.visible.get(name)
        rows.append(
            [
                Cell(bars.key(segment, colours), segment.colour),
                title,
                amounts.exact(tokens, composition.basis),
                amounts.share(tokens, composition.total),
                amounts.exact(own, "estimated") if scaled and own is not None else "",
            ]
        )
    yield from _indented(
        (
            Column(""),
            Column("Category", least=12),
            Column("Tokens", "right"),
            Column("Share", "right", sacrifice=1),
            Column("Visible" if scaled else "", "right", sacrifice=2),
        ),
        rows,
        columns,
    )


def _detail_table(
    title: str, entries: Mapping[str, int], composition: Composition, limit: int | None, columns: int
) -> Iterator[str]:
    heaviest = _heaviest(entries)
    shown = heaviest if limit is None else heaviest[:limit]
    rows: list[list[str | Cell]] = [
        [name or "(none)", amounts.exact(tokens, composition.basis), amounts.share(tokens, composition.total)]
        for name, tokens in shown
    ]
    rest = heaviest[len(shown) :]
    if rest:
        tokens = sum(count for _, count in rest)
        name = f"... {len(rest):,} more: --all"
        rows.append(
            [Cell(name, DIM), amounts.exact(tokens, composition.basis), amounts.share(tokens, composition.total)]
        )
    yield from _indented(
        (Column(title, least=12), Column("Tokens", "right"), Column("Share", "right", sacrifice=1)), rows, columns
    )


def _heaviest(entries: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(entries.items(), key=lambda entry: (-entry[1], entry[0]))


def _indented(columns: tuple[Column, ...], rows: list[list[str | Cell]], wide: int) -> Iterator[str]:
    for line in table.aligned(columns, rows, max(10, wide - _MARGIN), colours_on(sys.stdout)):
        yield " " * _MARGIN + line
