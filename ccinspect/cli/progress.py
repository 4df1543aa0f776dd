"""A line on the terminal that says how far a long piece of work has come."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from ccinspect.cli.output import terminal_width
from ccinspect.cli.understanding import bars

_PATIENCE = 0.4
"""Seconds of silence: what is done by then needs no bar."""
_EVERY = 0.1


class Progress:
    """Call it with (done, all). Says nothing unless stderr is a terminal; wipes its line when it is left."""

    def __init__(self, what: str) -> None:
        """`what` is being done, as `analysing flows`."""
        self._what = what
        self._shown = False
        self._next = time.monotonic() + _PATIENCE

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def __call__(self, done: int, everything: int) -> None:
        now = time.monotonic()
        if now < self._next or not sys.stderr.isatty():
            return
        self._next = now + _EVERY
        self._shown = True
        sys.stderr.write(f"\r\x1b[K{progress_line(self._what, done, everything, terminal_width() - 1)}")
        sys.stderr.flush()


def progress_line(what: str, done: int, everything: int, columns: int) -> str:
    """`what [####....] 12 of 34`, at most `columns` wide."""
    numbers = f"{done:,} of {everything:,}"
    room = columns - len(what) - len(numbers) - 4
    if room < 5:
        return f"{what} {numbers}"[:columns]
    parts = [bars.Segment(done, "", "#"), bars.Segment(max(0, everything - done), "", ".")]
    return f"{what} [{bars.bar(parts, min(room, 40), colours=False)}] {numbers}"
