"""Places in JSON documents."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccinspect.shapes import fieldpath
from ccinspect.shapes.fieldpath import MISSING


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (".", ()),
        (".system", ("system",)),
        ("system", ("system",)),
        (".messages[0].content", ("messages", 0, "content")),
        ('.["odd key"].b', ("odd key", "b")),
        ('."odd key"', ("odd key",)),
        (".[2]", (2,)),
        (".a[-1]", ("a", -1)),
        (".top_p", ("top_p",)),
    ],
)
def test_paths_are_read(text: str, path: tuple[str | int, ...]) -> None:
    assert fieldpath.parse(text) == path


@pytest.mark.parametrize("text", ["", "..", ".a..b", ".a b", ".a[", ".a[x]", ".a.", '.["x', "x" * 501, ".a]"])
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="path"):
        fieldpath.parse(text)


@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.integers(0, 999), min_size=1, max_size=6
    )
)
def test_what_is_spelled_is_read_back(steps: list[str | int]) -> None:
    assert fieldpath.parse(fieldpath.spell(tuple(steps))) == tuple(steps)


def test_values_are_put_and_taken() -> None:
    document: dict[str, Any] = {"a": {"b": [1, {"c": None}]}}
    assert fieldpath.get(document, ("a", "b", 1, "c")) is None
    assert fieldpath.get(document, ("a", "b", 2)) is MISSING
    assert fieldpath.get(document, ("a", 0)) is MISSING
    assert fieldpath.put(document, ("x", "y", "z"), 1)
    assert document["x"] == {"y": {"z": 1}}
    assert fieldpath.put(document, ("a", "b", 0), 9)
    assert fieldpath.remove(document, ("a", "b", 1, "c"))
    assert document["a"] == {"b": [9, {}]}


def test_documents_that_share_parts_are_not_changed_with_each_other() -> None:
    one: dict[str, Any] = {"a": {"b": [1, {"c": 2}]}, "d": [3]}
    other, before = dict(one), copy.deepcopy(one)
    assert fieldpath.put(other, ("a", "b", 1, "c"), 9)
    assert fieldpath.put(other, ("a", "x", "y"), 9)
    assert fieldpath.remove(other, ("d", 0))
    assert one == before
    assert other == {"a": {"b": [1, {"c": 9}], "x": {"y": 9}}, "d": []}


@pytest.mark.parametrize("path", [(), ("a", "b"), ("l", 3), ("l", "x"), ("l", 0, "y"), ("new", 0)])
def test_a_blocked_way_changes_nothing(path: tuple[str | int, ...]) -> None:
    document: dict[str, Any] = {"a": 1, "l": [2]}
    assert not fieldpath.put(document, path, 5)
    assert document == {"a": 1, "l": [2]}


def test_leaves_come_in_order() -> None:
    found = list(fieldpath.leaves({"a": [1, {"b": 2}], "c": {}, "d": []}))
    assert found == [(("a", 0), 1), (("a", 1, "b"), 2), (("c",), {}), (("d",), [])]
