"""Lines of ours in a file with `#` comments: TOML, YAML, .env files, shell start-up files. Markers enclose them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ccinspect.setup.edits import Insert, NotUnderstood, line_end

BEGIN, END = "# >>> ccinspect >>>", "# <<< ccinspect <<<"
_MARKER = re.compile(rf"(?:^|(?<=\ufeff))[ \t]*(?:{re.escape(BEGIN)}|{re.escape(END)})[ \t]*\r?$", re.MULTILINE)
_BYTE_ORDER_MARK = "\ufeff"


class Fenced:
    """The half of a form (`forms.py`) that finds our lines again by their markers, whatever they say."""

    def remove(self, text: str, settings: Mapping[tuple[str, ...], Any], made: Sequence[tuple[str, ...]]) -> str:
        return remove(text)

    def made(self, text: str, settings: Mapping[tuple[str, ...], Any]) -> list[tuple[str, ...]]:
        return []


def find(text: str) -> list[tuple[int, int]]:
    """Where our lines begin and end, markers and the last line end included: in one place or more.

    Raises NotUnderstood when the markers are no pairs: then nobody can tell which lines are ours.
    """
    found = list(_MARKER.finditer(text))
    words = [match[0].strip() for match in found]
    if words != [BEGIN, END] * (len(found) // 2):
        raise NotUnderstood(f"the lines `{BEGIN}` and `{END}` in it are no pairs any more")
    ends = [match.end() for match in found[1::2]]
    return [
        (begin.start(), end + (1 if text[end : end + 1] == "\n" else 0))
        for begin, end in zip(found[::2], ends, strict=True)
    ]


def remove(text: str) -> str:
    """`text` without our lines. Raises NotUnderstood."""
    for begin, end in reversed(find(text)):
        text = text[:begin] + text[end:]
    return text


def append(text: str, lines: Sequence[str]) -> list[Insert]:
    """Put lines at the end. `text` must have none of ours."""
    missing = "" if not text or text.endswith("\n") else line_end(text)
    return [Insert(len(text), missing + block(lines, text))]


def prepend(text: str, lines: Sequence[str]) -> list[Insert]:
    """Put lines at the start. `text` must have none of ours."""
    return [Insert(1 if text.startswith(_BYTE_ORDER_MARK) else 0, block(lines, text))]


def block(lines: Sequence[str], text: str, indent: str = "") -> str:
    """Lines between our markers, with line ends as in `text`."""
    end = line_end(text)
    return "".join(f"{indent}{line}{end}" for line in (BEGIN, *lines, END))
