"""The shell commands of the documentation: found, and told apart from those that cannot be run here.

A block is fenced as `sh`, or indented and begins with one of our commands. `<!-- not run: REASON -->` on the line above
says that nobody runs it, and why.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(
    r"^(?:<!-- not run: (?P<reason>[^\n]+?) -->\n+)?"
    r"(?:```(?:sh|bash|console)\n(?P<fenced>.*?)^```$"
    r"|(?P<indented>(?<=\n\n)(?: {4}(?:ccinspect|make|eval|export|curl|sudo) [^\n]*\n)(?: {4}[^\n]*\n|\n(?= {4}))*))",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    page: str
    line: int
    script: str
    reason: str | None
    """Why it is not run."""

    @property
    def name(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(page: Path) -> Iterator[Block]:
    """The blocks of one page, in order."""
    text = page.read_text()
    for found in _BLOCK.finditer(text):
        body = found["fenced"] if found["fenced"] is not None else re.sub(r"^ {4}", "", found["indented"], flags=re.M)
        yield Block(page.name, text[: found.start()].count("\n") + 1, body, found["reason"])
