"""Run all benchmarks and print the table of docs/benchmarks.md: `python -m bench.run [--write] [NAME...]`.

Every figure that is compared with bare mitmweb is taken in the same run, the two by turns, on the same upstream.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench import endings, many_jails, memory
from bench.latency import Seconds, conversation, event_delays, percentile, request_times
from bench.servers import Proxy, bare_mitmweb, our_daemon, upstream
from bench.table import Row

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
ROUNDS = 11
_START = "<!-- table: written by `make bench` -->"
_END = "<!-- end of table -->"


def start_and_idle(directory: Path) -> list[Row]:
    """Time to start and memory when idle, against bare mitmweb."""
    ours, bare = [], []
    for number in range(5):
        with upstream() as port:
            with our_daemon(port, directory / f"ours-{number}") as proxy:
                ours.append((proxy.seconds_to_start, proxy.memory()))
            with bare_mitmweb(port, directory / f"bare-{number}") as proxy:
                bare.append((proxy.seconds_to_start, proxy.memory()))
    start, size = (statistics.median(values) for values in zip(*ours, strict=True))
    bare_start, bare_size = (statistics.median(values) for values in zip(*bare, strict=True))
    return [
        Row(
            "`start --detach` to healthy", f"{start:.2f} s (bare mitmweb {bare_start:.2f} s)", "<= 1.5 s", start <= 1.5
        ),
        Row("memory when idle", f"{_mb(size)} (bare mitmweb {_mb(bare_size)})", "<= 130 MB", size <= 130e6),
    ]


def latency(directory: Path) -> list[Row]:
    """Small and big requests and event streams through both proxies, by turns."""
    with (
        upstream() as port,
        bare_mitmweb(port, directory / "bare") as bare,
        our_daemon(port, directory / "ours") as ours,
    ):
        small, big = [conversation(500)], [conversation(1_000_000)]
        return [
            _compare("small request, p50", bare, ours, lambda p: request_times(p.port, small * 500), 0.5, 1.15),
            _compare("1 MB request, p50", bare, ours, lambda p: request_times(p.port, big * 30), 0.5, 1.2),
            _compare(
                "SSE, 32 streams x 200 events: delay per event, p99",
                bare,
                ours,
                lambda p: event_delays(p.port),
                0.99,
                1.2,
            ),
        ]


def _compare(what: str, bare: Proxy, ours: Proxy, measure: Callable[[Proxy], Seconds], share: float, bar: float) -> Row:
    """A percentile of each round, both by turns; the ratio is the median of the rounds' own ratios.

    What else the machine does comes and goes, and hits both of a round alike.
    """
    rounds: list[tuple[float, float]] = []
    for number in range(ROUNDS):
        taken = {
            proxy.name: percentile(measure(proxy), share) for proxy in ((bare, ours) if number % 2 else (ours, bare))
        }
        rounds.append((taken[ours.name], taken[bare.name]))
    mine, theirs = (statistics.median(figures) for figures in zip(*rounds, strict=True))
    ratio = statistics.median(own / other for own, other in rounds)
    return Row(
        what, f"{mine * 1e3:.2f} ms, {ratio:.2f} x (bare mitmweb {theirs * 1e3:.2f} ms)", f"<= {bar} x", ratio <= bar
    )


def jails(directory: Path) -> list[Row]:
    outcome = many_jails.measure(directory)
    total = many_jails.JAILS * many_jails.REQUESTS
    figure = f"{outcome.recorded} recorded, {outcome.attributed} attributed, {outcome.errors} errors"
    held = (outcome.recorded, outcome.attributed, outcome.errors) == (total, total, 0)
    return [Row("8 jails at once x 100 requests", figure, f"{total}, {total}, 0", held)]


def growth(directory: Path) -> list[Row]:
    with upstream() as port:
        with our_daemon(port, directory / "ours") as proxy:
            ours = memory.growth(proxy)
        with bare_mitmweb(port, directory / "bare") as proxy:
            bare = memory.growth(proxy)
    figure = f"{_mb(ours['proxy'])}, recorder {_mb(ours['recorder'])} (bare mitmweb {_mb(bare['proxy'])})"
    held = ours["proxy"] + max(0, ours["recorder"]) <= 100e6
    return [Row("growth of memory over 1,000 distinct requests of 1 MB", figure, "<= 100 MB", held)]


def left_behind(directory: Path) -> list[Row]:
    outcome = endings.measure(directory)
    for trace in outcome.left:
        print(f"left behind: {trace}", file=sys.stderr)
    figure = f"{outcome.runs} runs, {len(outcome.left)} left"
    return [Row("runs ended in 4 ways: processes, sockets, mounts left", figure, "0", not outcome.left)]


def _mb(size: float) -> str:
    return f"{size / 1e6:.0f} MB"


PARTS: dict[str, Callable[[Path], list[Row]]] = {
    "start": start_and_idle,
    "latency": latency,
    "jails": jails,
    "memory": growth,
    "endings": left_behind,
}
# Measured by scripts of their own, whose last lines are rows of the same table.
SCRIPTS = ("jail_start", "store", "analysis", "changes", "otel", "mcp")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join([*PARTS, *SCRIPTS])}; default: all")
    parser.add_argument("--write", action="store_true", help=f"write the table to {PAGE.name}")
    options = parser.parse_args()
    lines: list[str] = []
    failed = False
    for name in options.names or [*SCRIPTS[:1], *PARTS, *SCRIPTS[1:]]:
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        if name in SCRIPTS:
            part, held = _script(name)
        else:
            with tempfile.TemporaryDirectory(prefix="ccinspect-bench-") as directory:
                rows = PARTS[name](Path(directory))
            part, held = [row.line() for row in rows], all(row.held for row in rows)
        print("\n".join(part), flush=True)
        lines += part
        failed |= not held
    text = _table(lines)
    print("\n" + text)
    if options.write:
        _write(text)
    return int(failed)


def _script(name: str) -> tuple[list[str], bool]:
    """Run a benchmark script; returns its table rows and whether it kept its bars."""
    done = subprocess.run(
        [sys.executable, "-m", f"bench.{name}"], stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL
    )
    rows = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    return rows, done.returncode == 0 and bool(rows)


def _table(lines: list[str]) -> str:
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.release().split('-')[0]}"
    date = datetime.date.today().isoformat()
    head = ["| what | figure | bar | held |", "|---|---|---|---|"]
    return "\n".join([f"Measured {date} on {machine}, Python {platform.python_version()}.", "", *head, *lines])


def _write(text: str) -> None:
    before, _, rest = PAGE.read_text().partition(_START)
    after = rest.partition(_END)[2]
    PAGE.write_text(f"{before}{_START}\n{text}\n{_END}{after}")


if __name__ == "__main__":
    sys.exit(main())
