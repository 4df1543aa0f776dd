"""What a jail costs to start: `run -i -- true` against plain `true`, by turns, the daemon warm.

    python -m bench.jail_start

Prints a row of the table in docs/benchmarks.md; the exit code is 1 when the bar is missed.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.servers import Instance, environment
from bench.table import Row, report

ROUNDS = 20
BAR = 0.250


@dataclass(frozen=True)
class Outcome:
    """Medians in seconds."""

    jailed: float
    plain: float

    @property
    def added(self) -> float:
        return self.jailed - self.plain


def measure(directory: Path) -> Outcome:
    """Start both by turns, so that the machine's mood is the same for both."""
    instance = Instance(directory / "jail-start", {})
    jailed, plain = [], []
    with instance.running():
        command = instance.argv("run", "-i", "--", "true")
        _seconds(command)
        for _ in range(ROUNDS):
            jailed.append(_seconds(command))
            plain.append(_seconds(["true"]))
    return Outcome(statistics.median(jailed), statistics.median(plain))


def _seconds(argv: Sequence[str]) -> float:
    begun = time.perf_counter()
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, capture_output=True, env=environment())
    return time.perf_counter() - begun


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="ccinspect-bench-") as directory:
        outcome = measure(Path(directory))
    figure = f"{outcome.added * 1e3:.0f} ms ({outcome.jailed * 1e3:.0f} ms in all)"
    what = f"`run -i -- true` minus `true`, median of {ROUNDS}"
    return report([Row(what, figure, f"<= {BAR * 1e3:.0f} ms", outcome.added <= BAR)])


if __name__ == "__main__":
    sys.exit(main())
