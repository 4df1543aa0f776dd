"""Which elements of an array became which of another: what stayed equal is found, what was put in or taken out named.

Equal elements at both ends are matched first. Of the rest, those that occur once on either side and kept their order
are (patience diff): that takes no more than n log n steps, whatever stands there. What lies between two matches was
changed, one by one, and where one side is longer, put in or taken out.
"""

from __future__ import annotations

import marshal
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Hashable

from ccinspect.wire.model import Json

Pair = tuple[int | None, int | None]
"""An index in the old array and one in the new: both, or None for the one in which it is not."""
Same = Callable[[Json, Json], bool]


def align(old: list[Json], new: list[Json], same: Same) -> list[Pair]:
    """Pairs in the order of both arrays; each index of either occurs once."""
    pairs: list[Pair] = []
    at_old = at_new = 0
    for anchor_old, anchor_new in [*_anchors(old, new, same), (len(old), len(new))]:
        pairs += _gap(old, new, (at_old, anchor_old), (at_new, anchor_new), same)
        if anchor_old < len(old) or anchor_new < len(new):
            pairs.append((anchor_old, anchor_new))
        at_old, at_new = anchor_old + 1, anchor_new + 1
    return pairs


def _anchors(old: list[Json], new: list[Json], same: Same) -> list[tuple[int, int]]:
    """Elements that are surely the same one, rising in both arrays."""
    head, shorter = 0, min(len(old), len(new))
    while head < shorter and same(old[head], new[head]):
        head += 1
    tail = 0
    while tail < shorter - head and same(old[-1 - tail], new[-1 - tail]):
        tail += 1
    matches = [(index, index) for index in range(head)]
    middle_old, middle_new = range(head, len(old) - tail), range(head, len(new) - tail)
    # Of as many elements, each became the one in its place, unless they moved; then the bytes of one are lost at most.
    if len(middle_old) != len(middle_new):
        matches += _unique_matches(old, new, middle_old, middle_new)
    return matches + [(len(old) - left, len(new) - left) for left in range(tail, 0, -1)]


def _unique_matches(old: list[Json], new: list[Json], in_old: range, in_new: range) -> list[tuple[int, int]]:
    names_old, names_new = [_name(old[at]) for at in in_old], [_name(new[at]) for at in in_new]
    count_old, count_new = Counter(names_old), Counter(names_new)
    place = {name: at for at, name in zip(in_new, names_new, strict=True) if count_new[name] == 1}
    candidates = [
        (at, place[name]) for at, name in zip(in_old, names_old, strict=True) if count_old[name] == 1 and name in place
    ]
    return _longest_rising(candidates)


def _name(value: Json) -> Hashable:
    """Equal for values that are written alike (but for the order of keys)."""
    try:
        return marshal.dumps(value, 2)
    except ValueError:
        return id(value)


def _longest_rising(candidates: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The longest part of `candidates` (rising in the first of each) that rises in the second, too."""
    ends: list[int] = []
    chosen: list[int] = []
    before: list[int] = []
    for number, (_, at) in enumerate(candidates):
        length = bisect_left(ends, at)
        before.append(chosen[length - 1] if length else -1)
        ends[length : length + 1] = [at]
        chosen[length : length + 1] = [number]
    found, number = [], chosen[-1] if chosen else -1
    while number >= 0:
        found.append(candidates[number])
        number = before[number]
    return found[::-1]


def _gap(old: list[Json], new: list[Json], in_old: tuple[int, int], in_new: tuple[int, int], same: Same) -> list[Pair]:
    """Pairs for what lies between two matches."""
    (at_old, end_old), (at_new, end_new) = in_old, in_new
    head: list[Pair] = []
    while at_old < end_old and at_new < end_new and same(old[at_old], new[at_new]):
        head.append((at_old, at_new))
        at_old, at_new = at_old + 1, at_new + 1
    tail: list[Pair] = []
    while at_old < end_old and at_new < end_new and same(old[end_old - 1], new[end_new - 1]):
        end_old, end_new = end_old - 1, end_new - 1
        tail.append((end_old, end_new))
    both = min(end_old - at_old, end_new - at_new)
    from_start = [(at_old + step, at_new + step) for step in range(both)]
    from_end = [(end_old - step, end_new - step) for step in range(both, 0, -1)]
    if sum(_alike(old[a], new[b], same) for a, b in from_end) > sum(
        _alike(old[a], new[b], same) for a, b in from_start
    ):
        taken, put = range(at_old, end_old - both), range(at_new, end_new - both)
        changed = [*((at, None) for at in taken), *((None, at) for at in put), *from_end]
    else:
        taken, put = range(at_old + both, end_old), range(at_new + both, end_new)
        changed = [*from_start, *((at, None) for at in taken), *((None, at) for at in put)]
    return [*head, *changed, *tail[::-1]]


def _alike(old: Json, new: Json, same: Same) -> int:
    """How much two unequal values have in common, at a glance."""
    if isinstance(old, dict) and isinstance(new, dict):
        return sum(key in new and same(value, new[key]) for key, value in old.items())
    return int(type(old) is type(new) and isinstance(old, str) and old[:40] == new[:40])
