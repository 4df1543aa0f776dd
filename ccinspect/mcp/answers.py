"""What tools answer: small JSON that says how much there is, whether something was left out, and how to go on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any

JsonObject = dict[str, Any]

MAX_CHARACTERS = 12_000
"""Of the items of one answer, as JSON: about 3,000 tokens. At least one item is always given."""
_OF_ONE = 2
"""So many times what all may have, the first item may be by itself, before it is cut."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`total` counts what was asked for, in this answer or not. `next` holds the arguments that, added to those of the
    same call, give what follows; None at the end."""

    content: JsonObject
    total: int = 1
    truncated: bool = False
    next: JsonObject | None = None
    notes: tuple[str, ...] = field(default=())

    def text(self) -> str:
        """Compact JSON; of bytes that were no UTF-8 stands U+FFFD."""
        whole: JsonObject = {"total": self.total, "truncated": self.truncated, "next": self.next}
        if self.notes:
            whole["notes"] = list(self.notes)
        text = json.dumps(whole | self.content, separators=(",", ":"), ensure_ascii=False)
        return text.encode("utf-8", "replace").decode()


def fitting(items: Sequence[Any], most: int = MAX_CHARACTERS) -> list[Any]:
    """The first items that fit into so many characters of JSON together; of a first one that is far too long by itself,
    the beginning of its JSON as text."""
    chosen: list[Any] = []
    left = most
    for item in items:
        text = json.dumps(item, separators=(",", ":"), ensure_ascii=False)
        left -= len(text) + 1
        if left < 0 and chosen:
            break
        if len(text) > _OF_ONE * MAX_CHARACTERS:
            return [short(text, most)]
        chosen.append(item)
    return chosen


def page(name: str, items: Sequence[Any], offset: int, limit: int, shown: Callable[[Any], Any]) -> Answer:
    """An answer with `limit` of the items from `offset` on, or as many as fit, under `name`."""
    chosen = fitting([shown(item) for item in items[offset : offset + limit]])
    end = offset + len(chosen)
    more = end < len(items)
    return Answer({name: chosen}, len(items), more, {"offset": end} if more else None)


def short(text: str, most: int) -> str:
    """The beginning of a text, with a word on how long it is."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters in all)"


def known(**values: Any) -> JsonObject:
    """Only what is there: without None, empty texts and empty lists."""
    return {name: value for name, value in values.items() if value is not None and value != "" and value != []}


def moment(seconds: float | None) -> str | None:
    """A time of the day on this machine's clock, to the second."""
    return None if seconds is None else datetime.fromtimestamp(seconds).isoformat(" ", "seconds")


def plain(value: Any) -> Any:
    """Records as JSON: dataclasses as objects of what is known, money as numbers."""
    if is_dataclass(value) and not isinstance(value, type):
        return known(**{one.name: plain(getattr(value, one.name)) for one in fields(value)})
    if isinstance(value, Decimal):
        return round(float(value), 6)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, dict):
        return {str(name): plain(item) for name, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def heaviest(entries: dict[str, int], most: int) -> JsonObject:
    """The largest entries of a table of tokens; the others in one, named by how many they are."""
    ordered = sorted(entries.items(), key=lambda entry: (-entry[1], entry[0]))
    rest = ordered[most:]
    return dict(ordered[:most]) | ({f"({len(rest)} more)": _sum(rest)} if rest else {})


def _sum(entries: Iterable[tuple[str, int]]) -> int:
    return sum(count for _, count in entries)
