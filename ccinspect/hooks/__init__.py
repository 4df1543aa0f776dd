"""The built-in hooks, one file each, each a thin use of a room below."""

from __future__ import annotations

BUILT_IN: dict[str, str] = {}
"""Short names and the dotted paths they stand for."""
