"""Tables that fit the terminal, or tab-separated lines for a pipe.

Not rich's: a table of 1,000 rows took it 0.6 s, and `flows list` has half a second in all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from ccinspect.cli.text import clean, shorten, width

GAP = 2


@dataclass(frozen=True)
class Column:
    """`least` is how far the column may be narrowed (columns of the terminal); None: it keeps its full width.

    On a terminal that is still too narrow, columns go from the highest `sacrifice` down; 0 is never dropped.
    """

    title: str
    align: Literal["left", "right"] = "left"
    least: int | None = None
    sacrifice: int = 0


@dataclass(frozen=True)
class Cell:
    """A value with its colour (SGR parameters such as `31`)."""

    text: str
    colour: str = ""


type Row = Sequence[str | Cell]


def tab_separated(rows: Iterable[Row]) -> Iterable[str]:
    """One line per row, without a heading and never cut: for `cut`, `awk` and `while read`."""
    yield from map(tab_separated_line, rows)


def tab_separated_line(row: Row) -> str:
    return "\t".join(clean(cell_text(cell)) for cell in row)


def aligned(columns: Sequence[Column], rows: Sequence[Row], terminal_width: int, colours: bool) -> Iterable[str]:
    """Lines of a table with a heading, none wider than the terminal."""
    # A captured path may be 100 kB long; no more of it than a line holds is looked at.
    cells = [[clean(cell_text(cell)[:terminal_width]) for cell in row] for row in rows]
    natural = [
        max([width(column.title), *(width(row[index]) for row in cells)]) for index, column in enumerate(columns)
    ]
    widths = fit(columns, natural, terminal_width)
    yield _line(columns, widths, [column.title for column in columns], ["1"] * len(columns) if colours else None)
    for row, texts in zip(rows, cells, strict=True):
        yield _line(columns, widths, texts, [_colour(cell) for cell in row] if colours else None)


def fixed(columns: Sequence[Column], usual: Sequence[int], terminal_width: int, colours: bool) -> Callable[[Row], str]:
    """A function that makes a line of each row, for rows that come one by one; `usual` are the expected widths."""
    widths = fit(columns, usual, terminal_width)

    def line(row: Row) -> str:
        texts = [clean(cell_text(cell)[:terminal_width]) for cell in row]
        return _line(columns, widths, texts, [_colour(cell) for cell in row] if colours else None)

    return line


def fit(columns: Sequence[Column], natural: Sequence[int], terminal_width: int) -> list[int]:
    """The width of each column, 0 for one that is left out."""
    shown = [min(n, terminal_width) for n in natural]
    while True:
        widths = _narrowed(columns, shown, terminal_width)
        victims = [i for i, column in enumerate(columns) if widths[i] and column.sacrifice]
        if _line_width(widths) <= terminal_width:
            return widths
        if not victims:
            return _narrowed(columns, shown, terminal_width, at_any_price=True)
        # Narrowing was not enough: leave the least wanted column out and share the room again.
        shown[max(victims, key=lambda i: columns[i].sacrifice)] = 0


def _narrowed(
    columns: Sequence[Column], natural: Sequence[int], terminal_width: int, at_any_price: bool = False
) -> list[int]:
    widths = list(natural)
    for _ in range(_line_width(widths) - terminal_width):
        if at_any_price:
            loose = [i for i, columns_wide in enumerate(widths) if columns_wide > 1]
        else:
            loose = [i for i, c in enumerate(columns) if c.least is not None and widths[i] > max(c.least, len(c.title))]
        if not loose:
            break
        widths[max(loose, key=lambda i: widths[i])] -= 1
    return widths


def _line_width(widths: Sequence[int]) -> int:
    return sum(w + GAP for w in widths if w) - GAP


def _line(columns: Sequence[Column], widths: Sequence[int], texts: Sequence[str], colours: Sequence[str] | None) -> str:
    parts = []
    for index, (column, columns_wide) in enumerate(zip(columns, widths, strict=True)):
        if not columns_wide:
            continue
        text = shorten(texts[index], columns_wide)
        padding = " " * (columns_wide - width(text))
        if colours and colours[index] and text:
            text = f"\x1b[{colours[index]}m{text}\x1b[0m"
        parts.append(padding + text if column.align == "right" else text + padding)
    return (" " * GAP).join(parts).rstrip()


def cell_text(cell: str | Cell) -> str:
    """A cell without its colour."""
    return cell.text if isinstance(cell, Cell) else cell


def _colour(cell: str | Cell) -> str:
    return cell.colour if isinstance(cell, Cell) else ""
