"""File contents in the text of a message: which stretches of it are files, and which.

Recognised, as agents and people put files into prompts: XML-like tags (`<file path="a.py">...</file>`), fences with
a file name, fences of LONG_FENCE lines or more, a fence whose first line is a comment with a path, and a path on a
line of its own followed by a fence. Takes time linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

LONG_FENCE = 50
"""Lines from which a fence without a name is taken for a file rather than an example."""

MAX_FILES = 500
"""What comes after so many files in one text is taken for plain text."""

_NAME_LIMIT = 300
_SUFFIX = r"\.[A-Za-z][A-Za-z0-9_+-]{0,14}"
_PATH = re.compile(
    rf"(?:[\w.@~+-]{{1,100}}[/\\]){{0,40}}[\w.@~+()\[\]-]{{1,120}}{_SUFFIX}|(?:[\w.@~+-]{{1,100}}/){{1,40}}[\w.-]{{1,100}}"
)
_PLAIN_NAMES = frozenset(("Makefile", "Dockerfile", "LICENSE", "README", "Gemfile", "Rakefile", "Justfile", "Procfile"))
_TAG_NAMES = "file|file_content|file_contents|document|document_content|source_file|attachment|file_text"
_OPEN_TAG = re.compile(rf"<(?P<tag>{_TAG_NAMES})(?P<attributes>\s[^<>\n]{{0,{_NAME_LIMIT}}})?>(?!\s*</)", re.IGNORECASE)
_ATTRIBUTE = re.compile(
    r"(?:path|name|file|filename|file_path|src|source|title)\s{0,3}=\s{0,3}[\"']([^\"'\n]{1,300})[\"']", re.IGNORECASE
)
_INNER_NAME = re.compile(
    r"\s{0,20}<(path|source|name|file_path|filename)>\s{0,20}([^<\n]{1,300}?)\s{0,20}</\1>", re.IGNORECASE
)
_COMMENT = re.compile(
    r"\s{0,20}(?:#|//|/\*|--|;|<!--|%|\"\"\")\s{0,9}(?:(?:file|path|filename)\s{0,3}:\s{0,9})?(\S{1,300})",
    re.IGNORECASE,
)
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})([^\n`]*)\Z")
_BEFORE = re.compile(r"(?:file|path|filename)\s{0,3}:\s{0,9}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Stretch:
    """`text[start:end]` is the content of `file`, which is empty when the text does not name it."""

    start: int
    end: int
    file: str


def file_stretches(text: str) -> tuple[Stretch, ...]:
    """The files in a text, in order and without overlap; tags and fences belong to their file."""
    if "```" not in text and "~~~" not in text and "<" not in text:
        return ()
    found: list[Stretch] = []
    tags = list(islice(_tagged(text), MAX_FILES))
    at = 0
    for tag in tags:
        found += _fenced(text, at, tag.start)
        found.append(tag)
        at = tag.end
    found += _fenced(text, at, len(text))
    return tuple(found[:MAX_FILES])


def _tagged(text: str) -> Iterator[Stretch]:
    at = 0
    unclosed: set[str] = set()
    while match := _OPEN_TAG.search(text, at):
        at = match.end()
        tag = match["tag"]
        # A tag that is not closed once is not looked for again, else many of them would take quadratic time.
        if tag in unclosed:
            continue
        close = f"</{tag}>"
        end = text.find(close, at)
        if end < 0:
            unclosed.add(tag)
            continue
        end += len(close)
        yield Stretch(match.start(), end, _tag_file(match, text))
        at = end


def _tag_file(match: re.Match[str], text: str) -> str:
    attribute = _ATTRIBUTE.search(match["attributes"] or "")
    if attribute:
        return attribute[1].strip()
    inner = _INNER_NAME.match(text, match.end())
    return inner[2] if inner else ""


def _fenced(text: str, start: int, end: int) -> Iterator[Stretch]:
    """The fences of `text[start:end]` that hold files."""
    if text.find("```", start, end) < 0 and text.find("~~~", start, end) < 0:
        return
    before = ""
    before_at = start
    opened: tuple[int, str, str, int, str] | None = None
    lines = 0
    first = ""
    for at, line in _lines(text, start, end):
        fence = _FENCE.match(line) if len(line) <= _NAME_LIMIT and line.lstrip(" ")[:3] in ("```", "~~~") else None
        if opened is None:
            if fence:
                opened = (at, fence[1], fence[2].strip(), before_at, before)
                lines, first = 0, ""
            elif line.strip():
                before, before_at = line, at
            continue
        if fence and not fence[2].strip() and fence[1].startswith(opened[1]):
            file, from_before = _fence_file(opened[2], opened[4], first)
            if file or lines >= LONG_FENCE:
                yield Stretch(opened[3] if from_before else opened[0], min(end, at + len(line) + 1), file)
            opened = None
            before, before_at = "", at
            continue
        if lines == 0:
            first = line
        lines += 1


def _lines(text: str, start: int, end: int) -> Iterator[tuple[int, str]]:
    while start < end:
        stop = text.find("\n", start, end)
        stop = end if stop < 0 else stop
        yield start, text[start:stop].removesuffix("\r")
        start = stop + 1


def _fence_file(info: str, before: str, first: str) -> tuple[str, bool]:
    """(the file that a fence names, whether it does so on the line before it)."""
    for word in re.split(r"[\s:={}\"',]+", info[:_NAME_LIMIT]):
        if is_path(word):
            return word, False
    comment = _COMMENT.match(first[:_NAME_LIMIT])
    if comment and is_path(comment[1]):
        return comment[1], False
    name = _BEFORE.sub("", before[:_NAME_LIMIT].strip(), count=1).strip("*_`#:\"' \t")
    return (name, True) if is_path(name) else ("", False)


def is_path(word: str) -> bool:
    """Whether a word looks like the path of a file: a name with an ending, or names divided by slashes."""
    if not word or len(word) > _NAME_LIMIT or "://" in word:
        return False
    word = word.removeprefix("/")
    return word in _PLAIN_NAMES or _PATH.fullmatch(word) is not None
