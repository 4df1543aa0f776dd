"""A credential in hand."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Credential:
    """`repr` shows nothing of it."""

    provider: str
    value: str = field(repr=False)
    header: str | None = None
    """Header that takes it bare; None: `Authorization: Bearer`."""
    expires_at: float | None = None
    """Seconds on the monotonic clock after which it is asked for again."""
