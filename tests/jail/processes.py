"""Looking at processes from outside."""

from __future__ import annotations

import contextlib
from pathlib import Path


def tree(pid: int) -> list[int]:
    """A process and all below it."""
    found, queue = [], [pid]
    while queue:
        parent = queue.pop()
        found.append(parent)
        with contextlib.suppress(OSError):
            queue += map(int, Path(f"/proc/{parent}/task/{parent}/children").read_text().split())
    return found


def named(pids: list[int], part: str) -> int:
    """The process whose command line holds `part`."""
    for pid in pids:
        with contextlib.suppress(OSError):
            if part in Path(f"/proc/{pid}/cmdline").read_text():
                return pid
    raise LookupError(part)


def alive(pids: list[int]) -> list[str]:
    found = []
    for pid in pids:
        with contextlib.suppress(OSError):
            status = Path(f"/proc/{pid}/status").read_text()
            if "State:\tZ" not in status:
                found.append(f"{pid} {Path(f'/proc/{pid}/cmdline').read_text()!r}")
    return found
