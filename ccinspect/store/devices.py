"""Which other machines flows came from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from ccinspect.store import schema
from ccinspect.store.record import RecordCodec


@dataclass
class Seen:
    """One machine. Times are seconds since the epoch."""

    address: str
    flows: int
    first: float | None
    last: float | None


def seen_devices(store_dir: Path) -> list[Seen]:
    """The machines, the one that was seen last first. Raises StoreUnavailable."""
    found: dict[str, Seen] = {}
    for address, began in _flows(store_dir):
        device = found.setdefault(address, Seen(address, 0, began, began))
        device.flows += 1
        device.last = began
    return sorted(found.values(), key=lambda device: device.last or 0.0, reverse=True)


def _flows(store_dir: Path) -> Iterator[tuple[str, float | None]]:
    with closing(schema.open_for_reading(store_dir)) as db:
        codec = RecordCodec(db)
        # Runs are of this machine, and so is what comes through a tunnel: most records need not be unpacked.
        where = "run IS NULL AND source IN ('reverse', 'proxy')"
        for began, packed in db.execute(f"SELECT started_at, record FROM flows WHERE {where} ORDER BY id"):
            address = codec.unpack(packed).get("device")
            if address:
                yield str(address), began
