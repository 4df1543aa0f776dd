"""What translation could not carry, as it is recorded and as the client is told in a header."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from ccinspect.wire.model import Diagnostic, format_path

HEADER = "x-ccinspect-diagnostics"
_MAX_RECORDED = 200
_MAX_HEADER = 4_096


def as_records(diagnostics: Iterable[Diagnostic]) -> list[dict[str, Any]]:
    """JSON objects: severity, code, message, path (as jq writes it), source, target. The first 200, each once."""
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for note in diagnostics:
        path = format_path(note.path)
        key = (note.code, note.message, path)
        if key not in found and len(found) < _MAX_RECORDED:
            found[key] = {
                "severity": note.severity,
                "code": note.code,
                "message": note.message[:500],
                "path": path[:500],
                "source": note.source,
                "target": note.target,
            }
    return list(found.values())


def header_value(records: list[dict[str, Any]]) -> str | None:
    """ASCII JSON: a list of {severity, code, message, path}; one too long for 4 KB ends with `{"more": N}`."""
    if not records:
        return None
    told: list[dict[str, Any]] = []
    for index, record in enumerate(records):
        told.append({key: record[key] for key in ("severity", "code", "message", "path")})
        if len(_dump(told)) > _MAX_HEADER - 32:
            told[-1] = {"more": len(records) - index}
            break
    return _dump(told)


def _dump(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
