"""Reading the daemon's log from its end, and following it through rotations."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ccinspect.cli.text import clean

_BLOCK = 65536
_POLL = 0.2


@dataclass(frozen=True)
class Position:
    """How far the log was read: the file (by inode) and its byte."""

    inode: int
    offset: int


def show_last(path: Path, lines: int, write: Callable[[str], None]) -> Position:
    """Write the newest `lines` lines; returns where to go on. A missing file has no lines."""
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            start, tail = size, b""
            while start and tail.count(b"\n") <= lines:
                start = max(0, start - _BLOCK)
                stream.seek(start)
                tail = stream.read(size - start)
            complete = tail[: tail.rfind(b"\n") + 1]
            for line in complete.splitlines()[-lines:] if lines else []:
                write(clean(line.decode("utf-8", "replace")))
            return Position(os.fstat(stream.fileno()).st_ino, size - (len(tail) - len(complete)))
    except FileNotFoundError:
        return Position(0, 0)


def follow(path: Path, position: Position, write: Callable[[str], None]) -> None:
    """Write lines as they come, for ever (until KeyboardInterrupt or BrokenPipeError)."""
    while True:
        position = read_new(path, position, write)
        sys.stdout.flush()
        time.sleep(_POLL)


def read_new(path: Path, position: Position, write: Callable[[str], None]) -> Position:
    """Write the whole lines behind `position`, also those left in a file that was rotated away since then."""
    try:
        with path.open("rb") as stream:
            inode = os.fstat(stream.fileno()).st_ino
            if inode == position.inode:
                return Position(inode, _copy_lines(stream.fileno(), position.offset, write))
            if position.inode:
                _finish_rotated(path, position, write)
            return Position(inode, _copy_lines(stream.fileno(), 0, write))
    except FileNotFoundError:
        return position


def _finish_rotated(path: Path, position: Position, write: Callable[[str], None]) -> None:
    previous = path.with_name(path.name + ".1")
    try:
        with previous.open("rb") as stream:
            if os.fstat(stream.fileno()).st_ino == position.inode:
                _copy_lines(stream.fileno(), position.offset, write)
    except FileNotFoundError:
        pass


def _copy_lines(descriptor: int, offset: int, write: Callable[[str], None]) -> int:
    """Write the whole lines from `offset` on; returns the offset behind them."""
    size = os.fstat(descriptor).st_size
    if size < offset:  # Truncated by hand: begin anew.
        offset = 0
    data = os.pread(descriptor, size - offset, offset)
    complete = data[: data.rfind(b"\n") + 1]
    for line in complete.splitlines():
        write(clean(line.decode("utf-8", "replace")))
    return offset + len(complete)
