"""From what was found out about a call to its rows in `analysis.db`."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ccinspect.analyser.analyse import ANALYSER_VERSION, NOT_BILLED, Analysis, Result
from ccinspect.analyser.composition import Basis, Part
from ccinspect.analyser.money import UNKNOWN
from ccinspect.analysis.parties import Labels
from ccinspect.analysis.reading import Spoken
from ccinspect.analysis.schema import PICO
from ccinspect.identity.agents import Agent

KEPT_NAMES = 100
"""Files and sources of one call that are kept by name; the rest of them are summed up."""
REST = "(others)"

_FACETS = {
    "kind": "kinds",
    "source": "sources",
    "activity": "activities",
    "tool": "tools",
    "server": "servers",
    "file": "files",
}


@dataclass(frozen=True, slots=True)
class Sender:
    """Whose call it is, from outside of its content."""

    flow: str
    provider: str
    agent: Agent | None
    account: str | None
    status: int | None
    labels: Labels


class RowWriter:
    """Writes the rows of flows and calls, within the caller's transaction."""

    def __init__(self, db: sqlite3.Connection, redact: Callable[[str], str]) -> None:
        """`redact` takes secrets out of names: a file's may be a URL with a key."""
        self._db = db
        self._redact = redact
        self._names: dict[str, int] = {}

    def forget(self) -> None:
        """A transaction was rolled back."""
        self._names.clear()

    def party(self, flow: str, provider: str | None, agent: Agent | None) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO parties (flow, provider, agent, agent_version, agent_kind, version, host) "
            "VALUES (?1, ?2, ?3, ?4, ?5, ?6, (SELECT host FROM flows WHERE uuid = ?1))",
            (
                flow,
                provider,
                agent.name if agent else None,
                agent.version if agent else None,
                agent.kind if agent else None,
                ANALYSER_VERSION,
            ),
        )

    def call(self, ident: str, spoken: Spoken, sender: Sender, result: Result | None) -> int:
        """Write all rows of one call and return its number. Without a result only metadata is known."""
        values = _common(ident, spoken, sender)
        values |= _analysed(result.analysis) if result else _unanalysed(spoken)
        names = ", ".join(values)
        marks = ", ".join(f":{name}" for name in values)
        number = self._db.execute(f"INSERT INTO calls ({names}) VALUES ({marks})", values).lastrowid
        assert number is not None
        if result is not None:
            self._composition(number, result)
            self._tools(number, result.analysis)
            self._cache(number, result.analysis)
        return number

    def _composition(self, number: int, result: Result) -> None:
        composition = result.analysis.composition
        visible = visible_by_category(result.parts)
        rows: list[tuple[int, str, int, int, int | None]] = [
            (number, "category", self._name(name), composition.categories.get(name, 0), visible.get(name, 0))
            for name in {**composition.categories, **visible}
        ]
        for facet, table in _FACETS.items():
            counts = getattr(composition, table)
            rows += [(number, facet, self._name(name), count, None) for name, count in _heaviest(counts).items()]
        self._db.executemany("INSERT INTO composition VALUES (?, ?, ?, ?, ?)", rows)

    def _tools(self, number: int, analysis: Analysis) -> None:
        rows = []
        for name, weight in analysis.tools.tools.items():
            priced = None if weight.unpriced else picodollars(weight.cost)
            server = self._name(weight.server) if weight.server else None
            rows.append((number, self._name(name), server, weight.turns, weight.tokens, weight.calls, priced))
        self._db.executemany("INSERT INTO tools VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def _cache(self, number: int, analysis: Analysis) -> None:
        report = analysis.cache
        self._db.execute(
            "INSERT INTO cache_findings VALUES (?, ?, ?, ?, ?)",
            (number, report.verdict.value, report.missed, picodollars(report.cost), _json(report.to_json())),
        )

    def _name(self, text: str) -> int:
        number = self._names.get(text)
        if number is None:
            clean = storable(self._redact(text))
            self._db.execute("INSERT OR IGNORE INTO names (name) VALUES (?)", (clean,))
            number = self._db.execute("SELECT number FROM names WHERE name = ?", (clean,)).fetchone()[0]
            if len(self._names) > 20_000:
                self._names.clear()
            self._names[text] = int(number)
        return int(number)


def visible_by_category(parts: list[Part]) -> dict[str, int]:
    """Estimated tokens by category, before scaling."""
    visible: dict[str, int] = {}
    for part in parts:
        visible[part.category.value] = visible.get(part.category.value, 0) + part.tokens
    return {name: tokens for name, tokens in visible.items() if tokens}


def picodollars(amount: Decimal | None) -> int | None:
    """A whole number of picodollars."""
    return None if amount is None else int((amount * PICO).to_integral_value())


def dollars(amount: int | None) -> Decimal | None:
    """The inverse of `picodollars`."""
    return None if amount is None else Decimal(amount) / PICO


def storable(text: str) -> str:
    """SQLite takes no lone surrogates."""
    return text.encode("utf-8", "replace").decode()


def _heaviest(counts: Mapping[str, int]) -> dict[str, int]:
    if len(counts) <= KEPT_NAMES:
        return dict(counts)
    names = sorted(counts, key=lambda name: -counts[name])
    kept = {name: counts[name] for name in names[:KEPT_NAMES]}
    kept[REST] = kept.get(REST, 0) + sum(counts[name] for name in names[KEPT_NAMES:])
    return kept


def _common(ident: str, spoken: Spoken, sender: Sender) -> dict[str, Any]:
    request, response, labels, agent = spoken.request, spoken.response, sender.labels, sender.agent
    error = response.error if response else None
    failed = spoken.outcome == "error" or (sender.status is not None and sender.status >= 400)
    return {
        "id": ident,
        "flow": sender.flow,
        "position": spoken.position,
        "version": ANALYSER_VERSION,
        "started_at": spoken.started_at,
        "duration": _span(spoken.started_at, spoken.ended_at),
        "first_byte": _span(spoken.started_at, spoken.first_byte_at),
        "provider": sender.provider,
        "dialect": spoken.dialect,
        "kind": request.kind,
        "agent": agent.name if agent else None,
        "agent_version": agent.version if agent else None,
        "agent_kind": agent.kind if agent else None,
        "model_requested": _short(request.model),
        "model_answered": _short(response.model) if response else None,
        "stream": int(request.stream),
        "response_id": _short(response.id) if response else None,
        "stop_reason": response.stop_reason.value if response and response.stop_reason else None,
        "outcome": spoken.outcome,
        "error_kind": error.kind.value if error else "server" if failed else None,
        "status": sender.status,
        "run": labels.run,
        "project": _short(labels.project),
        "tags": _json(labels.tags) if labels.tags else None,
        "said_session": _short(labels.said_session),
        "host": _short(labels.host),
        "machine": _short(labels.machine),
        "account": sender.account,
        "readable": int(spoken.readable),
        "note": storable(spoken.note[:500]) if spoken.note else None,
    }


def _analysed(analysis: Analysis) -> dict[str, Any]:
    lineage, composition, cost = analysis.lineage, analysis.composition, analysis.cost
    reported = bool(analysis.usage)
    counts: dict[str, int] = dict(analysis.usage)
    if not reported and cost.source != NOT_BILLED:
        # What the price was estimated from.
        counts = {"input": composition.total}
        if analysis.answer is not None:
            counts["output"] = analysis.answer.total
    return {
        "purpose": analysis.purpose.value,
        "conversation": lineage.conversation,
        "relation": lineage.relation.value,
        "parent": lineage.parent,
        "origin": lineage.origin,
        "tool_call": _short(lineage.call_id),
        "turn": lineage.depth,
        "certainty": lineage.certainty.value,
        "confidence": lineage.confidence,
        "method": lineage.method,
        "fidelity": lineage.fidelity,
        "counts_basis": (Basis.PROVIDER if reported else Basis.ESTIMATED).value,
        **{name: _bounded(counts.get(name)) for name in COUNTS},
        "context": _bounded(composition.total),
        "context_basis": composition.basis.value,
        "visible": _bounded(composition.visible),
        "unattributed": _bounded(composition.unattributed),
        "coverage": composition.coverage,
        "answer": _json(analysis.answer.to_json()) if analysis.answer else None,
        "picodollars": _bounded(picodollars(cost.total)),
        "saved": _bounded(picodollars(cost.saved)),
        "cost_basis": analysis.cost_basis.value,
        "cost_source": cost.source,
        "agent_session": _short(analysis.session.session),
    }


def _unanalysed(spoken: Spoken) -> dict[str, Any]:
    purpose = "count_tokens" if spoken.request.kind == "count_tokens" else "unknown"
    free = purpose == "count_tokens" or spoken.outcome == "error"
    return {
        "purpose": purpose,
        "turn": 0,
        "fidelity": "full",
        "counts_basis": Basis.PROVIDER.value,
        "picodollars": 0 if free else None,
        "cost_basis": Basis.PROVIDER.value,
        "cost_source": NOT_BILLED if free else UNKNOWN,
    }


COUNTS = (
    "input", "cache_read", "cache_write_5m", "cache_write_1h", "cache_write_other", "output", "reasoning",
    "web_searches",
)  # fmt: skip


def _span(start: float, end: float | None) -> float | None:
    return None if end is None else max(0.0, end - start)


def _short(text: str | None) -> str | None:
    return None if text is None else storable(text[:300])


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


_MOST = 2**53


def _bounded(value: int | None) -> int | None:
    """A provider may tell any number; SQLite has 64 bits, and sums must not overflow."""
    return None if value is None else max(-_MOST, min(_MOST, value))
