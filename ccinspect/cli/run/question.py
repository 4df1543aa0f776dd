"""A question on the terminal that a command is using, asked while the command is held."""

from __future__ import annotations

import contextlib
import os
import select
import termios
import time
from typing import Any, Protocol


class Readable(Protocol):
    def fileno(self) -> int: ...


def ask(question: str, seconds: float, interrupted: Readable) -> bool | None:
    """Ask for yes or no on the controlling terminal; None when nobody answers in time, `interrupted` becomes readable,
    or there is no terminal. No is what a mere Enter, Control-C and the end of the file say.

    SIGTTOU must be ignored: the command may have the terminal.
    """
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    except OSError:
        return None
    # The terminal may be closed under us.
    with contextlib.suppress(OSError, termios.error):
        try:
            return _ask_on(terminal, question, seconds, interrupted)
        finally:
            os.close(terminal)
    return None


def _ask_on(terminal: int, question: str, seconds: float, interrupted: Readable) -> bool | None:
    owner, settings = os.tcgetpgrp(terminal), termios.tcgetattr(terminal)
    os.tcsetpgrp(terminal, os.getpgrp())
    # Control-C is an answer to us and must not reach the command; what was typed before was meant for the command.
    termios.tcsetattr(terminal, termios.TCSAFLUSH, _for_a_line(settings))
    try:
        os.write(terminal, f"\n{question} [y/N] ".encode())
        answer = _read_line(terminal, time.monotonic() + seconds, interrupted)
        os.write(terminal, b"" if answer is not None and answer.endswith(b"\n") else b"\n")
        return None if answer is None else answer.strip().lower() in (b"y", b"yes")
    finally:
        termios.tcsetattr(terminal, termios.TCSAFLUSH, settings)
        os.tcsetpgrp(terminal, owner)


def _for_a_line(settings: list[Any]) -> list[Any]:
    """Settings for a line that is shown and can be mended; Control-C ends it like Enter."""
    iflag, oflag, cflag, lflag, ispeed, ospeed, characters = settings
    characters = list(characters)
    characters[termios.VEOL] = b"\x03"
    characters[termios.VEOF] = b"\x04"
    return [
        iflag | termios.ICRNL,
        oflag | termios.OPOST | termios.ONLCR,
        cflag,
        (lflag | termios.ICANON | termios.ECHO | termios.ECHOE | termios.ECHOK) & ~termios.ISIG,
        ispeed,
        ospeed,
        characters,
    ]


def _read_line(terminal: int, until: float, interrupted: Readable) -> bytes | None:
    ready, _, _ = select.select([terminal, interrupted.fileno()], [], [], max(0.0, until - time.monotonic()))
    return os.read(terminal, 1024) if terminal in ready else None
