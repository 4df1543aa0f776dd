"""What the recorder is given is masked whole, and nothing else of it changes."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccinspect.policy import masking
from ccinspect.policy.kept import KeptRules
from ccinspect.policy.masking import masked
from ccinspect.policy.settings import RedactConfig
from ccinspect.store.losses import Losses
from ccinspect.store.options import StoreOptions
from ccinspect.store.query import StoreReader
from ccinspect.store.recorder import RULES, Recorder
from ccinspect.store.selection import Selection
from ccinspect.store.spool import LONGEST_UNWRITTEN
from tests.store.records import SECONDS, ended, flow, run, started

CUSTOMER = "ACME-483920"
INSTEAD = "[redacted: customer]"
MASK = RedactConfig(name="customer", pattern=r"ACME-\d{6}", where="store")
RULE = KeptRules([MASK]).of(None) or b""


def spooled(directory: Path) -> list[Path]:
    return list(directory.rglob("*.body"))


def kept(message: dict[str, Any], losses: Losses | None = None) -> dict[str, Any]:
    return masked(message, RULE, losses or Losses())


def test_every_text_of_a_record_is_masked_and_its_structure_stays() -> None:
    record = flow(
        run=CUSTOMER,
        said={"project": None, "tags": {f"for {CUSTOMER}": CUSTOMER}},
        error={"msg": f"{CUSTOMER} is not there", "timestamp": 483920.5},
        changes={"notes": {"mine": {CUSTOMER: [1, None, CUSTOMER]}}},
        process={"pid": 483920, "argv": ["claude", CUSTOMER]},
    )
    headers = [(b"x-\xff", CUSTOMER.encode()), (CUSTOMER.encode(), b"1")]
    record["request"] |= {"path": f"/x?{CUSTOMER}", "headers": headers}
    result = kept(started(record))["flow"]
    assert result["run"] == CUSTOMER, "runs are known by it"
    assert CUSTOMER not in json.dumps(result | {"run": None})
    assert result["said"]["tags"] == {f"for {INSTEAD}": INSTEAD}
    assert result["error"] == {"msg": f"{INSTEAD} is not there", "timestamp": 483920.5}
    assert result["changes"]["notes"] == {"mine": {INSTEAD: [1, None, INSTEAD]}}
    assert result["process"]["pid"] == 483920
    assert result["request"]["headers"] == [["x-\udcff", INSTEAD], [INSTEAD, "1"]]
    assert result["timing"] == started(record)["flow"]["timing"]


def test_where_nothing_is_found_nothing_changes() -> None:
    message = ended(flow(), b'{"a": 1}', gzip.compress(b"b"))
    result = kept(message)
    assert result["request_body"] is message["request_body"]
    assert result["response_body"] is message["response_body"]
    assert result["flow"].get("changes") == message["flow"].get("changes")


@pytest.mark.parametrize("body", [b"\x1f\x8b broken", gzip.compress(b"x" * 1000)], ids=["broken", "too long unpacked"])
def test_a_body_that_cannot_be_searched_is_lost(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masking, "MOST_UNPACKED", 999)
    losses = Losses()
    record = flow()
    record["request"] |= {"headers": [(b"Content-Encoding", b"gzip")]}
    assert kept(ended(record, body), losses)["request_body"] == {"lost": True, "size": len(body)}
    assert losses.bodies == 1


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    keys = st.text() | st.just(CUSTOMER)
    return st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4)


@given(st.recursive(st.none() | st.integers() | st.text() | st.binary() | st.just(CUSTOMER), containers))
def test_whatever_a_hook_notes_is_masked(noted: Any) -> None:
    record = flow(changes={"notes": noted})
    assert CUSTOMER not in json.dumps(kept(started(record))["flow"]["changes"])


def test_rules_hold_for_their_projects() -> None:
    rules = KeptRules([MASK.model_copy(update={"projects": ("web-*",)}), RedactConfig(name="out", pattern="x")])
    assert rules.of("desktop") is None
    assert rules.of(None) is None
    assert b"customer" in (rules.of("web-shop") or b"")
    assert rules.of("desktop", "web-shop") == rules.of("web-shop")
    rules.use([])
    assert rules.of("web-shop") is None


def test_a_recorder_that_is_killed_is_followed_by_one_that_masks_too(tmp_path: Path) -> None:
    async def scenario() -> dict[str, Any]:
        recorder = Recorder.start(tmp_path, StoreOptions(), worker="ccinspect.policy.masking_worker")
        assert await recorder.ready(SECONDS)
        pid = recorder.stats()["pid"]
        os.kill(pid, signal.SIGSTOP)
        recorder.put({"kind": "run_started", "run": run(command=["claude", CUSTOMER]), RULES: RULE})
        for _ in range(3):
            one = flow()
            recorder.put({**started(one), RULES: RULE})
            text = {"kind": "message", "flow_id": one["id"], "seq": 0, "from_client": True, "type": "text"}
            recorder.put({**text, "timestamp": 1.0, "content": CUSTOMER.encode(), RULES: RULE})
            recorder.put({**ended(one, f'"{CUSTOMER}"'.encode(), CUSTOMER.encode()), RULES: RULE})
        os.kill(pid, signal.SIGKILL)
        assert await recorder.flush(SECONDS)
        stats = recorder.stats()
        assert await recorder.close(SECONDS)
        return stats

    stats = asyncio.run(scenario())
    assert (stats["restarts"], stats["lost_records"], stats["lost_bodies"]) == (1, 0, 0)
    with StoreReader(tmp_path) as store:
        records = [store.get(one["id"]) for one in store.select(Selection())]
        assert len(records) == 3
        for record in records:
            assert store.request_body(record["id"]) == f'"{INSTEAD}"'.encode()
            assert [each["content"] for each in store.messages(record["id"])] == [INSTEAD.encode()]
        assert store.runs()[0]["command"] == ["claude", INSTEAD]
    assert not any(CUSTOMER.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_a_body_too_long_for_memory_is_lost_and_no_file_is_written(tmp_path: Path) -> None:
    async def scenario() -> dict[str, Any]:
        recorder = Recorder.start(tmp_path, StoreOptions(), worker="ccinspect.policy.masking_worker")
        assert await recorder.ready(SECONDS)
        sink = recorder.new_body(unwritten=True)
        for _ in range(LONGEST_UNWRITTEN // (1 << 20) + 1):
            sink.feed(bytes(1 << 20))
            assert not spooled(tmp_path)
        recorder.put({**ended(flow(), sink.finish()), RULES: RULE})
        assert await recorder.flush(SECONDS)
        stats = recorder.stats()
        assert await recorder.close(SECONDS)
        return stats

    assert asyncio.run(scenario())["lost_bodies"] == 1
    with StoreReader(tmp_path) as store:
        (record,) = store.select(Selection())
    assert record["request"]["contentState"] == "lost"
