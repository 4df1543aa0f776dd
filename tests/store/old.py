"""Real stores of older versions, unpacked for a test."""

from __future__ import annotations

from pathlib import Path

import zstandard

from ccinspect.store import schema

STORES = Path(__file__).parent / "old_stores"
WEBSOCKET = "00000000-0000-4000-8000-000000000007"


def unpack_old_store(store_dir: Path, version: int) -> Path:
    """Put the store of that schema into `store_dir`; the result is its database."""
    store_dir.mkdir(parents=True, exist_ok=True)
    packed = (STORES / f"schema-{version}.db.zst").read_bytes()
    database = store_dir / schema.DATABASE
    database.write_bytes(zstandard.ZstdDecompressor().decompress(packed))
    return database
