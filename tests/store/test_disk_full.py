"""The disk is full, or the store's files cannot grow: traffic goes on, the loss is counted, and recording resumes."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
from pathlib import Path
from typing import Any

from ccinspect.store import spool
from ccinspect.store.query import StoreReader
from ccinspect.store.recorder import Recorder
from ccinspect.store.selection import Selection
from tests.store.records import SECONDS, ended, flow, recording
from tests.support.namespaces import on_a_disk_of


def states(store_dir: Path) -> list[str]:
    with StoreReader(store_dir) as store:
        return [one["request"]["contentState"] for one in store.select(Selection())]


def limit_files(recorder: Recorder, size: int) -> None:
    """From now on the recorder's process cannot make a file larger than `size`."""
    pid = recorder.stats()["pid"]
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def test_what_does_not_fit_is_counted_and_recording_resumes(tmp_path: Path) -> None:
    async def scenario() -> dict[str, Any]:
        async with recording(tmp_path) as recorder:
            recorder.put(ended(flow(), os.urandom(50_000)))
            assert await recorder.flush(SECONDS)
            limit_files(recorder, 0)
            for _ in range(20):
                recorder.put(ended(flow(), os.urandom(50_000)))
            assert await recorder.flush(SECONDS), "it still answers"
            full = recorder.stats()
            limit_files(recorder, resource.RLIM_INFINITY)
            for _ in range(20):
                recorder.put(ended(flow(), os.urandom(50_000)))
            assert await recorder.flush(SECONDS)
            after = recorder.stats()
            assert (full["failing"], after["failing"]) == (True, False)
            assert full["last_error"]
            assert after["lost_records"] == full["lost_records"]
            assert after["alive"]
            return after

    stats = asyncio.run(scenario())
    assert stats["lost_records"] == 20
    assert stats["restarts"] == 0
    assert states(tmp_path) == ["stored"] * 21


def test_a_record_is_kept_where_its_body_does_not_fit(tmp_path: Path) -> None:
    async def scenario() -> dict[str, Any]:
        async with recording(tmp_path) as recorder:
            recorder.put(ended(flow(), b"x"))
            assert await recorder.flush(SECONDS)
            limit_files(recorder, 400_000)
            recorder.put(ended(flow(), os.urandom(1 << 20)))
            assert await recorder.flush(SECONDS)
            stats = recorder.stats()
            limit_files(recorder, resource.RLIM_INFINITY)
            return stats

    stats = asyncio.run(scenario())
    assert states(tmp_path) == ["stored", "lost"]
    assert (stats["lost_records"], stats["lost_bodies"]) == (0, 1)


def test_a_body_that_cannot_be_spooled_is_counted_and_the_flow_kept(tmp_path: Path) -> None:
    async def scenario() -> dict[str, Any]:
        async with recording(tmp_path) as recorder:
            soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (spool.IN_MEMORY * 3, hard))
            try:
                sink = recorder.new_body()
                for _ in range(100):
                    sink.feed(bytes(50_000))
                body = sink.finish()
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            assert sink.size == 5_000_000, "the proxy still knows how much went by"
            recorder.put(ended(flow(), body, b"answer"))
            assert await recorder.flush(SECONDS)
            assert [path for path in (tmp_path / "spool").rglob("*") if path.is_file()] == []
            return recorder.stats()

    stats = asyncio.run(scenario())
    assert stats["lost_bodies"] == 1
    assert stats["last_error"]
    with StoreReader(tmp_path) as store:
        (found,) = store.select(Selection())
    assert (found["request"]["contentState"], found["request"]["contentLength"]) == ("lost", 5_000_000)
    assert found["response"]["contentState"] == "stored"


def fill(path: Path) -> None:
    """Write until the disk is full."""
    with path.open("wb", buffering=0) as file:
        try:
            for _ in range(10_000):
                file.write(bytes(4096))
        except OSError as error:
            if error.errno == errno.ENOSPC:
                return
            raise
    raise AssertionError("this disk is not small")


def on_a_small_disk(store_dir: Path) -> None:
    """Run by `test_a_disk_that_is_really_full` on a file system of 2 MB."""
    asyncio.run(record_more_than_fits(store_dir))


async def record_more_than_fits(store_dir: Path) -> None:
    async with recording(store_dir) as recorder:
        for _ in range(10):
            recorder.put(ended(flow(), os.urandom(20_000)))
        assert await recorder.flush(SECONDS)
        filler = store_dir / "filler"
        fill(filler)
        for _ in range(30):
            sink = recorder.new_body()
            sink.feed(os.urandom(200_000))
            recorder.put(ended(flow(), sink.finish(), os.urandom(30_000)))
        assert await recorder.flush(SECONDS)
        full = recorder.stats()
        filler.unlink()
        last = flow()
        recorder.put(ended(last, os.urandom(20_000)))
        assert await recorder.flush(SECONDS)
        stats = recorder.stats()
    with StoreReader(store_dir) as store:
        found = store.select(Selection())
        assert len(store.request_body(last["id"]) or b"") == 20_000
    lost = [one for one in found if one["request"]["contentState"] == "lost"]
    assert len(found) + stats["lost_records"] == 41, (len(found), stats)
    assert full["lost_bodies"] >= 30, full
    assert stats["lost_records"] == full["lost_records"]
    assert not stats["failing"], stats
    print(f"{len(found)} kept, {len(lost)} of them without their body, {stats['lost_records']} lost")


def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    assert "kept" in on_a_disk_of("2m", tmp_path, "tests.store.test_disk_full:on_a_small_disk")
