"""Waiting for what no event tells of, in the one place where tests look again and again.

Another process begins to listen, a stranger's processes go, an SDK decides that a collector is back, systemd starts a
unit anew: nothing of this can be waited for from outside. What can be (a process by its pidfd, a flow by the daemon's
events, a pipe by `select`) is not waited for here. That something does *not* happen is looked for as long as it would
take.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable


def wait_until(condition: Callable[[], object], seconds: float = 10, *, pause: float = 0.01) -> bool:
    """Ask until `condition` holds; returns whether it did within `seconds`. `pause` lies between two questions."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        select.select([], [], [], pause)
    return True
