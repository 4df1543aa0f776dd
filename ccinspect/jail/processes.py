"""Finding and ending what a run leaves behind."""

from __future__ import annotations

import contextlib
import os
import signal
import time

_ROUNDS = 20


def children(pid: int) -> list[int]:
    """The direct children of a process."""
    with contextlib.suppress(OSError):
        found: list[int] = []
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
                found += map(int, file.read().split())
        return found
    return [child for child, parent in _parents().items() if parent == pid]


def descendants(pid: int) -> list[int]:
    """All processes below one, parents before children."""
    found: list[int] = []
    queue = [pid]
    while queue:
        below = children(queue.pop())
        found += below
        queue += below
    return found


def _parents() -> dict[int, int]:
    """Parent of every process: the long way, for kernels that do not list children."""
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError), open(f"/proc/{entry}/stat", "rb") as file:
                found[int(entry)] = int(file.read().rpartition(b")")[2].split()[1])
    return found


def hold(spare: frozenset[int] = frozenset()) -> list[int]:
    """Stop all processes below this one but `spare` and theirs; those that ran until now, children before parents."""
    held: list[int] = []
    # What one of them started before the signal came is found in the next round.
    for _round in range(_ROUNDS):
        fresh = [pid for pid in _below(spare) if pid not in held and _runs(pid)]
        if not fresh:
            break
        for pid in fresh:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGSTOP)
        held += fresh
    return held[::-1]


def release(held: list[int]) -> None:
    """Let what `hold` stopped go on, and draw its screen anew."""
    for pid in held:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGCONT)
            os.kill(pid, signal.SIGWINCH)


def _below(spare: frozenset[int]) -> list[int]:
    spared = {pid for root in spare for pid in (root, *descendants(root))}
    return [pid for pid in descendants(os.getpid()) if pid not in spared]


def _runs(pid: int) -> bool:
    """Whether a process is neither stopped nor dead."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] not in (b"T", b"t", b"Z", b"X")
    except OSError:
        return False


def end_descendants(grace: float, spare: frozenset[int] = frozenset()) -> None:
    """End all processes below this one but `spare` and theirs: SIGTERM, and SIGKILL after `grace` seconds.

    For a subreaper: what loses its parent meanwhile becomes a child of this process, and is found in the next round.
    """
    deadline = time.monotonic() + grace
    asked: set[int] = set()
    while reap(spare):
        hard = time.monotonic() >= deadline
        if hard and time.monotonic() > deadline + 5:
            return
        for pid in _below(spare):
            if not hard and pid in asked:
                continue
            asked.add(pid)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL if hard else signal.SIGTERM)
                os.kill(pid, signal.SIGCONT)
        time.sleep(0.002)


def reap(spare: frozenset[int] = frozenset()) -> bool:
    """Collect every child that has ended; returns whether others than `spare` still live."""
    for pid in children(os.getpid()):
        if pid in spare:
            continue
        with contextlib.suppress(ChildProcessError):
            if os.waitpid(pid, os.WNOHANG)[0] == 0:
                return True
    return bool(set(children(os.getpid())) - spare)
