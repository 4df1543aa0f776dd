"""Replays beside each other: answer, tokens, money, time."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ccinspect.analysis.results import OpenedCall
from ccinspect.cli import text
from ccinspect.cli.flows.flow_table import SHORT_ID, code_cell
from ccinspect.cli.output import BOLD, DIM, paint
from ccinspect.cli.table import cell_text
from ccinspect.cli.understanding import amounts, calls
from ccinspect.wire.jsontext import dump_text
from ccinspect.wire.model import Refusal, Text, ToolCall, ToolResult

_LEAST = 26
"""Columns of the terminal that one flow needs."""
_GAP = "  "
_LINES = 24


@dataclass(frozen=True, slots=True)
class Shown:
    """One flow. `opened` is None where it is no model call that can be read; `body` is what it answered then."""

    title: str
    record: dict[str, Any]
    opened: OpenedCall | None
    body: str = ""

    def facts(self) -> dict[str, str]:
        """What stands in the rows, by their label."""
        timing = self.record.get("timing") or {}
        found = {
            "flow": str(self.record["id"])[:SHORT_ID],
            "code": cell_text(code_cell(self.record)),
            "time": text.duration(timing.get("duration")),
            "first byte": text.duration(timing.get("first_byte")),
        }
        if self.opened is not None:
            call = self.opened.call
            found |= {
                "provider": call.provider,
                "model": call.model or "",
                "ended": cell_text(calls.outcome_cell(call)),
                "in": amounts.exact(call.counts.context, call.counts.basis),
                "cached": amounts.exact(call.counts.cache_read, call.counts.basis),
                "out": amounts.exact(call.counts.output, call.counts.basis),
                "cost": calls.cost(call),
            }
        return found

    def answer(self) -> str:
        """What was said, and which tools were called, for a person."""
        if self.opened is None or self.opened.response is None:
            return self.body
        said = []
        for block in self.opened.response.blocks:
            if isinstance(block, Text | Refusal):
                said.append(block.text)
            elif isinstance(block, ToolCall):
                arguments = block.arguments if isinstance(block.arguments, str) else dump_text(block.arguments)
                said.append(f"{block.name}({arguments})")
            elif isinstance(block, ToolResult):
                said.append("(tool result)")
        return "\n".join(said) or self.body

    def as_record(self) -> dict[str, Any]:
        """{id, status, provider, model, tokens, dollars, seconds, answer, ...}."""
        timing = self.record.get("timing") or {}
        call = self.opened.call if self.opened is not None else None
        return {
            "title": self.title,
            "id": self.record["id"],
            "parent": self.record.get("parent"),
            "status": (self.record.get("response") or {}).get("status_code"),
            "error": (self.record.get("error") or {}).get("msg"),
            "seconds": timing.get("duration"),
            "first_byte": timing.get("first_byte"),
            "provider": call.provider if call else None,
            "model": call.model if call else None,
            "stop_reason": call.stop_reason if call else None,
            "tokens": {
                "basis": str(call.counts.basis),
                "context": call.counts.context,
                "cache_read": call.counts.cache_read,
                "output": call.counts.output,
            }
            if call
            else None,
            "dollars": None if call is None or call.price.dollars is None else str(call.price.dollars),
            "answer": self.answer(),
        }


def side_by_side(flows: Sequence[Shown], columns: int, everything: bool) -> Iterator[str]:
    """All flows in columns, as many beside each other as the terminal has room for."""
    labels = list(dict.fromkeys(label for flow in flows for label in flow.facts()))
    margin = max(map(len, [*labels, "answer"])) + len(_GAP)
    at_once = max(1, min(len(flows), (columns - margin) // (_LEAST + len(_GAP))))
    wide = max(_LEAST, (columns - margin) // at_once - len(_GAP))
    for start in range(0, len(flows), at_once):
        if start:
            yield ""
        yield from _group(flows[start : start + at_once], labels, margin, wide, everything)


def _group(flows: Sequence[Shown], labels: Sequence[str], margin: int, wide: int, everything: bool) -> Iterator[str]:
    yield " " * margin + paint(_row([flow.title for flow in flows], wide), BOLD)
    facts = [flow.facts() for flow in flows]
    for label in labels:
        yield paint(label.ljust(margin), DIM) + _row([each.get(label, "") for each in facts], wide)
    answers = [_wrapped(flow.answer(), wide, everything) for flow in flows]
    for number in range(max(map(len, answers))):
        label = "answer" if number == 0 else ""
        yield paint(label.ljust(margin), DIM) + _row(
            [lines[number] if number < len(lines) else "" for lines in answers], wide
        )


def _row(cells: Sequence[str], wide: int) -> str:
    shown = [text.shorten(text.clean(cell), wide) for cell in cells]
    return _GAP.join(cell + " " * (wide - text.width(cell)) for cell in shown).rstrip()


def _wrapped(answer: str, wide: int, everything: bool) -> list[str]:
    lines: list[str] = []
    limit = len(answer) + 1 if everything else _LINES
    for line in answer.split("\n"):
        lines += textwrap.wrap(text.clean(line), wide) or [""]
        if len(lines) > limit:
            return [*lines[: limit - 1], "… (--full)"]
    return lines
