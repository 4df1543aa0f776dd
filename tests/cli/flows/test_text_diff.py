from __future__ import annotations

import difflib
import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccinspect.cli.flows.text_diff import line_differences, windows

LINES = st.lists(st.sampled_from(["a", "b", "c", "", "d"]), max_size=12)


def applied(before: list[str], found: Sequence[tuple[str, str]]) -> list[str]:
    """What `patch` makes of `before`."""
    made: list[str] = []
    at = 0
    for kind, text in found:
        if kind == "hunk":
            start, count = (int(part) for part in text.split("-")[1].split(" ")[0].split(","))
            begin = start - 1 if count else start
            made += before[at:begin]
            at = begin
        elif kind == "added":
            made.append(text)
        else:
            assert before[at] == text
            at += 1
            made += [text] if kind == "same" else []
    return made + before[at:]


@given(LINES, LINES, st.integers(0, 4))
def test_applied_to_the_one_it_gives_the_other(before: list[str], after: list[str], context: int) -> None:
    found = [(line.kind, line.text) for line in line_differences(before, after, context)]
    assert applied(before, found) == after
    assert bool(found) is (before != after)


def test_places_are_counted_as_diff_does() -> None:
    before, after = list("abcdefghij"), list("abXdefghijk")
    ours = [line.text for line in line_differences(before, after, 1) if line.kind == "hunk"]
    theirs = [line.strip() for line in difflib.unified_diff(before, after, n=1) if line.startswith("@@")]
    assert [place.replace(",1 ", " ") for place in ours] == [place.replace(",1 ", " ") for place in theirs]


@pytest.mark.parametrize("lines", [["same"] * 20_000, [str(number % 50) for number in range(20_000)]])
def test_long_texts_take_a_moment(lines: list[str]) -> None:
    after = [f"{line}x" if number % 7 == 0 else line for number, line in enumerate(lines)]
    started = time.process_time()
    assert list(line_differences(lines, after))
    assert time.process_time() - started < 5


@given(st.text(max_size=200), st.text(max_size=200), st.integers(20, 60))
def test_windows_show_where_two_lines_differ(before: str, after: str, columns: int) -> None:
    old, new = windows(before, after, columns)
    assert max(len(old), len(new)) <= max(columns, 1)
    assert (old == new) is (before == after) or len(before) == len(after) == 0
