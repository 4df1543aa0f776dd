"""What a proxy keeps in memory of what has passed through it."""

from __future__ import annotations

import os
from collections.abc import Iterator

from bench.latency import request_times
from bench.servers import Proxy, resident

REQUESTS = 1000
SIZE = 1_000_000


def growth(proxy: Proxy) -> dict[str, int]:
    """Bytes that each process of a proxy has grown by after 1,000 distinct requests of a megabyte."""
    # What is allocated once and for all by the first ones does not count.
    request_times(proxy.port, _distinct(5))
    before = {pid: resident(pid) for pid in proxy.pids}
    request_times(proxy.port, _distinct(REQUESTS))
    names = ("proxy", "recorder")
    return {name: resident(pid) - before[pid] for name, pid in zip(names, proxy.pids, strict=False)}


def _distinct(count: int) -> Iterator[bytes]:
    """Random all through: no store can find one body in another."""
    for _ in range(count):
        yield b'{"messages": "%s"}' % os.urandom(SIZE // 2).hex().encode()
