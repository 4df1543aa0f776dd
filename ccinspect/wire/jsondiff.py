"""What became of a JSON value, for people: what was added, removed, changed, or only moved within its array.

The order of keys says nothing. Elements of arrays are matched by what they are: equal ones first (`jsonalign`), of the
rest those that resemble each other most, in order; so a message put in the front does not change all that follow.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from ccinspect.wire.jsonalign import Pair, align
from ccinspect.wire.jsonedit import same
from ccinspect.wire.model import Json, Path, format_path

Kind = Literal["added", "removed", "changed", "moved"]

_MAX_COMPARED = 2_500
"""Pairs of elements whose likeness is looked at in one gap; in a larger one, elements are matched by their place."""
_ALIKE = 0.3
_NAMING = ("type", "role", "name", "id", "tool_use_id", "tool_call_id")
"""Members that say which element of an array one is."""


@dataclass(frozen=True, slots=True)
class Difference:
    """`path` counts in the new value, and of what was removed, in the old one. `origin` is where it was, if moved."""

    kind: Kind
    path: Path
    old: Json = None
    new: Json = None
    origin: Path = ()

    def as_record(self) -> dict[str, Any]:
        """{kind, path} and as far as they apply `old`, `new`, `from`; paths in jq's spelling."""
        record: dict[str, Any] = {"kind": self.kind, "path": format_path(self.path)}
        if self.kind in ("removed", "changed"):
            record["old"] = self.old
        if self.kind in ("added", "changed"):
            record["new"] = self.new
        if self.kind == "moved":
            record["from"] = format_path(self.origin)
        return record


def differences(before: Json, after: Json, limit: int = 10_000) -> list[Difference]:
    """The first `limit` differences, in the order of the values. For values of bounded depth, as `jsontext.parse`
    gives them."""
    return list(islice(_between(before, after, (), ()), limit))


def _between(before: Json, after: Json, old_path: Path, path: Path) -> Iterator[Difference]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            if key not in after:
                yield Difference("removed", (*old_path, key), old=value)
            elif not same(value, after[key]):
                yield from _between(value, after[key], (*old_path, key), (*path, key))
        yield from (Difference("added", (*path, key), new=after[key]) for key in after if key not in before)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _of_arrays(before, after, old_path, path)
    elif not same(before, after):
        yield Difference("changed", path, before, after)


def _of_arrays(before: list[Json], after: list[Json], old_path: Path, path: Path) -> Iterator[Difference]:
    pairs = _matched(before, after)
    moves = _moves(before, after, pairs)
    arrived = {new for new, _ in moves.items()}
    left = set(moves.values())
    for old, new in pairs:
        if new is not None and new in arrived:
            yield Difference("moved", (*path, new), new=after[new], origin=(*old_path, moves[new]))
        elif old is None and new is not None:
            yield Difference("added", (*path, new), new=after[new])
        elif old is not None and new is not None:
            yield from _between(before[old], after[new], (*old_path, old), (*path, new))
        if new is None and old is not None and old not in left:
            yield Difference("removed", (*old_path, old), old=before[old])


def _matched(before: list[Json], after: list[Json]) -> list[Pair]:
    """Pairs of elements that are the same one, changed or not; what came or went is paired with None."""
    pairs: list[Pair] = []
    olds: list[int] = []
    news: list[int] = []
    for old, new in align(before, after, same):
        if old is not None and new is not None and same(before[old], after[new]):
            pairs += _by_likeness(before, after, olds, news)
            olds, news = [], []
            pairs.append((old, new))
            continue
        olds += [] if old is None else [old]
        news += [] if new is None else [new]
    return pairs + _by_likeness(before, after, olds, news)


def _by_likeness(before: list[Json], after: list[Json], olds: list[int], news: list[int]) -> list[Pair]:
    """The elements of a gap in order, paired so that the sum of their likeness is greatest."""
    if len(olds) * len(news) > _MAX_COMPARED:
        return _by_place(before, after, olds, news)
    like = [[_likeness(before[old], after[new]) for new in news] for old in olds]
    # best[i][j]: the most that the first i and the first j elements can add up to.
    best = [[0.0] * (len(news) + 1) for _ in range(len(olds) + 1)]
    for i, row in enumerate(like):
        for j, value in enumerate(row):
            together = best[i][j] + value if value >= _ALIKE else 0.0
            best[i + 1][j + 1] = max(together, best[i][j + 1], best[i + 1][j])
    pairs: list[Pair] = []
    i, j = len(olds), len(news)
    while i or j:
        if i and best[i][j] == best[i - 1][j]:
            i -= 1
            pairs.append((olds[i], None))
        elif j and best[i][j] == best[i][j - 1]:
            j -= 1
            pairs.append((None, news[j]))
        else:
            i, j = i - 1, j - 1
            pairs.append((olds[i], news[j]))
    return pairs[::-1]


def _by_place(before: list[Json], after: list[Json], olds: list[int], news: list[int]) -> list[Pair]:
    """The elements of a large gap: equal ones that kept their order are paired, and between them those in one place."""
    # Of as many elements `align` looks at the places alone; one that equals nothing makes it look at what they are.
    last = [{"": id(olds)}] if len(olds) == len(news) else []
    found = align([before[old] for old in olds], [*(after[new] for new in news), *last], same)
    pairs: list[Pair] = []
    for old, new in found:
        if new is not None and new == len(news):
            new = None
        if old is not None or new is not None:
            pairs.append((None if old is None else olds[old], None if new is None else news[new]))
    return pairs


def _likeness(before: Json, after: Json) -> float:
    """From 0, nothing in common, to 1."""
    if isinstance(before, dict) and isinstance(after, dict):
        naming = [key for key in _NAMING if key in before and key in after]
        agreeing = sum(same(before[key], after[key]) for key in naming)
        if naming and not agreeing:
            return 0.0
        keys = before.keys() | after.keys()
        equal = sum(key in before and key in after and same(before[key], after[key]) for key in keys)
        return 0.4 * (agreeing / len(naming) if naming else 0.5) + 0.6 * (equal / len(keys) if keys else 1.0)
    if isinstance(before, str) and isinstance(after, str):
        return _common(before, after) / max(len(before), len(after), 1)
    if isinstance(before, list) and isinstance(after, list):
        equal = sum(same(one, other) for one, other in zip(before, after, strict=False))
        return max(_ALIKE, equal / max(len(before), len(after), 1))
    # Numbers and the like in one place: one became the other.
    return _ALIKE if type(before) is type(after) else 0.0


def _common(before: str, after: str) -> int:
    """Characters that two texts share at their beginning and at their end."""
    head = common_start(before, after)
    return head + min(common_start(before[::-1], after[::-1]), min(len(before), len(after)) - head)


def common_start(one: str, other: str) -> int:
    """How many characters two texts share at their beginning; of long ones faster than looking at each."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[:middle] == other[:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _moves(before: list[Json], after: list[Json], pairs: list[Pair]) -> dict[int, int]:
    """New place -> old place, of elements that were taken out in one place and put in, unchanged, in another."""
    gone: defaultdict[str, list[int]] = defaultdict(list)
    for old, new in pairs:
        if new is None and old is not None:
            gone[_spelled(before[old])].append(old)
    moves: dict[int, int] = {}
    for old, new in pairs if gone else ():
        if old is None and new is not None and (places := gone.get(_spelled(after[new]))):
            moves[new] = places.pop(0)
    return moves


def _spelled(value: Json) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
