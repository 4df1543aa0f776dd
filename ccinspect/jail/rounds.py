"""One round of a loop whose selector's keys carry callables that take the event mask."""

from __future__ import annotations

import selectors


def serve_ready(selector: selectors.BaseSelector, timeout: float | None) -> None:
    """Wait `timeout` seconds at most (None: for ever), and call what is ready.

    A callback may close what a later event of the same round is about: that event is left out, also where something
    new has got the closed descriptor's number.
    """
    for key, mask in selector.select(timeout):
        present = selector.get_map().get(key.fd)
        if present is not None and present.fileobj is key.fileobj:
            key.data(mask)
