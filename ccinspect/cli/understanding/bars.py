"""A bar that shows what a whole is made of: coloured on a terminal that can, of letters on one that cannot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

BLOCK = "█"


@dataclass(frozen=True)
class Segment:
    """A part of the whole. `colour` are SGR parameters; `letter` stands for it where there are no colours."""

    amount: int
    colour: str
    letter: str


def bar(segments: Sequence[Segment], columns: int, colours: bool) -> str:
    """One line of exactly `columns` characters, or an empty one when there is nothing to show."""
    parts = []
    for segment, wide in zip(segments, shares([segment.amount for segment in segments], columns), strict=True):
        if wide:
            parts.append(f"\x1b[{segment.colour}m{BLOCK * wide}\x1b[0m" if colours else segment.letter * wide)
    return "".join(parts)


def key(segment: Segment, colours: bool) -> str:
    """The sign by which a segment is found again in the bar."""
    return BLOCK if colours else segment.letter


def shares(amounts: Sequence[int], columns: int) -> list[int]:
    """`columns` divided in proportion to `amounts`, by largest remainders. What is there gets one column if it can.

    The result sums to `columns`, or to 0 when nothing is there.
    """
    total = sum(amounts)
    if total <= 0 or columns <= 0:
        return [0] * len(amounts)
    widths = [amount * columns // total for amount in amounts]
    by_remainder = sorted(range(len(amounts)), key=lambda i: -(amounts[i] * columns % total))
    for index in by_remainder[: columns - sum(widths)]:
        widths[index] += 1
    for index, amount in enumerate(amounts):
        widest = max(range(len(widths)), key=lambda i: widths[i])
        if amount and not widths[index] and widths[widest] > 1:
            widths[widest] -= 1
            widths[index] = 1
    return widths
