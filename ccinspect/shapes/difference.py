"""Two shapes beside each other, as a unified diff of their files."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from ccinspect.shapes.shape import Shape, shape_text

_MAX_LINES = 20_000
"""Of both files: difflib takes quadratic time in the worst case."""


def differences(before: Shape, after: Shape, before_name: str, after_name: str, context: int = 3) -> Iterator[str]:
    """The lines of a unified diff without line ends; none when both are equal but for where they come from."""
    old, new = _lines(before), _lines(after)
    if len(old) + len(new) > _MAX_LINES and old != new:
        yield f"{before_name} and {after_name} differ; they are too long to be compared line by line"
        return
    yield from difflib.unified_diff(old, new, before_name, after_name, n=context, lineterm="")


def _lines(shape: Shape) -> list[str]:
    return shape_text(shape.model_copy(update={"name": "x", "saved_from": None, "saved_at": None})).splitlines()[1:]
