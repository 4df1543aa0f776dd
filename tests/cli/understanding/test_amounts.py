"""Tokens and money in words."""

from __future__ import annotations

from decimal import Decimal

import pytest

from ccinspect.cli.understanding import amounts


@pytest.mark.parametrize(
    ("dollars", "unpriced", "basis", "said"),
    [
        (None, 0, "provider", "unknown"),
        (None, 3, "provider", "unknown"),
        (Decimal(0), 0, "provider", "$0"),
        (Decimal("0.00004"), 0, "provider", "<$0.0001"),
        (Decimal("0.01234"), 0, "provider", "$0.0123"),
        (Decimal("0.01235"), 0, "estimated", "~$0.0124"),
        (Decimal("12.345"), 2, "provider", "$12.35+?"),
        (Decimal("1234.5"), 0, "provider", "$1,234.50"),
        (Decimal("-0.5"), 0, "provider", "-$0.5000"),
    ],
)
def test_money(dollars: Decimal | None, unpriced: int, basis: str, said: str) -> None:
    assert amounts.money(dollars, unpriced, basis) == said


def test_tokens_say_whose_count_they_are() -> None:
    assert [amounts.exact(count, "provider") for count in (0, 12_345, None)] == ["0", "12,345", "-"]
    assert [amounts.exact(count, "estimated") for count in (0, 12_345, None)] == ["~0", "~12,345", "-"]
    assert [amounts.short(count, "estimated") for count in (999, 12_345, None)] == ["~999", "~12k", "-"]


@pytest.mark.parametrize(
    ("part", "whole", "said"),
    [(1, 3, "33.3%"), (0, 10, "0.0%"), (1, 100_000, "<0.1%"), (1, 0, "-"), (10, 10, "100.0%")],
)
def test_shares(part: int, whole: int, said: str) -> None:
    assert amounts.share(part, whole) == said


def test_the_legend_speaks_of_the_marks_that_are_there() -> None:
    assert amounts.legend(["12k", "$1.00"]) == ""
    assert amounts.legend(["~12k", "$1.00"]).startswith("~ estimated")
    both = amounts.legend(["~12k", "$1.00+?"])
    assert "~ estimated" in both
    assert "+? and calls" in both
