"""What a run shows to the MCP server as its own: its id, signed with a key that lives as long as the daemon.

Whether the run still goes on is for the daemon to say; the token alone does not know.
"""

from __future__ import annotations

import hmac

KEY_BYTES = 32


def make(key: bytes, run: str) -> str:
    """`RUN.SIGNATURE`."""
    return f"{run}.{_signature(key, run)}"


def run_of(key: bytes, token: str) -> str | None:
    """The run that a token was made for; None when it was not made with this key."""
    run, _, signature = token.partition(".")
    return run if hmac.compare_digest(signature.encode(), _signature(key, run).encode()) else None


def _signature(key: bytes, run: str) -> str:
    return hmac.digest(key, run.encode("utf-8", "replace"), "sha256").hex()
