"""Tokens of our own that are made once and kept."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def keep_token(path: Path) -> str:
    """Return the token stored at `path` (0600), making it on first use, so that bookmarks survive restarts."""
    try:
        if token := path.read_text().strip():
            return token
    except FileNotFoundError:
        pass
    token = secrets.token_hex(16)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(token + "\n")
    return token
