"""Questions about many things at once, in statements of as many parameters as every SQLite takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Sized

_AT_ONCE = 500


def batches[T](items: Sequence[T]) -> Iterator[list[T]]:
    """The items in their order, as many at once as may stand in one statement."""
    for start in range(0, len(items), _AT_ONCE):
        yield list(items[start : start + _AT_ONCE])


def placeholders(batch: Sized) -> str:
    """A question mark for each, as they stand between the brackets of IN (...)."""
    return ", ".join("?" * len(batch))
