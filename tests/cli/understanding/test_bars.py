"""Bars of what a whole is made of."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ccinspect.cli.understanding.bars import BLOCK, Segment, bar, shares


@given(st.lists(st.integers(0, 10**9), max_size=12), st.integers(0, 200))
def test_all_columns_are_given_out_and_the_larger_part_is_never_the_narrower(amounts: list[int], columns: int) -> None:
    widths = shares(amounts, columns)
    assert sum(widths) == (columns if sum(amounts) else 0)
    assert all(wide >= 0 for wide in widths)
    assert not any(wide for amount, wide in zip(amounts, widths, strict=True) if not amount)
    for one, wide in zip(amounts, widths, strict=True):
        for other, otherwise in zip(amounts, widths, strict=True):
            assert one <= other or wide >= otherwise - 1
    if columns >= len(amounts):
        assert all(wide for amount, wide in zip(amounts, widths, strict=True) if amount)


def test_proportions() -> None:
    assert shares([50, 25, 25], 8) == [4, 2, 2]
    assert shares([1_000_000, 1, 0], 10) == [9, 1, 0]


def test_a_bar_has_colours_or_letters() -> None:
    segments = [Segment(3, "31", "a"), Segment(1, "32", "b"), Segment(0, "33", "c")]
    assert bar(segments, 8, colours=False) == "aaaaaabb"
    assert bar(segments, 8, colours=True) == f"\x1b[31m{BLOCK * 6}\x1b[0m\x1b[32m{BLOCK * 2}\x1b[0m"
    assert bar([], 8, colours=True) == ""
