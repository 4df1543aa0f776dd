"""The recorder when something dies, is locked, or is not what it should be: nothing complete is lost."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import select
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ccinspect.errors import StoreUnavailable
from ccinspect.store import recorder as recorder_module
from ccinspect.store import schema, spool
from ccinspect.store.options import StoreOptions
from ccinspect.store.query import StoreReader
from ccinspect.store.recorder import Recorder
from ccinspect.store.selection import Selection
from tests.store.records import SECONDS, ended, flow, record, recording, started

ROOT = Path(__file__).parents[2]


def flows(store_dir: Path, **selection: Any) -> list[dict[str, Any]]:
    with StoreReader(store_dir) as store:
        return store.select(Selection(**selection))


def remove_database(directory: Path) -> None:
    for path in directory.glob("flows.db*"):
        path.unlink()


def wait_for_exit(pid: int) -> None:
    """Wait for a process that is no child of ours."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([handle], [], [], SECONDS)[0], f"process {pid} is still there"
    finally:
        os.close(handle)


def test_a_killed_worker_is_replaced_and_nothing_is_lost(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> tuple[list[str], dict[str, Any]]:
        ids = []
        async with recording(tmp_path) as recorder:
            for number in range(300):
                sent = flow()
                ids.append(sent["id"])
                recorder.put(started(sent))
                recorder.put(ended(sent, os.urandom(5000), b"%d" % number))
                if number in (50, 150, 250):
                    await recorder.flush(SECONDS)
                    recorder.put(started(flow(id=f"x{number}")))
                    os.kill(recorder.stats()["pid"], signal.SIGKILL)
            assert await recorder.flush(SECONDS)
            return ids, recorder.stats()

    with caplog.at_level(logging.WARNING):
        ids, stats = asyncio.run(scenario())
    assert [found["id"] for found in flows(tmp_path) if not found["id"].startswith("x")] == ids
    assert len(flows(tmp_path)) == 303
    assert (stats["lost_records"], stats["lost_bodies"], stats["restarts"]) == (0, 0, 3)
    assert len(caplog.records) == 3


def test_a_worker_that_always_dies_is_given_up_and_the_loss_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> dict[str, Any]:
        monkeypatch.setattr(recorder_module.sys, "executable", "/bin/false")
        recorder = Recorder.start(tmp_path, StoreOptions())
        with pytest.raises(StoreUnavailable, match="not running"):
            await recorder.ready(SECONDS)
        recorder.put(ended(flow(), b"x"))
        assert not await recorder.flush(SECONDS)
        with pytest.raises(StoreUnavailable):
            await recorder.command("clear")
        stats = recorder.stats()
        await recorder.close()
        return stats

    stats = asyncio.run(scenario())
    assert (stats["alive"], stats["failing"], stats["restarts"]) == (False, True, recorder_module.MAX_RESTARTS)
    assert "Traffic goes on" in caplog.text


def test_when_no_worker_drains_memory_stays_bounded_and_the_loss_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "PENDING_BYTES", 100_000)
    sent = [flow() for _ in range(200)]

    async def scenario() -> dict[str, Any]:
        tmp_path.joinpath(schema.LOCK).touch()
        with tmp_path.joinpath(schema.LOCK).open("rb+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            recorder = Recorder.start(tmp_path, StoreOptions())
            for one in sent:
                recorder.put(ended(one, b"b" * 2000))
            stats = recorder.stats()
            assert not await recorder.ready(0.1), "the worker waits for the lock"
        assert await recorder.ready(SECONDS)
        assert await recorder.flush(SECONDS)
        await recorder.close(SECONDS)
        return stats

    stats = asyncio.run(scenario())
    assert stats["queued_bytes"] < 250_000
    assert 0 < stats["lost_records"] < 200
    found = flows(tmp_path)
    assert [one["id"] for one in found] == [one["id"] for one in sent[: 200 - stats["lost_records"]]]
    assert {one["request"]["contentState"] for one in found} == {"stored"}
    assert list((tmp_path / "spool").rglob("*.body")) == []


@pytest.mark.parametrize("when", ["ready", "at once"])
def test_kill_9_of_the_proxy_loses_nothing_that_was_complete(tmp_path: Path, when: str) -> None:
    number = 300
    command = [sys.executable, "-m", "tests.store.proxy_process", str(tmp_path), str(number)]
    command += ["--ready"] if when == "ready" else []
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as proxy:
        assert proxy.stdout is not None
        worker = int(proxy.stdout.readline())
        proxy.kill()
    wait_for_exit(worker)
    found = flows(tmp_path)
    assert len(found) == number + 1
    assert [one["state"] for one in found] == ["complete"] * number + ["started"]
    assert [one["request"]["contentLength"] for one in found[:-1]] == [
        len(b"%d" % count) * 60_000 for count in range(number)
    ]
    with StoreReader(tmp_path) as store:
        assert store.request_body(found[-2]["id"]) == b"%d" % (number - 1) * 60_000
        assert store.runs()[0]["ended_at"] is None
    assert list((tmp_path / "spool").iterdir()) == []

    asyncio.run(record(tmp_path))
    assert flows(tmp_path)[-1]["state"] == "interrupted"
    with StoreReader(tmp_path) as store:
        assert store.runs()[0]["ended_at"] == max(one["timing"]["ended_at"] for one in found[:-1])


def test_a_second_recorder_waits_until_the_first_has_drained(tmp_path: Path) -> None:
    async def scenario() -> None:
        first = Recorder.start(tmp_path, StoreOptions())
        await first.ready(SECONDS)
        second = Recorder.start(tmp_path, StoreOptions())
        going_on, later = flow(), flow()
        first.put(started(going_on))
        sink = second.new_body()
        sink.feed(os.urandom(spool.IN_MEMORY * 2))
        second.put(ended(later, sink.finish()))
        await first.flush(SECONDS)
        assert not await second.ready(0.05)
        assert await first.close(SECONDS)
        assert await second.ready(SECONDS)
        assert await second.flush(SECONDS)
        assert await second.close(SECONDS)
        assert [one["state"] for one in flows(tmp_path)] == ["interrupted", "complete"]
        with StoreReader(tmp_path) as store:
            assert store.request_body(later["id"]) is not None

    asyncio.run(scenario())


def test_a_spool_that_nobody_owns_is_removed_and_a_waiting_recorders_is_not(tmp_path: Path) -> None:
    leftover = tmp_path / "spool" / "123-dead"
    leftover.mkdir(parents=True)
    (leftover / "1.body").write_bytes(b"x")
    other = tmp_path / "spool" / "456-waiting"
    other.mkdir()
    (other / "1.body").write_bytes(b"x")
    descriptor = os.open(other, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    asyncio.run(record(tmp_path))
    os.close(descriptor)
    assert [path.name for path in (tmp_path / "spool").iterdir()] == ["456-waiting"]


def test_signals_for_the_proxy_do_not_end_the_recorder(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with recording(tmp_path) as recorder:
            pid = recorder.stats()["pid"]
            assert os.getpgid(pid) == pid, "in a group of its own, Ctrl-C does not reach it"
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                os.kill(pid, number)
            recorder.put(ended(flow(), b"x"))
            assert await recorder.flush(SECONDS)
            assert recorder.stats()["restarts"] == 0

    asyncio.run(scenario())
    assert len(flows(tmp_path)) == 1


def test_a_database_removed_by_hand_is_begun_anew(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with recording(tmp_path) as recorder:
            recorder.put(ended(flow(), b"x"))
            await recorder.flush(SECONDS)
            remove_database(tmp_path)
            recorder.put(ended(flow(), b"y"))
            assert await recorder.flush(SECONDS)
            assert recorder.stats()["lost_records"] == 0

    asyncio.run(scenario())
    assert len(flows(tmp_path)) == 1


def test_a_database_that_another_program_locks_for_a_while_loses_nothing(tmp_path: Path) -> None:
    async def scenario() -> dict[str, Any]:
        async with recording(tmp_path) as recorder:
            recorder.put(ended(flow(), b"x"))
            assert await recorder.flush(SECONDS)
            other = sqlite3.connect(tmp_path / schema.DATABASE, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            for _ in range(10):
                recorder.put(ended(flow(), b"y"))
            assert not await recorder.flush(0.3)
            other.execute("ROLLBACK")
            other.close()
            assert await recorder.flush(SECONDS)
            return recorder.stats()

    assert asyncio.run(scenario())["lost_records"] == 0
    assert len(flows(tmp_path)) == 11


def test_a_store_that_cannot_be_used_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / schema.DATABASE).write_bytes(b"this is no database, " * 1000)

    async def scenario() -> None:
        recorder = Recorder.start(tmp_path, StoreOptions())
        with pytest.raises(StoreUnavailable, match="not a database") as caught:
            await recorder.ready(SECONDS)
        assert caught.value.hint
        recorder.put(ended(flow(), b"x"))
        assert not await recorder.flush(SECONDS)
        assert not recorder.stats()["ready"]
        await recorder.close(SECONDS)

    asyncio.run(scenario())


def test_what_was_asked_of_a_worker_that_dies_is_answered(tmp_path: Path) -> None:
    async def scenario() -> None:
        tmp_path.joinpath(schema.LOCK).touch()
        async with asyncio.timeout(SECONDS):
            with tmp_path.joinpath(schema.LOCK).open("rb+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                recorder = Recorder.start(tmp_path, StoreOptions())
                recorder.put(ended(flow(), b"x"))
                flush = asyncio.ensure_future(recorder.flush(SECONDS))
                clear = asyncio.ensure_future(recorder.command("clear"))
                await asyncio.sleep(0)
                os.kill(recorder.stats()["pid"], signal.SIGKILL)
                with pytest.raises(StoreUnavailable, match="in part"):
                    await clear
            assert await flush
            await recorder.close(SECONDS)

    asyncio.run(scenario())


def test_a_worker_that_dies_while_it_drains_is_replaced_once_more(tmp_path: Path) -> None:
    async def scenario() -> None:
        tmp_path.joinpath(schema.LOCK).touch()
        with tmp_path.joinpath(schema.LOCK).open("rb+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            recorder = Recorder.start(tmp_path, StoreOptions())
            for _ in range(10):
                recorder.put(ended(flow(), b"x"))
            closing = asyncio.ensure_future(recorder.close(SECONDS))
            await asyncio.sleep(0)
            os.kill(recorder.stats()["pid"], signal.SIGKILL)
        assert await closing

    asyncio.run(scenario())
    assert len(flows(tmp_path)) == 10
