"""Real analyses of older versions, unpacked for a test beside the store that they were made of."""

from __future__ import annotations

from pathlib import Path

import zstandard

from ccinspect.analysis import schema
from tests.store.old import unpack_old_store

ANALYSES = Path(__file__).parent / "old_analyses"
STORE_OF = {1: 2}
"""The schema of the store that each was written beside."""


def unpack_old_analysis(store_dir: Path, version: int) -> Path:
    """Put the analysis of that schema into `store_dir`, and its store; the result is the analysis."""
    unpack_old_store(store_dir, STORE_OF[version])
    database = store_dir / schema.DATABASE
    database.write_bytes(
        zstandard.ZstdDecompressor().decompress((ANALYSES / f"analysis-{version}.db.zst").read_bytes())
    )
    return database
