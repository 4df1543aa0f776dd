"""Where words go: results to stdout, everything said about them to stderr; colours only on a terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any, TextIO

from ccinspect.cli.text import clean, clean_json, clean_lines
from ccinspect.errors import CcinspectError

RED, GREEN, YELLOW, CYAN, DIM, BOLD = "31", "32", "33", "36", "2", "1"


def colours_on(stream: TextIO) -> bool:
    """Whether to colour: a terminal that can, and no NO_COLOR (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, colour: str, stream: TextIO | None = None) -> str:
    return f"\x1b[{colour}m{text}\x1b[0m" if colour and colours_on(stream or sys.stdout) else text


def say(text: str, colour: str = "") -> None:
    """One remark of our own, on stderr: stdout belongs to results and to the program that is run."""
    print(paint(clean_lines(text), colour, sys.stderr), file=sys.stderr)


def write(text: str) -> None:
    """A result: text that is already clean, with a line end."""
    sys.stdout.write(text + "\n")


def report_error(error: CcinspectError) -> None:
    """What happened and what to do next, in two lines."""
    print(f"{paint('ccinspect:', RED, sys.stderr)} {clean_lines(error.message)}", file=sys.stderr)
    if error.hint:
        print(f"  {clean_lines(error.hint)}", file=sys.stderr)


def json_text(value: Any, indent: int | None = 2) -> str:
    """`value` as JSON that a terminal can show without danger."""
    import json

    only_ascii = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
    return clean_json(json.dumps(value, ensure_ascii=only_ascii, indent=indent))


def write_json(value: Any) -> None:
    write(json_text(value))


def terminal_width() -> int:
    import shutil

    return shutil.get_terminal_size((80, 24)).columns


def write_table(columns: Sequence[Any], rows: Sequence[Any]) -> None:
    """A table that fits the terminal; tab-separated values without a heading when stdout is no terminal."""
    from ccinspect.cli import table

    if sys.stdout.isatty():
        lines = table.aligned(columns, rows, terminal_width(), colours_on(sys.stdout))
    else:
        lines = table.tab_separated(rows)
    for line in lines:
        write(line)


def write_notes(*notes: str) -> None:
    """Remarks below a table, for people: broken at the terminal's width; nothing when stdout is no terminal."""
    if sys.stdout.isatty():
        for line in note_lines(terminal_width(), *notes):
            write(line)


def note_lines(columns: int, *notes: str) -> Iterator[str]:
    """The lines of remarks of ours, none wider than `columns`; empty ones are left out."""
    import textwrap

    for note in notes:
        for line in textwrap.wrap(clean(note), max(20, columns)):
            yield paint(line, DIM)


def confirm(question: str) -> bool:
    """Ask on the terminal; only `y` and `yes` mean yes."""
    import signal

    # A Ctrl-C that comes just before the read would wait for the next key if Python handled it. Nothing is open here.
    handler = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
        return sys.stdin.readline().strip().lower() in ("y", "yes")
    finally:
        signal.signal(signal.SIGINT, handler)
