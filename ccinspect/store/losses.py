"""The account of what could not be kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass
class Losses:
    """`error` is why the last time; `failing` is true until something could be written again."""

    records: int = 0
    bodies: int = 0
    error: str = ""
    failing: bool = False

    def lose_record(self, why: str) -> None:
        self.records += 1
        self.error = why

    def lose_bodies(self, number: int, why: str) -> None:
        self.bodies += number
        self.error = why

    def to_message(self) -> dict[str, Any]:
        return {"lost_records": self.records, "lost_bodies": self.bodies, "error": self.error, "failing": self.failing}
