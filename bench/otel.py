"""What exporting to OpenTelemetry costs the traffic, with a collector that works and with those that do not.

`python -m bench.otel [--seconds S] [cost] [outages]` prints table rows. Each figure is taken with two daemons that get
the same requests at the same time, one of which exports; the ratio is the median of the rounds' own ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.collector import collector
from bench.latency import Seconds, conversation, paced_times, percentile
from bench.servers import Instance, free_port, resident, upstream
from bench.table import Row, report
from ccinspect.control.client import ControlClient

DELAY, MEMORY = 1.2, 250e6
RATE = 100
"""Requests a second to each daemon."""
ROUND_SECONDS, COST_ROUNDS = 4.0, 15
_WARM_SECONDS = 2.0
OUTAGE_SECONDS = 40.0
_QUEUE = 300
_RECOVERY_SECONDS = 120.0
_SMALL = conversation(500)


@dataclass(frozen=True)
class _Daemon:
    instance: Instance
    port: int

    def recorded(self) -> int:
        """How many flows are in the store; waits for those that have ended."""
        with ControlClient.connect(self.instance.paths.control_socket) as client:
            client.call("flush")
        with closing(sqlite3.connect(self.instance.paths.store_dir / "flows.db")) as db:
            found: int = db.execute("SELECT count(*) FROM flows").fetchone()[0]
        return found


@contextmanager
def _daemon(upstream_port: int, directory: Path, otel: dict[str, Any]) -> Iterator[_Daemon]:
    port = free_port()
    target = {"port": port, "upstream": f"http://127.0.0.1:{upstream_port}"}
    instance = Instance(directory, {"reverse_targets": [target]}, analysis={"idle": 3600}, otel=otel)
    with instance.running():
        yield _Daemon(instance, port)


@contextmanager
def _pair(directory: Path, otel: dict[str, Any]) -> Iterator[tuple[_Daemon, _Daemon]]:
    with (
        upstream() as port,
        _daemon(port, directory / "on", {"enabled": True, "queue": _QUEUE, **otel}) as on,
        _daemon(port, directory / "off", {}) as off,
    ):
        # The start of the analysts is not what is measured.
        asyncio.run(_both(on, off, _WARM_SECONDS))
        yield on, off


async def _both(on: _Daemon, off: _Daemon, seconds: float) -> tuple[Seconds, Seconds]:
    period, requests = 1 / RATE, int(seconds * RATE)
    one, other = await asyncio.gather(
        *(paced_times(daemon.port, _SMALL, period, requests, delay) for daemon, delay in ((on, 0.0), (off, period / 2)))
    )
    return one, other


def cost(directory: Path, _: float) -> list[Row]:
    """With a collector that takes everything."""
    with collector("grpc") as port, _pair(directory, {"endpoint": f"http://127.0.0.1:{port}"}) as (on, off):
        rounds = [asyncio.run(_both(on, off, ROUND_SECONDS)) for _ in range(COST_ROUNDS)]
        told = on.instance.status()["otel"]
        if not told["exported"] or told["dropped"]:
            raise RuntimeError(f"not everything was exported: {told}")
    mine, theirs, ratio = _compared(rounds, 0.99)
    half = _compared(rounds, 0.5)[2]
    figure = f"{mine * 1e3:.2f} ms, {ratio:.2f} x (off {theirs * 1e3:.2f} ms); p50 {half:.2f} x"
    return [Row("small request while spans are exported, p99", figure, f"<= {DELAY} x", ratio <= DELAY)]


def outages(directory: Path, seconds: float) -> list[Row]:
    """With collectors that are down or hang, for so many seconds each, and then come back."""
    kinds = (("grpc", "down"), ("grpc", "hangs"), ("http", "down"), ("http", "hangs"))
    return [_outage(directory / f"{protocol}-{manner}", protocol, manner, seconds) for protocol, manner in kinds]


def _outage(directory: Path, protocol: str, manner: str, seconds: float) -> Row:
    port = free_port()
    otel = {"endpoint": f"http://127.0.0.1:{port}", "protocol": protocol}
    with _pair(directory, otel) as (on, off):
        if manner == "down":
            rounds, peak = _load(on, off, seconds)
        else:
            with collector(protocol, manner, port):
                rounds, peak = _load(on, off, seconds)
        sent = sum(len(one) for one, _ in rounds)
        lost = sent + int(_WARM_SECONDS * RATE) - on.recorded()
        told = on.instance.status()["otel"]
        if not told["failing"] or not told["dropped"] or told["queued"] > _QUEUE:
            raise RuntimeError(f"status does not tell: {told}")
        with collector(protocol, "takes", port):
            recovery = _recovery(on)
    mine, theirs, ratio = _compared(rounds, 0.99)
    figure = (
        f"{lost} flows of {sent} lost; p99 {mine * 1e3:.2f} ms, {ratio:.2f} x "
        f"(off {theirs * 1e3:.2f} ms); analyst {peak / 1e6:.0f} MB; {told['dropped']} spans dropped, back after "
        f"{recovery:.0f} s"
    )
    what = f"{seconds:.0f} s of {RATE} requests a second, {protocol} collector {manner}"
    held = lost == 0 and ratio <= DELAY and peak <= MEMORY
    return Row(what, figure, f"0, <= {DELAY} x, <= {MEMORY / 1e6:.0f} MB", held)


def _load(on: _Daemon, off: _Daemon, seconds: float) -> tuple[list[tuple[Seconds, Seconds]], int]:
    """The rounds, and the most memory that the exporting analyst had at the end of one."""
    rounds: list[tuple[Seconds, Seconds]] = []
    peak = 0
    for _ in range(max(3, round(seconds / ROUND_SECONDS))):
        rounds.append(asyncio.run(_both(on, off, ROUND_SECONDS)))
        pid = on.instance.status()["analysis"]["pid"]
        peak = max(peak, resident(pid))
    return rounds, peak


def _recovery(on: _Daemon) -> float:
    """Seconds until all that waits was exported."""
    started = time.monotonic()
    while time.monotonic() - started < _RECOVERY_SECONDS:
        told = on.instance.status()["otel"]
        if told["exported"] and not told["queued"] and not told["failing"]:
            return time.monotonic() - started
        time.sleep(0.5)
    raise RuntimeError(f"nothing is exported again: {told}")


def _compared(rounds: list[tuple[Seconds, Seconds]], share: float) -> tuple[float, float, float]:
    """(with, without, ratio) of this percentile."""
    figures = [(percentile(one, share), percentile(other, share)) for one, other in rounds]
    mine, theirs = (statistics.median(values) for values in zip(*figures, strict=True))
    return mine, theirs, statistics.median(own / other for own, other in figures)


PARTS: dict[str, Callable[[Path, float], list[Row]]] = {"cost": cost, "outages": outages}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.otel")
    parser.add_argument("names", nargs="*", choices=[*PARTS, []], help="default: all")
    parser.add_argument("--seconds", type=float, default=OUTAGE_SECONDS, help="of each outage")
    options = parser.parse_args()
    rows: list[Row] = []
    for name in options.names or PARTS:
        with tempfile.TemporaryDirectory(prefix="ccinspect-bench-") as directory:
            rows += PARTS[name](Path(directory), options.seconds)
    return report(rows)


if __name__ == "__main__":
    sys.exit(main())
