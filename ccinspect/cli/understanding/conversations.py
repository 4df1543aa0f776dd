"""`conversations list` and `conversations show`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from ccinspect.analysis.results import Call, ConversationSummary, ConversationTree
from ccinspect.cli import table, text
from ccinspect.cli.instance import Instance
from ccinspect.cli.jsonable import jsonable
from ccinspect.cli.output import (
    BOLD,
    CYAN,
    DIM,
    RED,
    colours_on,
    note_lines,
    paint,
    say,
    terminal_width,
    write,
    write_json,
    write_notes,
    write_table,
)
from ccinspect.cli.pager import page
from ccinspect.cli.table import Cell, Column
from ccinspect.cli.understanding import amounts, conversation_tree
from ccinspect.cli.understanding.analysing import open_analysis
from ccinspect.cli.understanding.calls import short_id, words_of
from ccinspect.store.selection import Selection

COLUMNS = (
    Column("ID"),
    Column("Kind", sacrifice=4),
    Column("Agent", least=6, sacrifice=3),
    Column("Model", least=10, sacrifice=1),
    Column("Turns", "right"),
    Column("Context", "right"),
    Column("Peak", "right", sacrifice=7),
    Column("Cached", "right", sacrifice=2),
    Column("Output", "right", sacrifice=6),
    Column("Cost", "right"),
    Column("Errors", "right", sacrifice=5),
    Column("Took", "right", sacrifice=8),
    Column("Started"),
)


def list_conversations(
    instance: Instance, chosen: Selection, session: str | None, everything: bool, limit: int, as_json: bool
) -> None:
    """Print the newest conversations. Raises BadSelection, SessionError."""
    with open_analysis(instance) as analysis:
        found = analysis.conversations(chosen, session=session, all_kinds=everything, limit=limit + 1)
    newest = found[-limit:]
    if as_json:
        write_json(jsonable(newest))
    elif newest:
        print_table(newest)
    else:
        say("ccinspect: no conversations here")
    if len(found) > limit:
        say(f"ccinspect: these are the newest {limit:,}; more with --limit")


def print_table(summaries: Sequence[ConversationSummary]) -> None:
    """One line for each conversation."""
    rows = [_row(summary) for summary in summaries]
    write_table(COLUMNS, rows)
    write_notes(amounts.legend(_texts(rows)))


def _row(summary: ConversationSummary) -> list[str | Cell]:
    basis = summary.counts.basis
    return [
        Cell(short_id(summary.id), CYAN),
        words_of(summary.relation if summary.relation != "side_call" else summary.purpose),
        summary.agent or "",
        ", ".join(summary.models),
        f"{summary.turns:,}",
        f"{amounts.short(summary.context_first, basis)} > {amounts.short(summary.context_last, basis)}",
        amounts.short(summary.context_peak, basis),
        amounts.rate(summary.counts.cache_hit_rate),
        amounts.short(summary.counts.output, basis),
        amounts.money(summary.dollars, summary.unpriced, basis),
        Cell(f"{summary.errors:,}", RED if summary.errors else ""),
        text.duration(summary.ended_at - summary.started_at),
        Cell(text.moment(summary.started_at), DIM),
    ]


def show(instance: Instance, ident: str, as_json: bool) -> None:
    """Print one conversation. Raises FlowNotFound, AmbiguousFlowId, NoModelCall."""
    with open_analysis(instance) as analysis:
        tree = analysis.conversation(ident)
    if as_json:
        write_json(conversation_tree.as_json(tree))
    elif sys.stdout.isatty():
        page(_lines(tree, terminal_width()))
    else:
        for row in conversation_tree.rows(tree, graphic=False):
            write(table.tab_separated_line(row))


def _lines(tree: ConversationTree, columns: int) -> Iterator[str]:
    for line in _heading(tree):
        yield text.shorten(line, columns)
    yield ""
    rows = list(conversation_tree.rows(tree, graphic=True))
    yield from table.aligned(conversation_tree.COLUMNS, rows, columns, colours_on(sys.stdout))
    notes = amounts.legend(_texts(rows))
    calls = list(conversation_tree.all_calls(tree))
    doubtful = [call for call in calls if call.certainty not in (None, "exact")]
    if notes or doubtful:
        yield ""
    yield from note_lines(columns, notes, _doubt(doubtful, len(calls)) if doubtful else "")


def _heading(tree: ConversationTree) -> Iterator[str]:
    summary = tree.summary
    basis = summary.counts.basis
    words = ["conversation", short_id(summary.id), summary.provider, ", ".join(summary.models), summary.agent or ""]
    yield paint(text.clean("  ".join(word for word in words if word)), BOLD)
    if tree.title:
        yield f'  "{text.clean(" ".join(tree.title.split()))}"'
    took = text.duration(summary.ended_at - summary.started_at)
    where = [f"run {summary.run}" if summary.run else "", f"project {summary.project}" if summary.project else ""]
    spans = [f"{text.moment(summary.started_at)} for {took}", text.count(summary.turns, "turn")]
    spans += [text.count(summary.calls, "call"), *where]
    if summary.errors:
        spans.append(text.count(summary.errors, "error"))
    yield text.clean(f"  {', '.join(word for word in spans if word)}")
    first, last = amounts.exact(summary.context_first, basis), amounts.exact(summary.context_last, basis)
    money = amounts.money(summary.dollars, summary.unpriced, basis)
    cached = amounts.rate(summary.counts.cache_hit_rate)
    told = "the provider does not tell what came from its cache" if cached == "-" else f"{cached} from the cache"
    yield f"  context {first} > {last} tokens, peak {amounts.exact(summary.context_peak, basis)}; {told}; {money}"
    if summary.origin:
        yield f"  {words_of(summary.relation)} of conversation {short_id(summary.origin)}"


def _doubt(doubtful: list[Call], everything: int) -> str:
    least = min(doubtful, key=lambda call: 1 if call.confidence is None else call.confidence)
    lowest = "" if least.confidence is None else f", confidence {100 * least.confidence:.0f}% or more"
    return f"{len(doubtful):,} of {text.count(everything, 'call')} placed by what they say, not by an id{lowest}"


def _texts(rows: list[list[str | Cell]]) -> Iterator[str]:
    return (table.cell_text(cell) for row in rows for cell in row[2:])
