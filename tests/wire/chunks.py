"""Cutting bytes into chunks, for tests that must not depend on where the network cuts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from hypothesis import strategies as st


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """`data` cut at the given places."""
    edges = sorted({place for place in places if 0 < place < len(data)})
    return [data[start:end] for start, end in zip([0, *edges], [*edges, len(data)], strict=True)]


def places(data: bytes) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(0, len(data)), max_size=30)


def one_by_one(feed: Callable[[bytes], list[Any]], data: bytes) -> list[Any]:
    return [event for index in range(len(data)) for event in feed(data[index : index + 1])]


def by_chunks(feed: Callable[[bytes], list[Any]], chunks: Iterable[bytes]) -> list[Any]:
    return [event for chunk in chunks for event in feed(chunk)]
