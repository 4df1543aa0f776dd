"""Findings about this machine, as lines for a person."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ccinspect.cli import text
from ccinspect.cli.output import DIM, GREEN, RED, YELLOW, paint, terminal_width

_NAME_COLUMNS = 22
_COLOURS = {"ok": GREEN, "warn": YELLOW, "fail": RED, "absent": DIM}


def check_lines(checks: Sequence[Mapping[str, Any]], columns: int | None = None) -> Iterator[str]:
    """Each check with its status and name; what is to be done stands below. `columns` is the width of the names."""
    names = [len(check["name"]) for check in checks]
    columns = columns or max([length for length in names if length <= _NAME_COLUMNS], default=0)
    for check in checks:
        yield from _lines(check, columns)


def _lines(check: Mapping[str, Any], name_columns: int) -> Iterator[str]:
    indent = " " * (name_columns + 9)
    name = check["name"]
    lines = wrapped(text.clean(check["detail"]), indent, indent) or [indent]
    if len(name) <= name_columns:
        yield f"{_status(check)} {name:<{name_columns}}  {lines.pop(0)[len(indent) :]}".rstrip()
    else:
        yield f"{_status(check)} {name}"
    yield from lines
    if check["fix"]:
        yield from wrapped(text.clean(check["fix"]), f"{indent}-> ", f"{indent}   ")


def _status(check: Mapping[str, Any]) -> str:
    return paint(f"{check['status']:<6}", _COLOURS.get(check["status"], ""))


def wrapped(sentence: str, first: str, rest: str) -> list[str]:
    """A sentence broken at the terminal's width. Commands and paths are for copying: they are not cut."""
    return textwrap.wrap(
        sentence,
        max(60, terminal_width()),
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )
