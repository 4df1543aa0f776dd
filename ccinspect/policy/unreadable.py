"""Keys and tokens in texts that leave for another program, made unreadable: where they stand is known by their form."""

from __future__ import annotations

from collections.abc import Iterator

from ccinspect.policy.known_secrets import known_shapes
from ccinspect.store.redaction import known_keys

MASK = "█"
_SHORTEST = 12


def secrets_in(text: str) -> Iterator[tuple[int, int]]:
    """Where secrets stand, (start, end) of each; they may overlap, and come in no order."""
    if len(text) < _SHORTEST:
        return
    yield from known_keys(text)
    for shape in known_shapes():
        for match in shape.pattern.finditer(text):
            if (span := shape.span(match, text, len(text))) is not None:
                yield span


def masked(text: str) -> str:
    """The text without what looks like a key of a well-known service; as long as it was."""
    found = None
    for start, end in secrets_in(text):
        found = found or list(text)
        found[start:end] = MASK * (end - start)
    return text if found is None else "".join(found)
