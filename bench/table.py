"""Rows of the table of docs/benchmarks.md, as the scripts print them and `bench.run` gathers them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One figure, and the bar it is held to; without a bar it is held always."""

    what: str
    figure: str
    bar: str
    held: bool

    def line(self) -> str:
        return f"| {self.what} | {self.figure} | {self.bar} | {'yes' if self.held else '**no**'} |"


def report(rows: Sequence[Row]) -> int:
    """Print the rows; returns the exit code of a script: 1 when one of its bars was missed."""
    print("\n".join(row.line() for row in rows))
    return int(not all(row.held for row in rows))
