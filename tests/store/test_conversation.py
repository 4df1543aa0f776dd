"""The bars for what an agent really sends: disk, exact bytes, memory."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from pathlib import Path

import pytest

from bench.conversation import conversation
from ccinspect.store.query import StoreReader
from ccinspect.store.selection import Selection
from tests.store.records import SECONDS, ended, flow, record, recording, started


def on_disk(store_dir: Path) -> int:
    return sum(path.stat().st_size for path in store_dir.rglob("*") if path.is_file())


def test_a_conversation_of_200_turns_takes_little_and_comes_out_exactly(tmp_path: Path) -> None:
    bodies = list(conversation(turns=200, last_size=800_000))
    raw = sum(map(len, bodies))
    assert raw > 75e6
    assert len(bodies[-1]) == pytest.approx(800_000, rel=0.05)

    async def scenario() -> None:
        async with recording(tmp_path) as recorder:
            for body in bodies:
                sink = recorder.new_body()
                for start in range(0, len(body), 65536):
                    sink.feed(body[start : start + 65536])
                sent = flow()
                recorder.put(started(sent))
                recorder.put(ended(sent, sink.finish(), os.urandom(500)))
            assert await recorder.flush(60)

    asyncio.run(scenario())
    assert on_disk(tmp_path) < 0.02 * raw, "the bar is 4 %"
    with StoreReader(tmp_path) as store:
        found = store.select(Selection())
        assert [store.request_body(one["id"]) for one in found] == bodies
    assert [one["request"]["contentHash"] for one in found] == [hashlib.sha256(body).hexdigest() for body in bodies]


def peak_memory(pid: int | str) -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) * 1024


def forget_peak(pid: int | str) -> int:
    """Begin to measure anew; the result is the memory in use now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return peak_memory(pid)


@pytest.mark.slow
def test_a_body_of_200_mb_passes_in_little_memory(tmp_path: Path) -> None:
    digest = hashlib.sha256()
    sent = flow()

    async def scenario() -> tuple[int, int]:
        async with recording(tmp_path) as recorder:
            await recorder.flush(SECONDS)
            worker = recorder.stats()["pid"]
            ours, theirs = forget_peak("self"), forget_peak(worker)
            sink = recorder.new_body()
            for _ in range(200):
                chunk = os.urandom(1 << 20)
                digest.update(chunk)
                sink.feed(chunk)
            recorder.put(ended(sent, sink.finish(), b"x"))
            assert await recorder.flush(60)
            assert recorder.stats()["lost_bodies"] == 0
            return peak_memory("self") - ours, peak_memory(worker) - theirs

    ours, theirs = asyncio.run(scenario())
    assert ours < 20e6
    assert theirs < 25e6
    with StoreReader(tmp_path) as store:
        before = forget_peak("self")
        read = hashlib.sha256()
        for chunk in store.stream_body(sent["id"], "request") or ():
            read.update(chunk)
        assert read.digest() == digest.digest()
        assert peak_memory("self") - before < 20e6
        assert store.get(sent["id"])["request"]["contentLength"] == 200 << 20


def test_the_recorder_is_small(tmp_path: Path) -> None:
    async def scenario() -> int:
        async with recording(tmp_path) as recorder:
            for number in range(2000):
                sent = flow()
                recorder.put(started(sent))
                recorder.put(ended(sent, b"%d" % number * 3000, b"answer" * 1000))
                if number % 100 == 0:
                    await recorder.flush(SECONDS)
            await recorder.flush(SECONDS)
            return peak_memory(recorder.stats()["pid"])

    assert asyncio.run(scenario()) < 40e6


def test_large_bodies_that_repeat_are_stored_once(tmp_path: Path) -> None:
    body = os.urandom(5_000_000)
    asyncio.run(record(tmp_path, *(ended(flow(), body, body) for _ in range(5))))
    assert on_disk(tmp_path) < 1.05 * len(body)
