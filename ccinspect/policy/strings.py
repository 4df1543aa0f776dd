"""The texts in a body: each string of a JSON text with its escapes undone, or all of any other text.

The body is never parsed to values and written again: what is replaced is cut out of its own bytes, so that everything
else stays as it was, also in JSON with equal keys, in many lines of JSON, and in JSON with a mistake in it.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from json import decoder
from typing import NamedTuple

from ccinspect.wire.model import format_path

LONGEST_NUMBER = 400
_MAX_KEY_SHOWN = 60

# Possessive, and a string without its end counts as one: else hostile quotes would take quadratic time.
_INSIDE = r'[^"\\]*+(?:\\.[^"\\]*+)*+'
_STRING = rf'"{_INSIDE}(?:"|\\?\Z)'
# Numbers too: an account's number need not be a string. Short ones can be nobody's secret.
_TOKENS = re.compile(rf'"({_INSIDE})(?:"|\\?\Z)|(?<![\w.+-])-?\d[\d.eE+-]{{5,{LONGEST_NUMBER}}}', re.DOTALL)
_STRUCTURE = re.compile(rf"{_STRING}|[{{}}\[\],:]", re.DOTALL)
_ESCAPES = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\.|[^\\]++", re.DOTALL
)
# The C one, where there is one; typeshed does not know it.
_scanstring: Callable[[str, int, bool], tuple[str, int]] = decoder.scanstring  # type: ignore[attr-defined]
_BEGIN = re.compile(r"\ufeff?[ \t\r\n]*[\[{\"]")


@dataclass(frozen=True, slots=True)
class Body:
    """A body as text that can be turned into the same bytes again."""

    text: str
    encoding: str
    errors: str

    @classmethod
    def of(cls, data: bytes) -> Body:
        # Some servers take JSON in UTF-16 and UTF-32, as Python's own parser does.
        encoding = json.detect_encoding(data[:8])
        if encoding not in ("utf-8", "utf-8-sig"):
            try:
                text = data.decode(encoding, "surrogatepass")
                if text.encode(encoding, "surrogatepass") == data:
                    return cls(text, encoding, "surrogatepass")
            except UnicodeError:
                pass
        return cls(data.decode("utf-8", "surrogateescape"), "utf-8", "surrogateescape")

    def encode(self, text: str) -> bytes:
        return text.encode(self.encoding, self.errors)


class Piece(NamedTuple):
    start: int
    """Where its inside begins in the body's text, after the quote."""
    end: int
    text: str
    """With its escapes undone."""
    number: bool

    def raw_span(self, body: str, start: int, end: int) -> tuple[int, int]:
        """Where the characters from `start` to `end` of `text` stand in the body's text, escapes whole."""
        if len(self.text) == self.end - self.start:
            return self.start + start, self.start + end
        decoded, raw = [0], [self.start]
        for match in _ESCAPES.finditer(body, self.start, self.end):
            escape = match[0].startswith("\\")
            decoded.append(decoded[-1] + (1 if escape else len(match[0])))
            raw.append(match.end())
        return _raw(decoded, raw, start, up=False), _raw(decoded, raw, end, up=True)


def _raw(decoded: list[int], raw: list[int], at: int, up: bool) -> int:
    """The place in the body of place `at` in the text; inside of a plain stretch they run side by side."""
    index = bisect_right(decoded, at) - 1
    if decoded[index] == at or index + 1 == len(decoded):
        return raw[index]
    stretch = decoded[index + 1] - decoded[index]
    if stretch == raw[index + 1] - raw[index]:
        return raw[index] + at - decoded[index]
    return raw[index + 1] if up else raw[index]


def is_json(text: str) -> bool:
    """Whether it begins as JSON does; nothing is said about the rest."""
    return _BEGIN.match(text) is not None


def pieces(text: str) -> Iterator[Piece]:
    """Every string (keys too) and every longer number of JSON, in order; for other text, all of it as one piece."""
    if not is_json(text):
        yield Piece(0, len(text), text, False)
        return
    for match in _TOKENS.finditer(text):
        start, end = match.span(1)
        if start < 0:
            yield Piece(*match.span(), match[0], True)
        else:
            inside = match[1]
            yield Piece(start, end, _decoded(text, start) if "\\" in inside else inside, False)


def _decoded(text: str, start: int) -> str:
    """The string whose inside begins at `start`; as it stands there if that is no proper JSON."""
    try:
        return _scanstring(text, start, False)[0]
    except ValueError:
        match = _TOKENS.match(text, start - 1)
        return match[1] if match is not None else ""


def paths(text: str, wanted: Collection[int], instead: Mapping[int, str]) -> dict[int, str]:
    """Where in the JSON the strings and numbers stand whose insides begin at `wanted`, as jq writes it.

    `instead` has what to show for keys by where they begin: keys may hold what was found.
    """
    found: dict[int, str] = {}
    steps: list[str | int] = []
    containers: list[str] = []
    expect_key = False
    marks = sorted(wanted)
    numbers = iter(marks)
    following = next(numbers, None)
    for match in _STRUCTURE.finditer(text):
        token, at = match[0][0], match.start()
        # What begins before this token and is no string is a number.
        while following is not None and following <= at:
            if following not in found:
                found[following] = format_path(tuple(steps))
            following = next(numbers, None)
        if token == '"':
            if expect_key and containers and containers[-1] == "{":
                steps[-1] = instead.get(at + 1) or _key(text, at)
                expect_key = False
            if at + 1 in wanted:
                found[at + 1] = format_path(tuple(steps))
        elif token in "{[":
            containers.append(token)
            steps.append("" if token == "{" else 0)
            expect_key = token == "{"
        elif token in "}]":
            if containers:
                containers.pop()
                steps.pop()
            expect_key = False
        elif token == "," and containers:
            if containers[-1] == "[" and isinstance(steps[-1], int):
                steps[-1] += 1
            expect_key = containers[-1] == "{"
        if following is None and len(found) == len(marks):
            break
    for mark in marks:
        found.setdefault(mark, format_path(tuple(steps)))
    return found


def _key(text: str, quote: int) -> str:
    key = _decoded(text, quote + 1)
    return key if len(key) <= _MAX_KEY_SHOWN else f"{key[:_MAX_KEY_SHOWN]}..."
