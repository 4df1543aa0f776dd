"""Tokens and money in words: what is estimated is marked, and what is not known is never a zero.

A bare number of tokens is the provider's own count, `~` before it says that it was estimated here. A sum of money that
lacks calls without a known price ends in `+?`.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal

from ccinspect.cli import text

ESTIMATED_MARK = "~"
MORE_MARK = "+?"
UNKNOWN = "unknown"
PROVIDER = "provider"

_SMALLEST = Decimal("0.0001")


def exact(tokens: int | None, basis: str = PROVIDER) -> str:
    """`12,345`, or `~12,345` where it is estimated; `-` when nothing is known."""
    return "-" if tokens is None else f"{_mark(basis)}{tokens:,}"


def short(tokens: int | None, basis: str = PROVIDER) -> str:
    """`12k`, or `~12k` where it is estimated; `-` when nothing is known."""
    return "-" if tokens is None else f"{_mark(basis)}{text.size(tokens)}"


def _mark(basis: str) -> str:
    return "" if basis == PROVIDER else ESTIMATED_MARK


def share(part: float, whole: float) -> str:
    """`12.3%`; `-` of nothing. What is there and rounds to nothing is `<0.1%`."""
    if not whole:
        return "-"
    percent = 100 * part / whole
    return "<0.1%" if 0 < percent < 0.05 else f"{percent:.1f}%"


def rate(fraction: float | None) -> str:
    """A fraction as whole percents: `87%`; `-` when unknown."""
    return "-" if fraction is None else f"{100 * fraction:.0f}%"


def money(dollars: Decimal | None, unpriced: int = 0, basis: str = PROVIDER) -> str:
    """`$12.34`, `$0.0123`, `<$0.0001`, `$0`, or `unknown`.

    `unpriced` are the calls without a known price among those summed up; `basis` that of the tokens that were priced.
    """
    if dollars is None:
        return UNKNOWN
    rest = MORE_MARK if unpriced else ""
    return f"{_mark(basis)}{_dollars(dollars)}{rest}"


def _dollars(amount: Decimal) -> str:
    sign, size = ("-", -amount) if amount < 0 else ("", amount)
    if not size:
        return "$0"
    if size < _SMALLEST:
        return f"{sign}<${_SMALLEST}"
    step = Decimal("0.01") if size >= 1 else _SMALLEST
    return f"{sign}${size.quantize(step, ROUND_HALF_UP):,}"


def legend(shown: Iterable[str]) -> str:
    """One line about the marks that stand in `shown`; empty when none does."""
    found = " ".join(shown)
    notes = []
    if ESTIMATED_MARK in found:
        notes.append(f"{ESTIMATED_MARK} estimated here, not told by the provider")
    if MORE_MARK in found:
        notes.append(f"{MORE_MARK} and calls whose price is unknown")
    return "; ".join(notes)
