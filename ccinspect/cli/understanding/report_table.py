"""The rows of `report` for people (a table) and for programs (CSV)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ccinspect.analysis.results import HostSpend, Report, Spend, ToolSpend
from ccinspect.cli import text
from ccinspect.cli.output import BOLD, CYAN, DIM, RED
from ccinspect.cli.table import Cell, Column, Row, cell_text
from ccinspect.cli.understanding import amounts
from ccinspect.cli.understanding.calls import short_id

NONE = "(none)"

_SPEND = (
    Column("Calls", "right"),
    Column("Context", "right"),
    Column("New", "right", sacrifice=5),
    Column("Cached", "right", sacrifice=1),
    Column("Written", "right", sacrifice=6),
    Column("Output", "right"),
    Column("Cost", "right"),
    Column("Talks", "right", sacrifice=4),
    Column("Errors", "right", sacrifice=2),
    Column("Last", sacrifice=3),
)
_TOOLS = (
    Column("Turns", "right", sacrifice=2),
    Column("Tokens", "right"),
    Column("Defined", "right", sacrifice=3),
    Column("Called", "right"),
    Column("Unused in", "right", sacrifice=4),
    Column("Unused", "right"),
    Column("Unused cost", "right", sacrifice=1),
)
_HOSTS = (
    Column("Flows", "right"),
    Column("Sent", "right"),
    Column("Received", "right", sacrifice=4),
    Column("Failed", "right", sacrifice=3),
    Column("Opaque", "right", sacrifice=5),
    Column("LLM", "right", sacrifice=1),
    Column("Tokens", "right", sacrifice=6),
    Column("Cost", "right", sacrifice=7),
    Column("By", least=8, sacrifice=2),
    Column("Types", least=8, sacrifice=9),
    Column("Last", sacrifice=8),
)
_TITLES = {"mcp-server": "MCP server", "conversation": "Conversation"}


def columns(by: str) -> tuple[Column, ...]:
    """The columns of the table of this grouping."""
    rest = {"tool": _TOOLS, "mcp-server": _TOOLS, "host": _HOSTS}.get(by, _SPEND)
    return (Column(_TITLES.get(by, by.capitalize()), least=22), *rest)


def rows(report: Report) -> list[Row]:
    """The cells of `columns` for every row, and the total where rows add up to one."""
    found: list[Row] = [_row(report.by, row) for row in report.rows]
    if report.rows and isinstance(report.rows[0], Spend):
        found.append([Cell(cell_text(cell), BOLD) for cell in _row("total", report.total)])
    return found


def _row(by: str, row: Any) -> list[str | Cell]:
    if isinstance(row, HostSpend):
        return _host_row(row)
    return _tool_row(row) if isinstance(row, ToolSpend) else _spend_row(by, row)


def _spend_row(by: str, row: Spend) -> list[str | Cell]:
    key = short_id(row.key) if by == "conversation" else row.key
    basis = row.counts.basis
    return [
        Cell("total" if by == "total" else key or NONE, CYAN),
        f"{row.calls:,}",
        amounts.short(row.counts.context, basis),
        amounts.short(row.counts.input, basis),
        amounts.rate(row.counts.cache_hit_rate),
        amounts.short(row.counts.cache_write, basis),
        amounts.short(row.counts.output, basis),
        amounts.money(row.dollars, row.unpriced, basis) if row.calls else "-",
        f"{row.conversations:,}",
        Cell(f"{row.errors:,}", RED if row.errors else ""),
        Cell(text.moment(row.last_at or None), DIM),
    ]


def _tool_row(row: ToolSpend) -> list[str | Cell]:
    # How the words of a context divide among tools is always our own measure.
    basis = "estimated"
    return [
        Cell(row.key or NONE, CYAN),
        f"{row.turns:,}",
        amounts.short(row.tokens, basis),
        amounts.short(row.definitions, basis),
        f"{row.calls:,}",
        f"{row.unused_turns:,}",
        amounts.short(row.unused_tokens, basis) if row.unused_tokens else "-",
        amounts.money(row.unused_dollars, 0, basis) if row.unused_tokens else "-",
    ]


def _host_row(row: HostSpend) -> list[str | Cell]:
    return [
        Cell(row.key or NONE, CYAN),
        f"{row.flows:,}",
        text.size(row.sent),
        text.size(row.received),
        Cell(f"{row.failed:,}", RED if row.failed else ""),
        f"{row.opaque:,}",
        f"{row.calls:,}" if row.calls else "-",
        amounts.short(row.tokens) if row.calls else "-",
        amounts.money(row.dollars) if row.calls else "-",
        ", ".join(row.agents),
        ", ".join(f"{name} {number:,}" for name, number in row.types.items()),
        Cell(text.moment(row.last_at), DIM),
    ]


# For programs

_CSV_SPEND = (
    "calls", "context", "input", "cache_read", "cache_write", "output", "reasoning", "basis", "estimated_calls",
    "dollars", "unpriced_calls", "errors", "conversations", "uncounted_calls", "first_at", "last_at",
)  # fmt: skip
_CSV_TOOLS = ("turns", "tokens", "definitions", "calls", "unused_turns", "unused_tokens", "unused_dollars")
_CSV_HOSTS = (
    "flows", "types", "sent", "received", "failed", "opaque", "calls", "tokens", "dollars", "providers", "agents",
    "first_at", "last_at",
)  # fmt: skip


def csv_rows(report: Report) -> Iterator[list[str]]:
    """A heading, then one line a row, whole and in plain numbers; what is unknown is empty. Times are UTC seconds."""
    names = {"tool": _CSV_TOOLS, "mcp-server": _CSV_TOOLS, "host": _CSV_HOSTS}.get(report.by, _CSV_SPEND)
    yield [report.by.replace("-", "_"), *names]
    for row in report.rows:
        yield [_harmless(row.key), *(_csv_cell(_csv_value(row, name)) for name in names)]


def _csv_value(row: Any, name: str) -> Any:
    match name:
        case "context" | "input" | "cache_read" | "cache_write" | "output" | "reasoning" | "basis":
            return getattr(row.counts, name)
        case "estimated_calls":
            return row.estimated
        case "unpriced_calls":
            return row.unpriced
        case "uncounted_calls":
            return row.uncounted
    return getattr(row, name)


def _csv_cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):
        return _harmless(" ".join(f"{key}={number}" for key, number in value.items()))
    if isinstance(value, tuple):
        return _harmless(" ".join(value))
    return _harmless(value) if isinstance(value, str) else str(value)


def _harmless(value: str) -> str:
    """Captured text that neither a terminal nor a spreadsheet obeys (a formula begins with one of these)."""
    cleaned = text.clean(value)
    return f"'{cleaned}" if cleaned[:1] in ("=", "+", "-", "@") else cleaned


def shown(table_rows: Sequence[Row]) -> Iterator[str]:
    """The texts of all cells, for the legend."""
    return (cell_text(cell) for row in table_rows for cell in row)
