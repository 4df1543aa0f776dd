"""A credential in hand, and how it came: nothing here ever shows its value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ccinspect.pipeline.message import Outgoing

# Shorter ones stand in many a word.
_SHORTEST = 4
HIDDEN = "REDACTED"
"""What stands in the place of a credential that was taken out of a text."""

Signer = Callable[[Outgoing], None]
"""Puts a signature of the request, as it stands, into its headers. Raises SourceFailed."""


@dataclass(frozen=True, slots=True, repr=False)
class Fetched:
    """What a source gave."""

    value: str
    expires: float | None = None
    """Seconds since 1970; None where the source does not say."""
    keep_until: float | None = None
    """From when the source gives another, in seconds since 1970, though this one still serves; None where unknown."""
    signer: Signer | None = None
    """For sources whose secret does not travel: `value` only tells whether it changed then."""
    headers: tuple[tuple[str, str], ...] = ()
    """Further headers that belong to it; no secrets."""

    def __repr__(self) -> str:
        return f"Fetched(expires={self.expires})"


@dataclass(frozen=True, slots=True, repr=False)
class Credential:
    """The real credential of one provider."""

    provider: str
    value: str
    header: str
    prefix: str = ""
    expires: float | None = None
    """Seconds since 1970; None where nobody knows."""
    signer: Signer | None = None
    headers: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        return f"Credential(provider={self.provider!r}, header={self.header!r}, expires={self.expires})"

    @property
    def secrets(self) -> tuple[str, ...]:
        """All that nobody may see: for the keys of a signature, each of them."""
        return tuple(part for part in self.value.split("\n") if part)

    def hidden_in(self, text: str) -> str:
        """`text` without the secrets, for records of headers whose names do not say that they hold one."""
        for secret in self.secrets:
            if len(secret) >= _SHORTEST or text == secret:
                text = text.replace(secret, HIDDEN)
        return text

    def as_record(self) -> dict[str, object]:
        return {"provider": self.provider, "header": self.header, "expires": self.expires}


class SourceFailed(Exception):
    """A source gave no credential: `reason` ends a sentence, `hint` says what to do; neither holds a secret."""

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint
