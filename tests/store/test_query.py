from __future__ import annotations

import asyncio
import os
import uuid
from pathlib import Path

import pytest

from ccinspect.errors import AmbiguousFlowId, FlowNotFound, StoreUnavailable
from ccinspect.store.query import StoreReader
from ccinspect.store.selection import Selection
from tests.store.records import SECONDS, ended, flow, record, recording, run


def test_ids_may_be_shortened(tmp_path: Path) -> None:
    ids = ["abc11111-0000-4000-8000-000000000000", "abc22222-0000-4000-8000-000000000000", "abc2"]
    asyncio.run(record(tmp_path, *(ended(flow(id=one)) for one in ids)))
    with StoreReader(tmp_path) as store:
        assert store.get("abc1")["id"] == ids[0]
        assert store.get(" ABC11111 ")["id"] == ids[0]
        assert store.get(ids[1])["id"] == ids[1]
        assert store.get("abc2")["id"] == "abc2", "an id that is whole fits only itself"
        with pytest.raises(AmbiguousFlowId) as caught:
            store.get("abc")
        assert all(one in caught.value.message for one in ids)
        for wrong in ("", "abd", "%", "abc_", "abc11111-0000-4000-8000-000000000000x"):
            with pytest.raises(FlowNotFound):
                store.get(wrong)
            with pytest.raises(FlowNotFound):
                store.request_body(wrong)


def test_many_candidates_are_not_all_listed(tmp_path: Path) -> None:
    asyncio.run(record(tmp_path, *(ended(flow(id=f"aa{number:02}{uuid.uuid4()}")) for number in range(30))))
    with StoreReader(tmp_path) as store, pytest.raises(AmbiguousFlowId, match=r"\.\.\.$") as caught:
        store.get("aa")
    assert len(caught.value.message) < 500


def test_reading_goes_on_while_flows_are_written_and_removed(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with recording(tmp_path) as recorder:
            first = [flow() for _ in range(1200)]
            for one in first:
                recorder.put(ended(one, b"x"))
            await recorder.flush(SECONDS)
            with StoreReader(tmp_path) as store:
                records = store.iter_records(Selection())
                seen = [next(records)["id"] for _ in range(10)]
                recorder.put(ended(flow(), b"y"))
                await recorder.flush(SECONDS)
                seen += [one["id"] for one in records]
                assert seen == [one["id"] for one in first], "what is added meanwhile is left out"
                records = store.iter_records(Selection())
                next(records)
                await recorder.command("clear")
                assert len(list(records)) < 500
                assert store.select(Selection()) == []

    asyncio.run(scenario())


def test_a_body_being_read_is_not_pulled_away(tmp_path: Path) -> None:
    data = os.urandom(3 << 20)
    sent = flow()

    async def scenario() -> None:
        async with recording(tmp_path) as recorder:
            recorder.put(ended(sent, b"x", data))
            await recorder.flush(SECONDS)
            with StoreReader(tmp_path) as store:
                chunks = store.stream_body(sent["id"], "response")
                assert chunks is not None
                begun = next(chunks)
                await recorder.command("clear")
                assert store.request_body(sent["id"]) == b"x", "the same view as long as the body is being read"
                assert begun + b"".join(chunks) == data
                with pytest.raises(FlowNotFound):
                    store.get(sent["id"])

    asyncio.run(scenario())


def test_a_reader_may_be_closed_while_a_body_is_being_read(tmp_path: Path) -> None:
    sent = flow()
    asyncio.run(record(tmp_path, ended(sent, b"x", os.urandom(3 << 20))))
    store = StoreReader(tmp_path)
    chunks = store.stream_body(sent["id"], "response")
    assert chunks is not None
    assert next(chunks)
    store.close()
    with pytest.raises(StoreUnavailable):
        next(chunks)


def test_runs_come_oldest_first(tmp_path: Path) -> None:
    runs = [run(id=str(number), started_at=float(number)) for number in (3, 1, 2)]
    asyncio.run(record(tmp_path, *({"kind": "run_started", "run": one} for one in runs)))
    with StoreReader(tmp_path) as store:
        assert [one["id"] for one in store.runs()] == ["1", "2", "3"]
        assert [one["id"] for one in store.runs(limit=2)] == ["2", "3"]


def test_stats(tmp_path: Path) -> None:
    asyncio.run(record(tmp_path, ended(flow(), b"a" * 1000), ended(flow(), b"a" * 1000)))
    with StoreReader(tmp_path) as store:
        stats = store.stats()
    assert (stats["flows"], stats["bodies"], stats["body_bytes"]) == (2, 1, 2000)
    assert stats["stored_bytes"] > 4096


def test_a_flow_without_bodies_has_none(tmp_path: Path) -> None:
    sent = flow(response=None, state="error", error={"msg": "refused", "timestamp": 1.0})
    asyncio.run(record(tmp_path, ended(sent)))
    with StoreReader(tmp_path) as store:
        assert store.get(sent["id"])["request"]["contentState"] == "empty"
        assert store.get(sent["id"])["response"] is None
        assert store.request_body(sent["id"]) is None
        assert store.stream_body(sent["id"], "client_response") is None
        assert list(store.messages(sent["id"])) == []
        with pytest.raises(ValueError, match="no body"):
            store.stream_body(sent["id"], "requests; --")
