"""What analysing costs: the traffic beside it, and the analyst itself. `python -m bench.analysis` prints table rows.

Delay of other flows: two real daemons, one with the analysis and one without, get the same requests by turns. Turns of
a conversation: processor time of the analyst's real process, from its being told of a flow until it has said that its
rows are written.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from bench.beside import Beside
from bench.conversation import conversation
from bench.latency import Seconds, percentile, request_times
from bench.latency import conversation as prose
from bench.servers import Instance, free_port, processor_seconds, upstream
from bench.store import flow
from bench.table import Row, report
from ccinspect.analysis.options import AnalysisOptions
from ccinspect.analysis.query import Analysis
from ccinspect.daemon.analyst import AnalystProcess
from ccinspect.store.options import StoreOptions
from ccinspect.store.recorder import Recorder
from ccinspect.store.selection import Selection

DELAY, NEXT_TURN, FIRST_SIGHT = 1.2, 0.025, 0.250
ROUNDS = 15
SECONDS = 4.0
"""Length of a round; a small request takes some milliseconds, so ten or more lie beyond the p99."""
PERIOD = 0.12
"""A request of a megabyte each so many seconds keeps the analyst busy nearly all the time, and leaves no backlog."""
CONVERSATIONS, TURNS = 5, 6
_WAIT = 120.0


# Delay of other flows


@dataclass(frozen=True)
class _Daemon:
    instance: Instance
    port: int

    def analysed(self) -> int:
        """How many calls were analysed so far; waits for the analyst."""
        deadline = time.monotonic() + _WAIT
        while self.instance.status()["analysis"]["behind"]:
            if time.monotonic() > deadline:
                raise RuntimeError("the analyst does not come to an end")
            time.sleep(0.2)
        with Analysis(self.instance.paths.store_dir, AnalysisOptions()) as analysis:
            return len(analysis.calls(Selection()))

    def analyst_seconds(self) -> float:
        pid = self.instance.status()["analysis"]["pid"]
        return 0.0 if pid is None else processor_seconds(pid)


@contextmanager
def _daemon(upstream_port: int, directory: Path, *, analysis: bool) -> Iterator[_Daemon]:
    port = free_port()
    target = {"port": port, "upstream": f"http://127.0.0.1:{upstream_port}"}
    instance = Instance(directory, {"reverse_targets": [target]}, analysis={"enabled": analysis, "idle": 3600})
    with instance.running():
        yield _Daemon(instance, port)


def delay_of_others(directory: Path) -> list[Row]:
    seeds = count(1)
    small = prose(500)
    rounds: list[tuple[float, float]] = []
    shares: list[float] = []
    sent = 0
    with (
        upstream() as port,
        _daemon(port, directory / "on", analysis=True) as on,
        _daemon(port, directory / "off", analysis=False) as off,
    ):
        # The analyst's start is not what is measured.
        request_times(on.port, [prose(1_000_000, next(seeds))])
        request_times(off.port, [small])
        known = on.analysed()
        for number in range(ROUNDS):
            p99: dict[bool, float] = {}
            for daemon in (on, off) if number % 2 else (off, on):
                before = daemon.analyst_seconds()
                times, big = _one_round(daemon.port, small, seeds)
                p99[daemon is on] = percentile(times, 0.99)
                if daemon is on:
                    shares.append((daemon.analyst_seconds() - before) / SECONDS)
                    sent += big + len(times)
                    analysed = on.analysed() - known
                    if analysed != sent:
                        raise RuntimeError(f"{analysed} of {sent} requests were analysed")
            rounds.append((p99[True], p99[False]))
    mine, without = (statistics.median(figures) for figures in zip(*rounds, strict=True))
    ratio = statistics.median(own / other for own, other in rounds)
    busy = statistics.median(shares)
    print(f"the analyst was at work for {busy:.0%} of the time", file=sys.stderr)
    figure = f"{mine * 1e3:.2f} ms, {ratio:.2f} x (analysis off {without * 1e3:.2f} ms)"
    return [Row("delay of other flows while 1 MB requests are analysed, p99", figure, f"<= {DELAY} x", ratio <= DELAY)]


def _one_round(port: int, small: bytes, seeds: Iterator[int]) -> tuple[Seconds, int]:
    """Seconds of each small request, and how many big ones were sent beside them."""

    def until_the_end() -> Iterator[bytes]:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            yield small

    # No two alike, and made before: making one takes longer than the proxy needs for it.
    bodies = [prose(1_000_000, next(seeds)) for _ in range(int(SECONDS / PERIOD))]
    with Beside([partial(request_times, port, [body]) for body in bodies], PERIOD) as big:
        times = request_times(port, until_the_end())
    return times, big.taken


# Turns of a conversation


async def turns(directory: Path) -> list[Row]:
    """Processor time of the analyst for turns of conversations of 800 KB: the first it sees, and those after it."""
    recorder = Recorder.start(directory, StoreOptions())
    await recorder.ready()
    analyst = AnalystProcess(directory, AnalysisOptions(), recorder, enabled=True, idle=3600)
    first: Seconds = []
    after: Seconds = []
    try:
        # Its start, the vocabulary with it, is not what is measured.
        await _analyse(recorder, analyst, 0, b'{"model": "claude-sonnet-4-5", "messages": []}')
        numbers = count(1)
        for seed in range(CONVERSATIONS):
            bodies = list(conversation(seed=seed + 1))[-TURNS:]
            costs = [await _analyse(recorder, analyst, next(numbers), body) for body in bodies]
            first.append(costs[0])
            after += costs[1:]
        pid = analyst.status()["pid"]
        peak = _peak_memory(pid)
    finally:
        await analyst.close()
        await recorder.close()
    _check(directory)
    return [
        _bar(f"analyst: next turn of an 800 KB conversation, processor time, median of {len(after)}", after, NEXT_TURN),
        _bar("analyst: first sight of such a conversation", first, FIRST_SIGHT),
        Row("analyst: peak of memory meanwhile", f"{peak / 1e6:.0f} MB", "", True),
    ]


async def _analyse(recorder: Recorder, analyst: AnalystProcess, number: int, body: bytes) -> float:
    """Record a call, have it analysed, and return the processor seconds that the analyst took."""
    answer = _answer(number)
    finished = flow(1, len(body), len(answer))
    before = analyst.status()["pid"]
    spent = processor_seconds(before) if before is not None else 0.0
    recorder.put({"kind": "flow_ended", "flow": finished, "request_body": body, "response_body": answer})
    await recorder.flush(_WAIT)
    analyst.publish(finished)
    if not await analyst.flush(_WAIT):
        raise RuntimeError("the analyst does not answer")
    return processor_seconds(analyst.status()["pid"]) - spent


def _check(directory: Path) -> None:
    """What was measured is what was meant: one conversation each, its turns in a row."""
    with Analysis(directory, AnalysisOptions()) as analysis:
        found = [one.turns for one in analysis.conversations(Selection())]
    if found != [1] + [TURNS] * CONVERSATIONS:
        raise RuntimeError(f"the analyst found conversations of {found} turns")


def _answer(number: int) -> bytes:
    usage = {"input_tokens": 5, "cache_read_input_tokens": 240_000, "cache_creation_input_tokens": 900}
    message = {"id": f"msg_{number}", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5"}
    start = message | {"content": [], "usage": usage | {"output_tokens": 1}}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *(
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": f"word {at} "}}
            for at in range(200)
        ),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 600}},
        {"type": "message_stop"},
    ]
    return b"".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events)


def _peak_memory(pid: int) -> int:
    line = next(one for one in Path(f"/proc/{pid}/status").read_text().splitlines() if one.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def _bar(what: str, seconds: Seconds, bar: float) -> Row:
    median = statistics.median(seconds)
    figure = f"{median * 1e3:.1f} ms (worst {max(seconds) * 1e3:.1f} ms)"
    return Row(what, figure, f"<= {bar * 1e3:.0f} ms", median <= bar)


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="ccinspect-bench-") as directory:
        rows = asyncio.run(turns(Path(directory) / "turns"))
        rows += delay_of_others(Path(directory))
    return report(rows)


if __name__ == "__main__":
    sys.exit(main())
