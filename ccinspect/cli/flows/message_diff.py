"""What differs between two messages of a flow: start line, headers, body. Pure; shown by `compare_view.py`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from ccinspect.cli.flows.text_diff import Line, line_differences
from ccinspect.store.har_entry import url_of
from ccinspect.wire.jsondiff import Difference, differences
from ccinspect.wire.jsontext import parse

MAX_COMPARED = 8 * 1024 * 1024
"""Bytes of a decoded body; of a longer one only its size and hash are compared."""
_MAX_LINES = 400_000

BodyState = Literal["same", "spelling", "json", "text", "binary", "unknown"]


@dataclass(frozen=True, slots=True)
class Side:
    """One message of a pair. `body` is without content encoding; None where there is none, or none was kept."""

    message: dict[str, Any]
    body: bytes | None = None
    problem: str = ""
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class HeaderDifference:
    """`old` and `new` are the values on either side, joined as one header would; None where there is none."""

    name: str
    old: str | None
    new: str | None


@dataclass(frozen=True, slots=True)
class BodyDifference:
    """`spelling`: the same JSON, written in another way. `unknown`: a body was not kept, or is too large.

    `json` has `differences`, `text` has `lines`.
    """

    state: BodyState
    note: str = ""
    differences: tuple[Difference, ...] = ()
    lines: tuple[Line, ...] = ()

    def as_record(self) -> dict[str, Any]:
        record: dict[str, Any] = {"state": self.state}
        if self.note:
            record["note"] = self.note
        if self.state == "json":
            record["differences"] = [difference.as_record() for difference in self.differences]
        if self.state == "text":
            record["lines"] = [{"kind": line.kind, "text": line.text} for line in self.lines]
        return record


@dataclass(frozen=True, slots=True)
class MessageDifference:
    """`start` is what stands in the two start lines where they differ: URLs, methods, or status codes."""

    start: tuple[tuple[str, str, str], ...]
    headers: tuple[HeaderDifference, ...]
    body: BodyDifference

    @property
    def anything(self) -> bool:
        return bool(self.start or self.headers) or self.body.state not in ("same", "spelling", "unknown")

    def as_record(self) -> dict[str, Any]:
        """{start: {name: [old, new]}, headers: [{name, old, new}], body: {state, ...}}."""
        return {
            "start": {name: [old, new] for name, old, new in self.start},
            "headers": [{"name": one.name, "old": one.old, "new": one.new} for one in self.headers],
            "body": self.body.as_record(),
        }


def compare(before: Side, after: Side) -> MessageDifference:
    """What became of `before`."""
    return MessageDifference(
        tuple(_start(before.message, after.message)),
        tuple(_headers(before.message, after.message)),
        compare_bodies(before, after),
    )


def _start(before: dict[str, Any], after: dict[str, Any]) -> Iterable[tuple[str, str, str]]:
    facts = (("status", "status_code"), ("reason", "reason")) if "status_code" in after else (("method", "method"),)
    for name, key in facts:
        old, new = str(before.get(key) or ""), str(after.get(key) or "")
        # HTTP/2 has no reasons: one that is only missing says nothing.
        if old != new and (key != "reason" or (old and new)):
            yield name, old, new
    if "status_code" not in after and (old := url_of(before)) != (new := url_of(after)):
        yield "url", old, new


def _headers(before: dict[str, Any], after: dict[str, Any]) -> Iterable[HeaderDifference]:
    old, new = _by_name(before), _by_name(after)
    for name in dict.fromkeys([*old, *new]):
        if old.get(name) != new.get(name):
            yield HeaderDifference(name, _joined(old.get(name)), _joined(new.get(name)))


def _by_name(message: dict[str, Any]) -> dict[str, list[str]]:
    """Values by name in lower case, for names are compared without regard to case; trailers among them."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for name, value in [*(message.get("headers") or ()), *(message.get("trailers") or ())]:
        found[str(name).lower()].append(str(value))
    return dict(found)


def _joined(values: list[str] | None) -> str | None:
    return None if values is None else ", ".join(values)


def compare_bodies(before: Side, after: Side) -> BodyDifference:
    """As JSON where both are, else by lines, else by their bytes alone."""
    kept = [side.message.get("contentState") in (None, "stored", "empty") for side in (before, after)]
    if before.truncated or after.truncated:
        state: BodyState = "same" if _hash(before) and _hash(before) == _hash(after) else "unknown"
        return BodyDifference(state, "" if state == "same" else f"more than {MAX_COMPARED >> 20} MiB: not compared")
    if not all(kept):
        return BodyDifference("unknown", "the body was not kept")
    old, new = before.body or b"", after.body or b""
    problem = before.problem or after.problem
    if old == new:
        return BodyDifference("same", problem)
    old_json, wrong = parse(old)
    new_json, also_wrong = parse(new)
    if not wrong and not also_wrong:
        found = differences(old_json, new_json)
        return BodyDifference("json" if found else "spelling", problem, tuple(found))
    old_text, new_text = _text(old), _text(new)
    if old_text is None or new_text is None:
        return BodyDifference("binary", problem or f"{len(old):,} bytes became {len(new):,}")
    old_lines, new_lines = old_text.splitlines(), new_text.splitlines()
    if len(old_lines) + len(new_lines) > _MAX_LINES:
        return BodyDifference("text", f"{len(old_lines):,} lines became {len(new_lines):,}: too many to compare")
    lines = tuple(line_differences(old_lines, new_lines))
    return BodyDifference("text" if lines else "spelling", problem, lines=lines)


def _hash(side: Side) -> object:
    return side.message.get("contentHash")


def _text(body: bytes) -> str | None:
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text
