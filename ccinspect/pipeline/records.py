"""What a flow keeps of its hooks, and what a stage gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal

from ccinspect.pipeline.context import Refusal
from ccinspect.pipeline.message import Fields, Outgoing
from ccinspect.wire.model import Json

HookState = Literal["ran", "skipped", "failed", "timeout", "refused"]

_SECRET_FIELDS = (b"authorization", b"key", b"token", b"cookie", b"secret", b"password", b"credential")
_SHORTEST_SECRET = 6


@dataclass(slots=True)
class HookRecord:
    name: str
    stage: str
    state: HookState
    ms: float = 0.0
    changed: list[str] = field(default_factory=list)
    """What it changed: `headers.NAME`, `url.path`, `.messages[0].content`; 50 places at most."""
    dropped: list[str] = field(default_factory=list)
    """What it changed without having declared it; not taken over."""
    error: str | None = None
    """Why it failed, timed out or was skipped, or what was odd in one that ran."""

    def as_record(self) -> dict[str, Json]:
        record: dict[str, Json] = {"name": self.name, "stage": self.stage, "state": self.state, "ms": round(self.ms, 3)}
        for key in ("changed", "dropped", "error"):
            if value := getattr(self, key):
                record[key] = value
        return record


@dataclass(slots=True)
class StageResult:
    outgoing: Outgoing
    """The request as the stage left it; the one that was given in when nothing changed it."""
    session: str | None = None
    records: list[HookRecord] = field(default_factory=list)
    refusal: Refusal | None = None
    """The request is not to be sent."""
    notes: dict[str, Json] = field(default_factory=dict)
    """What hooks noted."""
    unknown: list[str] = field(default_factory=list)
    """Names in `x-ccinspect-hooks` that are no hooks of any stage."""
    changed: bool = False
    """`outgoing` differs from what was given in."""

    def as_record(self) -> dict[str, Json]:
        """For the flow's record: no secrets, JSON only."""
        record: dict[str, Json] = {"hooks": [each.as_record() for each in self.records]}
        if self.refusal is not None:
            record["refusal"] = self.refusal.as_record()
        if self.notes:
            record["notes"] = self.notes
        if self.unknown:
            record["unknown"] = self.unknown
        return record


def describe_error(error: BaseException, fields: Fields) -> str:
    """One line on an exception of a hook, without the secrets that stand in `fields`."""
    try:
        text = str(error)
    # An exception's own `__str__` is the hook's code, too.
    except Exception:
        text = "(it cannot be shown)"
    where = _place_of(error.__traceback__)
    for name, value in fields:
        if len(value) >= _SHORTEST_SECRET and any(word in name.lower() for word in _SECRET_FIELDS):
            for secret in (value, value.rpartition(b" ")[2]):
                if len(secret) >= _SHORTEST_SECRET:
                    text = text.replace(secret.decode("latin-1"), "[removed]")
    text = " ".join(text.split())
    return f"{type(error).__name__}: {text[:300]}{where}" if text else f"{type(error).__name__}{where}"


def _place_of(trace: TracebackType | None) -> str:
    """` (FILE:LINE)` of where it was raised; nothing where that was our own call of the hook."""
    depth = 0
    while trace is not None and trace.tb_next is not None:
        trace, depth = trace.tb_next, depth + 1
    if trace is None or not depth:
        return ""
    return f" ({trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno})"
