from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ccinspect.errors import FilterError
from ccinspect.store.jqfilter import Filters, apply

FLOWS = [{"id": str(number), "response": {"status_code": 200 + number}} for number in range(5)]
TEXTS = [json.dumps(one) for one in FLOWS]


def apply_all(*filters: str, seconds: float = 20.0) -> list[Any]:
    return apply(filters, TEXTS, seconds)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ([], FLOWS),
        (["."], FLOWS),
        ([".[-1:]"], FLOWS[-1:]),
        (["map(select(.response.status_code > 202))", ".[:1]"], FLOWS[3:4]),
        (["map(.id) # the ids", "map(tonumber) # and numbers"], [0, 1, 2, 3, 4]),
        (["def f: map(.id); f"], ["0", "1", "2", "3", "4"]),
        (["[.[] | .response.status_code] | [add]"], [1010]),
        (["[]"], []),
        (["map(select(.nosuch.field == 1))"], []),
        (['[{"a": "line\\nfeed"}]'], [{"a": "line\nfeed"}]),
    ],
)
def test_filters_map_an_array_to_an_array(filters: list[str], expected: list[Any]) -> None:
    assert apply_all(*filters) == expected


@pytest.mark.parametrize(
    ("filters", "message", "hint"),
    [
        (["map(.["], "`map(.[` does not compile: syntax error", "map("),
        ([".", "nosuch(1)"], "`nosuch(1)` does not compile: nosuch/1 is not defined", "map("),
        ([".) | (."], "`.) | (.` does not compile", "map("),
        ([""], "`` does not compile", "map("),
        (["map(.[-1])"], "`map(.[-1])` failed", "`.[-1:]`, not `map(.[-1])`"),
        ([".[-1]"], "`.[-1]` yields an object, not one array", "`.[-1:]`"),
        ([".[]"], "`.[]` yields more than one result, not one array", "[.[] | ...]"),
        (["length"], "`length` yields a number", "map("),
        (["empty"], "`empty` yields nothing", "map("),
        ([".", "halt"], "yields nothing", "map("),
        (["repeat(.)"], "`repeat(.)` yields more than one result", "map("),
        ([".request"], "`.request` failed: Cannot index array", "reach into each flow with `map(...)`"),
        ([".", 'error("own words")'], "failed: own words", "map("),
        (["error({a: 1})"], 'failed: {"a":1}', "map("),
    ],
)
def test_mistakes_are_told_with_the_mend(filters: list[str], message: str, hint: str) -> None:
    with pytest.raises(FilterError) as caught:
        apply_all(*filters)
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("endless", ["last(range(1e15))", "[range(1e15)]", "def f: f; f", "[limit(1e15; repeat(1))]"])
def test_a_filter_without_end_is_stopped(endless: str) -> None:
    begun = time.monotonic()
    with pytest.raises(FilterError, match="stopped"):
        apply_all(endless, seconds=0.5)
    assert time.monotonic() - begun < 10


def test_a_filter_that_eats_memory_is_stopped() -> None:
    with (
        Filters(['[range(40) as $i | "x" * 10000000]'], memory=200 << 20) as chain,
        pytest.raises(FilterError, match="too much memory"),
    ):
        chain.apply(TEXTS)


def test_a_chain_can_be_applied_again_and_again() -> None:
    with Filters(["map(.id)"]) as chain:
        for _ in range(20):
            assert chain.apply(TEXTS) == ["0", "1", "2", "3", "4"]
        assert chain.apply([]) == []
        with pytest.raises(FilterError):
            chain.apply(["1"])
        assert chain.apply(TEXTS[:1]) == ["0"], "one bad array does not spoil the next"


def test_large_arrays_pass() -> None:
    texts = [json.dumps({"id": number, "text": "x" * 3000}) for number in range(5000)]
    assert len(apply(["."], texts)) == 5000


def test_ctrl_c_ends_it_and_leaves_nothing() -> None:
    program = """
from ccinspect.store.jqfilter import Filters
chain = Filters(["last(range(1e15))"])
try:
    print(chain._process.pid, flush=True)
    chain.apply(["1"])
except KeyboardInterrupt:
    chain.close()
    print("interrupted")
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    ) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        handle = os.pidfd_open(child)
        try:
            os.killpg(process.pid, signal.SIGINT)
            assert process.stdout.read() == b"interrupted\n"
            assert select.select([handle], [], [], 10.0)[0]
        finally:
            os.close(handle)


def test_filters_of_strangers_see_neither_environment_nor_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_KEY", "leaked")
    (tmp_path / "keys.json").write_text('["leaked"]')
    (tmp_path / "code.jq").write_text('def found: "leaked";')
    (tmp_path / ".jq").write_text('def home: "leaked";')
    monkeypatch.setenv("HOME", str(tmp_path))
    place = json.dumps({"search": str(tmp_path)})
    own = ("[$ENV]", "[env]", "[$ENV.API_KEY]", "[home]")
    for text in own:
        assert "leaked" in json.dumps(apply([text], ["{}"]))
    modules = (
        f'import "keys" as $keys {place}; [$keys]',
        f'import "code" as code {place}; [code::found]',
        f'include "code" {place}; [found]',
    )
    for text in (*own, *modules):
        try:
            answer = json.dumps(apply([text], ["{}"], confined=True))
        except FilterError as error:
            answer = error.message.removeprefix(text)
        assert '"leaked"' not in answer


def test_confined_filters_work_as_others(tmp_path: Path) -> None:
    text = 'map(select(.a | test("^x"))) | map(.at = (0 | localtime | mktime)) | [.[] | @base64 "\\(.a)"]'
    texts = ['{"a": "xyz"}', '{"a": "abc"}']
    assert apply([text], texts, confined=True) == apply([text], texts) == ["eHl6"]
