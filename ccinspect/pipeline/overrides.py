"""The header `x-ccinspect-hooks`: which hooks one request wants, whatever the guards say.

`+a` runs a without asking its guard, `-b` skips b, a bare `c` leaves it to the guard. The last word on a name counts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

HEADER = "x-ccinspect-hooks"
_MAX_NAMES = 100
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.#-]{0,199}")


@dataclass(frozen=True, slots=True)
class Overrides:
    """What a request says of hooks, by name: True forces one, False skips one."""

    wanted: Mapping[str, bool | None] = field(default_factory=lambda: MappingProxyType({}))

    def unknown(self, names: set[str]) -> list[str]:
        """Names that are no hooks of ours, for the record."""
        return [name for name in self.wanted if name not in names]


NO_OVERRIDES = Overrides()


def parse_overrides(value: str) -> Overrides:
    """Never fails: what is no name is left out."""
    wanted: dict[str, bool | None] = {}
    for word in value.split(",")[:_MAX_NAMES]:
        word = word.strip()
        sign, name = (word[0], word[1:].strip()) if word[:1] in ("+", "-") else ("", word)
        if _NAME.fullmatch(name):
            wanted.pop(name, None)
            wanted[name] = {"+": True, "-": False}.get(sign)
    return Overrides(MappingProxyType(wanted)) if wanted else NO_OVERRIDES
