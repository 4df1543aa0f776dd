"""How requests for credentials leave where not everything leaves directly; `outward/` knows which do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, repr=False)
class Way:
    """A proxy, and what it is shown."""

    url: str
    authorization: str | None
    """Value of `Proxy-Authorization`."""


FindWay = Callable[[str], Awaitable[Way | None]]
"""The way to a URL; None where there is none but the direct one. May raise CcinspectError."""
