from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccinspect.wire.jsondiff import differences
from ccinspect.wire.jsonedit import same

U1, A1, U2 = ({"role": role, "content": text} for role, text in [("user", "a b c"), ("assistant", "d"), ("user", "e")])
BLOCK = {"type": "text", "text": "You are an agent. " * 20}


def told(before: Any, after: Any) -> list[dict[str, Any]]:
    return [difference.as_record() for difference in differences(before, after)]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, []),
        ({"a": 1}, {"a": 2}, [{"kind": "changed", "path": ".a", "old": 1, "new": 2}]),
        ({"a": 1}, {"a": 1.0}, [{"kind": "changed", "path": ".a", "old": 1, "new": 1.0}]),
        ({"a": True}, {"a": 1}, [{"kind": "changed", "path": ".a", "old": True, "new": 1}]),
        ({"a": 1}, {}, [{"kind": "removed", "path": ".a", "old": 1}]),
        ({}, {"a": None}, [{"kind": "added", "path": ".a", "new": None}]),
        ([], {}, [{"kind": "changed", "path": ".", "old": [], "new": {}}]),
        ([U1, A1], [U1, A1, U2], [{"kind": "added", "path": "[2]", "new": U2}]),
        ([U1, A1, U2], [A1, U2], [{"kind": "removed", "path": "[0]", "old": U1}]),
        ([U1, A1, U2], [U2, U1, A1], [{"kind": "moved", "path": "[0]", "from": "[2]"}]),
        (
            {"system": [BLOCK]},
            {"system": [{"type": "text", "text": "x"}, BLOCK | {"cache_control": {"type": "ephemeral"}}]},
            [
                {"kind": "added", "path": ".system[0]", "new": {"type": "text", "text": "x"}},
                {"kind": "added", "path": ".system[1].cache_control", "new": {"type": "ephemeral"}},
            ],
        ),
        (
            [{"name": "Bash", "x": 1}, {"name": "Read", "x": 2}],
            [{"name": "Grep", "x": 3}, {"name": "Bash", "x": 4}],
            [
                {"kind": "added", "path": "[0]", "new": {"name": "Grep", "x": 3}},
                {"kind": "changed", "path": "[1].x", "old": 1, "new": 4},
                {"kind": "removed", "path": "[1]", "old": {"name": "Read", "x": 2}},
            ],
        ),
        ([1, 2, 3], [1, 9, 3], [{"kind": "changed", "path": "[1]", "old": 2, "new": 9}]),
    ],
)
def test_differences(before: Any, after: Any, expected: list[dict[str, Any]]) -> None:
    assert told(before, after) == expected


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.5, 1.0]) | st.sampled_from(["a", "ab", "b"]),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from(["a", "b", "role", "id"]), inner),
    max_leaves=12,
)


@given(VALUES, VALUES)
def test_nothing_is_said_of_equal_values_and_something_of_others(before: Any, after: Any) -> None:
    assert bool(told(before, after)) is not same(before, after)


@given(VALUES, VALUES)
def test_each_value_is_where_its_path_says(before: Any, after: Any) -> None:
    for difference in differences(before, after):
        if difference.kind in ("removed", "changed"):
            old = before if difference.kind == "removed" else None
            for step in difference.path if difference.kind == "removed" else ():
                old = old[step]
            assert difference.kind == "changed" or same(old, difference.old)
        if difference.kind != "removed":
            new = after
            for step in difference.path:
                new = new[step]
            assert same(new, difference.new)
        if difference.kind == "moved":
            old = before
            for step in difference.origin:
                old = old[step]
            assert same(old, difference.new)


def test_a_long_conversation_takes_a_moment() -> None:
    before = [{"role": "user", "content": f"{number} " * 50} for number in range(3_000)]
    after = [{"role": "user", "content": "new"}, *before[:1_500], *reversed(before[1_500:])]
    started = time.process_time()
    found = differences(before, after)
    assert time.process_time() - started < 5
    assert len(json.dumps([difference.as_record() for difference in found])) < 1_000_000


def test_a_long_array_that_lost_its_first_and_got_a_last_element() -> None:
    before = [{"role": "user", "content": f"{number} " * 50} for number in range(3_000)]
    new = {"role": "user", "content": "new"}
    assert told(before, [*before[1:], new]) == [
        {"kind": "removed", "path": "[0]", "old": before[0]},
        {"kind": "added", "path": "[2999]", "new": new},
    ]


def test_no_more_than_the_limit_is_told() -> None:
    assert len(differences(list(range(100)), [], limit=7)) == 7
