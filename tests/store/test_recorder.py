"""The recorder with its real process: what is put comes out."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sqlite3
import stat
from pathlib import Path
from typing import Any

import pytest

from ccinspect.errors import BadSelection, ControlError, StoreUnavailable
from ccinspect.store import schema, spool
from ccinspect.store.options import StoreOptions
from ccinspect.store.query import StoreReader
from ccinspect.store.selection import Selection
from tests.store.records import SECONDS, ended, flow, record, recording, run, started

ROOT = Path(__file__).parents[2]


def flows(store_dir: Path, **selection: Any) -> list[dict[str, Any]]:
    with StoreReader(store_dir) as store:
        return store.select(Selection(**selection))


def contents(directory: Path) -> list[bytes]:
    """The bytes of all files."""
    return [path.read_bytes() for path in directory.rglob("*") if path.is_file()]


def test_a_flow_with_its_bodies_comes_out_as_it_went_in(tmp_path: Path) -> None:
    body, answer = b'{"a": "\xff\x00"}', b"data: {}\n\n" * 1000
    sent = flow(run="r1", request={"headers": [[b"X-Odd", b"caf\xe9"], [b"x-odd", b"again"]]})
    asyncio.run(record(tmp_path, started(sent), ended(sent, body, answer)))
    (found,) = flows(tmp_path)
    expected = sent | {
        "request": sent["request"]
        | {
            "headers": [["X-Odd", "caf\udce9"], ["x-odd", "again"]],
            "contentLength": len(body),
            "contentHash": hashlib.sha256(body).hexdigest(),
            "contentState": "stored",
        },
        "response": sent["response"]
        | {
            "headers": [["Content-Type", "application/json"]],
            "contentLength": len(answer),
            "contentHash": hashlib.sha256(answer).hexdigest(),
            "contentState": "stored",
        },
        "sizes": {"request": len(body), "response": len(answer)},
    }
    assert found["timing"].pop("duration") == pytest.approx(1.5)
    assert found["timing"].pop("first_byte") == pytest.approx(0.5)
    assert found == expected
    with StoreReader(tmp_path) as store:
        assert store.request_body(sent["id"]) == body
        assert store.response_body(sent["id"]) == answer
        assert b"".join(store.stream_body(sent["id"], "client_request") or ()) == body
        assert b"".join(store.stream_body(sent["id"], "client_response") or ()) == answer


def test_the_clients_own_bodies_are_kept_where_they_differ(tmp_path: Path) -> None:
    sent = flow(client_request={"method": "POST", "path": "/own", "headers": []})
    asyncio.run(
        record(
            tmp_path,
            ended(sent, b"forwarded", b"upstream", client_request_body=b"own", client_response_body=b"changed"),
        )
    )
    (found,) = flows(tmp_path)
    assert found["client_request"]["path"] == "/own"
    assert found["client_request"]["contentLength"] == 3
    assert found["client_response"]["status_code"] == 200
    assert found["client_response"]["contentHash"] == hashlib.sha256(b"changed").hexdigest()
    with StoreReader(tmp_path) as store:
        assert b"".join(store.stream_body(sent["id"], "client_request") or ()) == b"own"
        assert b"".join(store.stream_body(sent["id"], "client_response") or ()) == b"changed"
        assert store.request_body(sent["id"]) == b"forwarded"


def test_a_started_flow_can_be_seen_before_it_ends(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with recording(tmp_path) as recorder:
            sent = flow()
            recorder.put(started(sent))
            assert await recorder.flush(SECONDS)
            (found,) = await asyncio.to_thread(flows, tmp_path)
            assert (found["state"], found["response"]) == ("started", None)
            recorder.put(ended(sent, b"a", b"b"))
            assert await recorder.flush(SECONDS)
            (found,) = await asyncio.to_thread(flows, tmp_path)
            assert (found["state"], found["response"]["status_code"]) == ("complete", 200)

    asyncio.run(scenario())


def test_messages_may_come_twice_and_out_of_order(tmp_path: Path) -> None:
    one, two = flow(), flow()
    again = ended(one, b"first", b"same")
    changed = ended(one, b"second", b"same")
    asyncio.run(record(tmp_path, again, again, started(one), changed, ended(one), ended(two, b"second"), ended(two)))
    with StoreReader(tmp_path) as store:
        assert store.count() == 2
        assert store.request_body(one["id"]) == b"second"
        assert store.response_body(one["id"]) == b"same"
    db = sqlite3.connect(tmp_path / schema.DATABASE)
    uses = dict(db.execute("SELECT size, uses FROM bodies").fetchall())
    db.close()
    assert uses == {len(b"second"): 2, len(b"same"): 1}


def test_flows_stand_in_the_order_in_which_they_started(tmp_path: Path) -> None:
    slow, quick, last = flow(), flow(), flow()
    messages = [started(slow), started(quick), ended(quick), ended(last), ended(slow)]
    asyncio.run(record(tmp_path, *messages))
    assert [one["id"] for one in flows(tmp_path)] == [slow["id"], quick["id"], last["id"]]


def test_runs_are_kept(tmp_path: Path) -> None:
    mine = run(name="nightly", started_at=1000.0)
    asyncio.run(
        record(
            tmp_path,
            {"kind": "run_started", "run": mine},
            {"kind": "run_ended", "id": mine["id"], "ended_at": 1010.0, "exit_code": 3},
            {"kind": "run_ended", "id": "unknown", "ended_at": 1.0, "exit_code": 0},
        )
    )
    with StoreReader(tmp_path) as store:
        assert store.runs() == [mine | {"ended_at": 1010.0, "exit_code": 3}]


def test_a_run_of_words_that_are_no_utf_8_is_kept(tmp_path: Path) -> None:
    odd = os.fsdecode(b"a\xffb")
    mine = run(name=odd, project=odd, tags={odd: odd}, command=[odd], cwd=f"/{odd}")
    asyncio.run(record(tmp_path, {"kind": "run_started", "run": mine}))
    with StoreReader(tmp_path) as store:
        (kept,) = store.runs()
    assert {key: kept[key] for key in ("name", "project", "tags", "command", "cwd")} == {
        key: mine[key] for key in ("name", "project", "tags", "command", "cwd")
    }


def test_the_pieces_of_other_streams_are_kept_in_order(tmp_path: Path) -> None:
    socket_flow = flow(type="tcp", request=None, response=None)
    contents = [b"", b"hello", b"\x00" * 10_000, os.urandom(5000), os.urandom(200_000)]
    messages = [
        {
            "kind": "message",
            "flow_id": socket_flow["id"],
            "seq": number,
            "from_client": number % 2 == 0,
            "type": "tcp",
            "timestamp": 1.5 + number,
            "content": content,
        }
        for number, content in enumerate(contents)
    ]
    nowhere = messages[1] | {"flow_id": "no such flow"}
    asyncio.run(record(tmp_path, started(socket_flow), *messages, messages[2], nowhere, ended(socket_flow)))
    with StoreReader(tmp_path) as store:
        found = list(store.messages(socket_flow["id"]))
    assert [message["content"] or b"" for message in found] == contents
    assert [message["size"] for message in found] == [len(content) for content in contents]
    assert [message["seq"] for message in found] == list(range(5))
    assert found[1] | {"content": b""} == {
        "seq": 1, "from_client": False, "type": "tcp", "timestamp": 2.5, "size": 5, "content": b"",
    }  # fmt: skip


def test_nothing_is_readable_by_others(tmp_path: Path) -> None:
    store_dir = tmp_path / "store"

    async def scenario() -> None:
        async with recording(store_dir) as recorder:
            recorder.put(ended(flow(), b"x", b"y"))
            sink = recorder.new_body()
            sink.feed(bytes(spool.IN_MEMORY + 1))
            await recorder.flush(SECONDS)
            for path in [store_dir, *store_dir.rglob("*")]:
                assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
            names = {path.name for path in store_dir.rglob("*")}
            assert {"flows.db", "flows.db-wal", "flows.db-shm", "recorder.lock", "fingerprint.key", "1.body"} <= names
            sink.abort()

    before = os.umask(0o022)
    try:
        asyncio.run(scenario())
    finally:
        os.umask(before)


def test_nothing_is_left_in_the_spool(tmp_path: Path) -> None:
    sent = flow()

    async def scenario() -> None:
        async with recording(tmp_path) as recorder:
            sink, aborted = recorder.new_body(), recorder.new_body()
            for _ in range(40):
                sink.feed(b"x" * 50_000)
                aborted.feed(b"y" * 50_000)
            body = sink.finish()
            assert isinstance(body, dict)
            assert body["size"] == 2_000_000
            recorder.put(ended(sent, body))
            aborted.abort()
            assert await recorder.flush(SECONDS)
            assert [path for path in (tmp_path / "spool").rglob("*") if path.is_file()] == []

    asyncio.run(scenario())
    assert list((tmp_path / "spool").iterdir()) == []
    with StoreReader(tmp_path) as store:
        assert store.request_body(sent["id"]) == b"x" * 2_000_000


def test_with_bodies_none_no_content_is_written_anywhere(tmp_path: Path) -> None:
    marker = b"THE-CONTENT-" + os.urandom(12).hex().encode()
    big = marker * 40_000
    sent, stream = flow(), flow(type="tcp", request=None, response=None)
    seen: list[bytes] = []

    async def scenario() -> None:
        async with recording(tmp_path, StoreOptions(bodies="none")) as recorder:
            sink = recorder.new_body()
            sink.feed(big)
            assert sink.size == len(big)
            body = sink.finish()
            message = ended(sent, body, marker) | {"client_request_body": big}
            message["flow"]["sizes"] = {"request": len(big), "response": len(marker)}
            recorder.put(started(sent))
            recorder.put(message)
            recorder.put(started(stream))
            recorder.put(
                {"kind": "message", "flow_id": stream["id"], "seq": 0, "from_client": True, "type": "tcp",
                 "timestamp": 1.0, "content": big}
            )  # fmt: skip
            # What was put into files for the recorder would still be there.
            seen.extend(contents(tmp_path))
            await recorder.flush(SECONDS)
            seen.extend(contents(tmp_path))

    asyncio.run(scenario())
    seen += contents(tmp_path)
    assert not any(marker in data for data in seen)
    digest = hashlib.sha256(big).digest()
    assert not any(digest in data or digest.hex().encode() in data for data in seen)
    found = flows(tmp_path, type="http")[0]
    assert (found["request"]["contentLength"], found["request"]["contentState"]) == (len(big), "none")
    with StoreReader(tmp_path) as store:
        assert store.request_body(sent["id"]) is None
        assert [message["size"] for message in store.messages(stream["id"])] == [len(big)]


def test_put_never_raises(tmp_path: Path) -> None:
    class Odd:
        def __repr__(self) -> str:
            raise RuntimeError

    good = flow()
    circular: dict[str, Any] = {}
    circular["me"] = circular

    async def scenario() -> dict[str, Any]:
        async with recording(tmp_path) as recorder:
            recorder.put({"kind": "flow_ended", "flow": Odd()})
            recorder.put({"kind": "flow_ended", "flow": circular})
            recorder.put({"kind": "nonsense"})
            recorder.put({"kind": "flow_ended", "flow": {"id": "x"}})
            recorder.put({"kind": "message", "flow_id": good["id"]})
            recorder.put({})
            recorder.put(ended(good, b"x") | {"surplus": {1, 2}})
            assert await recorder.flush(SECONDS)
            return recorder.stats()

    stats = asyncio.run(scenario())
    assert [found["id"] for found in flows(tmp_path)] == [good["id"]]
    assert stats["lost_records"] == 5, "a message of a flow that is not there is no loss"
    assert stats["last_error"]
    assert stats["alive"]


def test_text_that_is_no_unicode_passes(tmp_path: Path) -> None:
    sent = flow(request={"path": "/\udcff\ud83d", "method": "G\udc80T", "pretty_host": "h\udcffst"}, hint="\ud800")
    asyncio.run(record(tmp_path, ended(sent, b"x")))
    (found,) = flows(tmp_path)
    assert found["request"]["path"] == "/\udcff\ud83d"
    assert found["hint"] == "\ud800"


def test_commands_are_answered_in_order_and_their_errors_are_ours(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with recording(tmp_path) as recorder:
            for host in ("a.example.com", "b.example.com"):
                recorder.put(ended(flow(request={"pretty_host": host}), b"x"))
            assert await recorder.command("clear", {"host": "a.example.com"}) == 1
            with pytest.raises(BadSelection, match="4xxx"):
                await recorder.command("clear", {"status": "4xxx"})
            with pytest.raises(BadSelection, match="by number"):
                await recorder.command("clear", {"limit": 1})
            with pytest.raises(BadSelection, match="colour"):
                await recorder.command("clear", {"colour": "red"})
            with pytest.raises(ControlError, match="dance"):
                await recorder.command("dance")
            with pytest.raises(StoreUnavailable):
                await recorder.command("clear", {"since": {"not": "a number"}})
            assert await recorder.command("clear") == 1

    asyncio.run(scenario())
    assert flows(tmp_path) == []


def test_directories_are_private_also_where_the_proxy_is_first(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        area = spool.SpoolArea(tmp_path / "store" / "spool" / "1")
        area.write(b"x")
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "store").rglob("*") if path.is_dir()}
    assert modes | {stat.S_IMODE((tmp_path / "store").stat().st_mode)} == {0o700}


def test_put_costs_little(tmp_path: Path) -> None:
    async def scenario() -> float:
        async with recording(tmp_path) as recorder:
            messages = [ended(flow(), b"x" * 500, b"y" * 500) for _ in range(500)]
            loop = asyncio.get_running_loop()
            costs = []
            for message in messages:
                begun = loop.time()
                recorder.put(message)
                costs.append(loop.time() - begun)
            await recorder.flush(SECONDS)
            return sorted(costs)[len(costs) // 2]

    # The bar is 50 us on a quiet machine (bench/store.py).
    assert asyncio.run(scenario()) < 500e-6


def test_a_flow_that_starts_and_ends_at_once_is_written_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with recording(tmp_path) as recorder:
            sent = flow()
            recorder.put(started(sent))
            recorder.put(ended(sent, b"x"))
            await recorder.flush(SECONDS)

    asyncio.run(scenario())
    db = sqlite3.connect(tmp_path / schema.DATABASE)
    assert db.execute("SELECT count(*), max(id) FROM flows").fetchone() == (1, 1)
    db.close()
