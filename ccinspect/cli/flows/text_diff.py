"""Differences of two texts by their lines, in bounded time; and the piece of a long line in which two differ."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from ccinspect.wire.jsonalign import align
from ccinspect.wire.jsondiff import common_start

# Above it, difflib might take minutes; what is used then matches less, but in time.
_MAX_PRODUCT = 1_000_000


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a difference; `hunk` parts two stretches, its text says where in either text the next one begins."""

    kind: Literal["same", "removed", "added", "hunk"]
    text: str


@dataclass(frozen=True, slots=True)
class _Step:
    kind: Literal["same", "removed", "added"]
    old: int
    new: int
    text: str


def line_differences(before: Sequence[str], after: Sequence[str], context: int = 3) -> Iterator[Line]:
    """As `diff -U`: the lines that differ with `context` equal ones around them; nothing when all are equal."""
    steps = list(_steps(before, after, context))
    wanted = [False] * len(steps)
    for number, step in enumerate(steps):
        if step.kind != "same":
            for near in range(max(0, number - context), min(len(steps), number + context + 1)):
                wanted[near] = True
    for number, step in enumerate(steps):
        if wanted[number]:
            if number == 0 or not wanted[number - 1]:
                yield Line("hunk", _place(steps, wanted, number))
            yield Line(step.kind, step.text)


def _place(steps: list[_Step], wanted: list[bool], number: int) -> str:
    end = number
    while end < len(steps) and wanted[end]:
        end += 1
    inside = steps[number:end]
    old = sum(step.kind != "added" for step in inside)
    new = sum(step.kind != "removed" for step in inside)
    first = steps[number]
    # As diff counts: an empty stretch lies behind the line before it.
    return f"@@ -{first.old + (1 if old else 0)},{old} +{first.new + (1 if new else 0)},{new} @@"


def _steps(before: Sequence[str], after: Sequence[str], context: int) -> Iterator[_Step]:
    """All that differs and what lies between; of the equal beginning and end no more than the context."""
    head, shorter = 0, min(len(before), len(after))
    while head < shorter and before[head] == after[head]:
        head += 1
    tail = 0
    while tail < shorter - head and before[-1 - tail] == after[-1 - tail]:
        tail += 1
    for number in range(max(0, head - context), head):
        yield _Step("same", number, number, before[number])
    old_end, new_end = len(before) - tail, len(after) - tail
    yield from _middle(before, after, head, old_end, new_end)
    for number in range(min(tail, context)):
        yield _Step("same", old_end + number, new_end + number, before[old_end + number])


def _middle(before: Sequence[str], after: Sequence[str], head: int, old_end: int, new_end: int) -> Iterator[_Step]:
    olds, news = list(before[head:old_end]), list(after[head:new_end])
    old = new = head
    for old_to, new_to, length in _matches(olds, news):
        for number in range(old, head + old_to):
            yield _Step("removed", number, new, before[number])
        for number in range(new, head + new_to):
            yield _Step("added", head + old_to, number, after[number])
        old, new = head + old_to, head + new_to
        for number in range(length):
            yield _Step("same", old + number, new + number, before[old + number])
        old, new = old + length, new + length


def _matches(olds: list[str], news: list[str]) -> list[tuple[int, int, int]]:
    """(index in the one, index in the other, how many lines), rising; an empty match ends it."""
    if len(olds) * len(news) <= _MAX_PRODUCT:
        blocks = difflib.SequenceMatcher(None, olds, news).get_matching_blocks()
        return [(block.a, block.b, block.size) for block in blocks]
    found = [
        (old, new, 1)
        for old, new in align(list(olds), list(news), lambda one, other: one == other)
        if old is not None and new is not None and olds[old] == news[new]
    ]
    return [*found, (len(olds), len(news), 0)]


def windows(before: str, after: str, columns: int) -> tuple[str, str]:
    """Of two long lines the stretch in which they differ, each at most `columns` long; `…` stands for what is cut."""
    if max(len(before), len(after)) <= columns:
        return before, after
    head = common_start(before, after)
    start = max(0, head - columns // 4)
    return _window(before, start, columns), _window(after, start, columns)


def _window(text: str, start: int, columns: int) -> str:
    lead = "…" if start else ""
    room = columns - len(lead)
    piece = text[start : start + room]
    return lead + (piece if start + room >= len(text) else piece[:-1] + "…")
