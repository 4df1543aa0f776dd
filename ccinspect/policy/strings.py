"""The texts in a body: each string of a JSON text with its escapes undone, or all of any other text.

The body is never parsed to values and written again: what is replaced is cut out of its own bytes, so that everything
else stays as it was, also in JSON with equal keys, in many lines of JSON, and in JSON with a mistake in it.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from itertools import accumulate
from json import decoder
from typing import NamedTuple

from ccinspect.wire.model import format_path

LONGEST_NUMBER = 400
_MAX_KEY_SHOWN = 60
_AT_ONCE = 2_000_000

# Possessive, and a string without its end counts as one: else hostile quotes would take quadratic time.
_INSIDE = r'[^"\\]*+(?:\\.[^"\\]*+)*+'
_STRING = rf'"{_INSIDE}(?:"|\\?\Z)'
# Numbers too: an account's number need not be a string. Short ones can be nobody's secret.
_TOKENS = re.compile(rf"{_STRING}|(?<![\w.+-])-?\d[\d.eE+-]{{5,{LONGEST_NUMBER}}}", re.DOTALL)
_CLOSED = re.compile(rf'"{_INSIDE}"', re.DOTALL)
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


class Texts:
    """Every string (keys too) and every longer number of a JSON body, in order; of other bodies, all as one text.

    Where they stand is found out only when somebody asks: most bodies hold nothing that is looked for.
    """

    def __init__(self, data: bytes) -> None:
        self.body = Body.of(data)
        self.json = is_json(self.body.text)
        self.texts = _insides(_tokens(self.body.text)) if self.json else [self.body.text]
        self.joined = "\n".join(self.texts)
        """All of them, with a line end between two."""
        self.starts = [0, *accumulate(len(text) + 1 for text in self.texts)][:-1]
        """Where each begins in `joined`."""
        self._spans: list[tuple[int, int]] | None = None

    def piece(self, index: int) -> Piece:
        if not self.json:
            return Piece(0, len(self.body.text), self.body.text, False)
        if self._spans is None:
            self._spans = [match.span() for match in _TOKENS.finditer(self.body.text)]
        start, end = self._spans[index]
        token = self.body.text[start:end]
        if token[0] != '"':
            return Piece(start, end, token, True)
        return Piece(start + 1, end - 1 if _CLOSED.fullmatch(token) else end, self.texts[index], False)

    def at(self, place: int) -> int:
        """Which text stands at a place in `joined`."""
        return bisect_right(self.starts, place) - 1


def _tokens(text: str) -> list[str]:
    if len(text) <= _AT_ONCE:
        return _TOKENS.findall(text)
    # Slower, but it lets the other threads run between two of them.
    return [match[0] for match in _TOKENS.finditer(text)]


def _insides(tokens: list[str]) -> list[str]:
    # Most need no function call. Only the last string can be without its end.
    found = [token[1:-1] if token[0] == '"' and "\\" not in token else _inside(token) for token in tokens]
    return [*found[:-1], *map(_inside, tokens[-1:])]


def _inside(token: str) -> str:
    """A token's text with its escapes undone; as it stands there if it is no proper JSON."""
    if token[0] != '"':
        return token
    if "\\" in token:
        try:
            return _scanstring(token, 1, False)[0]
        except ValueError:
            pass
    return token[1:-1] if _CLOSED.fullmatch(token) else token[1:]


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
                steps[-1] = instead.get(at + 1) or _key(match[0])
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


def _key(token: str) -> str:
    key = _inside(token)
    return key if len(key) <= _MAX_KEY_SHOWN else f"{key[:_MAX_KEY_SHOWN]}..."
