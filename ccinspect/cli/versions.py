"""The versions of all that decides how this program behaves."""

from __future__ import annotations

import importlib.metadata
import platform
import sqlite3
from typing import Any

from ccinspect import __version__
from ccinspect.analysis import schema as analysis_schema
from ccinspect.store import schema


def versions() -> dict[str, Any]:
    """`{ccinspect, python, system, sqlite, mitmproxy, store_schema, analysis_schema}`."""
    return {
        "ccinspect": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "sqlite": sqlite3.sqlite_version,
        "mitmproxy": importlib.metadata.version("mitmproxy"),
        "store_schema": len(schema.MIGRATIONS),
        "analysis_schema": len(analysis_schema.MIGRATIONS),
    }
