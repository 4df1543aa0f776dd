"""Keys and tokens in what was captured, made unreadable: what goes to a model goes to its provider.

Records have none of them (`store.redaction`), bodies are kept byte for byte and may. What is masked keeps its length,
so that offsets stay right.
"""

from __future__ import annotations

import threading
from typing import Any

from ccinspect.policy.known_secrets import known_shapes
from ccinspect.policy.unreadable import MASK, secrets_in

_AROUND = 24_000
"""Characters looked at on both sides of a piece: the longest of the known shapes is a private key of 20,000."""


def prepare() -> None:
    """Load the shapes in the background: that takes a while, and the first answer should not."""
    threading.Thread(target=known_shapes, daemon=True).start()


def masked(text: str) -> str:
    """The text without what looks like a key of a well-known service."""
    return masked_piece(text, 0, len(text))


def masked_piece(text: str, start: int, end: int) -> str:
    """The characters from `start` to `end`, with the secrets masked that lie in them, whole or in part."""
    first = max(0, start - _AROUND)
    window = text[first : end + _AROUND]
    found = list(window[start - first : end - first])
    for low, high in secrets_in(window):
        for place in range(max(low + first, start), min(high + first, end)):
            found[place - start] = MASK
    return "".join(found)


def masked_json(value: Any) -> Any:
    """The same for each text of a JSON value, names of members too."""
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, dict):
        return {masked(str(name)): masked_json(item) for name, item in value.items()}
    return [masked_json(item) for item in value] if isinstance(value, list | tuple) else value
