"""One run's view of the analysis and the store together."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from ccinspect.analysis import schema
from ccinspect.store import scope

_OF_A_FLOW = "flow IN (SELECT uuid FROM temp.flows)"
_OF_A_CALL = "call IN (SELECT number FROM temp.calls)"
_CONDITIONS = {
    **scope.CONDITIONS,
    "parties": _OF_A_FLOW,
    "calls": _OF_A_FLOW,
    "limits": _OF_A_FLOW,
    **dict.fromkeys(("composition", "tools", "cache_findings", "turns", "turn_keys", "prefixes"), _OF_A_CALL),
}
_REACHED_BY_NUMBER = scope.REACHED_BY_NUMBER | {"names", "blocks"}


def open_for_reading(store_dir: Path, run: str | None = None) -> sqlite3.Connection:
    """The analysis and the store in one read-only connection; with `run` (its full id), of that run only.

    Raises StoreUnavailable.
    """
    return scope.narrowed(schema.open_for_reading(store_dir), run, _CONDITIONS, _REACHED_BY_NUMBER)
