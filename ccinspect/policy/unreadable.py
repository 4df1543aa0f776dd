"""Keys and tokens in texts that leave for another program, made unreadable: where they stand is known by their form.

A model that asks about captured traffic sends what it is told to its provider, a collector belongs to somebody else.
The store's records have no keys in them (`store.redaction`); bodies are kept byte for byte, and may.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

from ccinspect.policy.known_secrets import known_shapes
from ccinspect.store.redaction import known_keys

MASK = "█"
_SHORTEST = 12
_AROUND = 24_000
"""Characters looked at on both sides of a piece: the longest of the known shapes is a private key of 20,000."""


def prepare() -> None:
    """Load the shapes in the background: that takes a while, and the first answer should not."""
    threading.Thread(target=known_shapes, daemon=True).start()


def masked(text: str) -> str:
    """The text without what looks like a key of a well-known service; as long as it was, so that offsets stay right."""
    found = None
    for start, end in _secrets_in(text):
        found = found or list(text)
        found[start:end] = MASK * (end - start)
    return text if found is None else "".join(found)


def masked_piece(text: str, start: int, end: int) -> str:
    """The characters from `start` to `end`, with the secrets masked that lie in them, whole or in part."""
    first = max(0, start - _AROUND)
    return masked(text[first : end + _AROUND])[start - first : end - first]


def masked_json(value: Any) -> Any:
    """A JSON value with each of its texts masked, names of members too."""
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, dict):
        return {masked(str(name)): masked_json(item) for name, item in value.items()}
    return [masked_json(item) for item in value] if isinstance(value, list | tuple) else value


def _secrets_in(text: str) -> Iterator[tuple[int, int]]:
    """Where secrets stand, (start, end) of each; they may overlap, and come in no order."""
    if len(text) < _SHORTEST:
        return
    yield from known_keys(text)
    for shape in known_shapes():
        for match in shape.pattern.finditer(text):
            if (span := shape.span(match, text, len(text))) is not None:
                yield span
