"""A model call in a few words, for tables and headings. What comes out is still to be cleaned."""

from __future__ import annotations

from collections.abc import Iterator

from ccinspect.analysis.results import Call, Counts
from ccinspect.cli import text
from ccinspect.cli.output import GREEN, RED, YELLOW
from ccinspect.cli.table import Cell
from ccinspect.cli.understanding import amounts

_UUID = 36
_SHORT = 8


def short_id(ident: str | None) -> str:
    """As much of an id as usually tells it from others; the number of a call on a WebSocket stays."""
    return "" if ident is None else ident[:_SHORT] + ident[_UUID:]


def heading(call: Call) -> str:
    """What call this is, in one line."""
    place = f"turn {call.turn}" if call.turn else ""
    words = [short_id(call.id), call.provider, call.model or "", agent(call), words_of(call.purpose), place]
    return "  ".join(word for word in words if word)


def agent(call: Call) -> str:
    """`claude-code 2.1`, or nothing."""
    return " ".join(word for word in (call.agent, call.agent_version) if word)


def words_of(name: str | None) -> str:
    """`tool_continuation` as `tool continuation`."""
    return (name or "").replace("_", " ")


def cost(call: Call) -> str:
    """`$0.0421`, `unknown`, or `not billed`."""
    return "not billed" if call.price.source == "not_billed" else amounts.money(call.price.dollars, 0, call.price.basis)


def outcome_cell(call: Call) -> Cell:
    """How it ended: the stop reason where it ended well, else what went wrong."""
    if call.error_kind:
        return Cell(words_of(call.error_kind), RED)
    if call.outcome is None:
        return Cell("no answer", RED)
    if call.outcome != "complete":
        return Cell(words_of(call.outcome), YELLOW)
    return Cell(words_of(call.stop_reason), GREEN if call.stop_reason == "end_turn" else "")


def token_lines(call: Call) -> Iterator[str]:
    """Where the tokens of a call were, and what they cost."""
    yield f"{_context(call.counts)} -> {_output(call.counts)}"
    saved = call.price.saved
    yield cost(call) + (f" (the cache saved {amounts.money(saved, 0, call.price.basis)})" if saved else "")


def _context(counts: Counts) -> str:
    parts = [
        f"{amounts.exact(count, counts.basis)} {name}"
        for name, count in (("new", counts.input), ("cached", counts.cache_read), ("written", counts.cache_write))
        if count
    ]
    total = amounts.exact(counts.context, counts.basis)
    return f"{total} tokens in ({', '.join(parts)})" if len(parts) > 1 else f"{total} tokens in"


def _output(counts: Counts) -> str:
    reasoning = f" ({text.count(counts.reasoning, 'token')} of reasoning)" if counts.reasoning else ""
    return f"{amounts.exact(counts.output, counts.basis)} out{reasoning}"
