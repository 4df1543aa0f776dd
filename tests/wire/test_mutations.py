"""Samples with bytes and values changed at random: a small fuzzing run in every test run.

The long one, guided by coverage, is `python -m tests.wire.fuzz`.
"""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.wire.fuzz.targets import TARGETS, seeds

QUICK = settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
ODD_BYTES = [b"null", b"[]", b"{}", b'""', b"-1", b"1e999", b"NaN", b'"\\ud800"', b"9" * 500, b"\xff", b"\r", b"\n\n"]
ODD_VALUES: list[Any] = [10**20, "\ud800", [{}]]
ODD_VALUES += [
    None,
    True,
    -1,
    1.5,
    "",
    "x",
    [],
    {},
    [[]],
    {"a": {}},
    [None],
    ["a", 1],
    10**20,
    "\ud800",
    [{}],
]


@pytest.mark.parametrize("name", TARGETS)
@QUICK
@given(chance=st.integers())
def test_no_change_of_bytes_raises(name: str, chance: int) -> None:
    rng = random.Random(chance)
    data = bytearray(rng.choice(seeds(name)))
    for _ in range(rng.randint(0, 8)):
        place = rng.randint(0, len(data))
        size = rng.choice([0, 1, 2, 10, 200])
        data[place : place + size] = rng.choice([*ODD_BYTES, rng.randbytes(rng.randint(0, 6))])
    TARGETS[name](bytes(data))


def changed(value: Any, rng: random.Random) -> Any:
    """The same JSON with some values replaced by others, mostly of another type."""
    if rng.random() < 0.04:
        return rng.choice(ODD_VALUES)
    if isinstance(value, dict):
        return {key: changed(item, rng) for key, item in value.items() if rng.random() > 0.02}
    if isinstance(value, list):
        items = [changed(item, rng) for item in value]
        return items * 2 if rng.random() < 0.02 else items
    return value


@pytest.mark.parametrize("name", [name for name in TARGETS if "-" in name and not name.endswith("aws")])
@QUICK
@given(chance=st.integers())
def test_no_change_of_values_raises(name: str, chance: int) -> None:
    rng = random.Random(chance)
    for seed in seeds(name):
        text = seed.decode()
        if "-stream-" not in name:
            TARGETS[name](json.dumps(changed(json.loads(text), rng)).encode())
            continue
        lines = [line.strip().removeprefix("data: ") for line in text.split("\n")]
        events = [changed(json.loads(line), rng) for line in lines if line.startswith("{") and line.endswith("}")]
        rng.shuffle(events) if rng.random() < 0.2 else None
        mark = "data: " if name.endswith("sse") else ""
        TARGETS[name]("".join(f"{mark}{json.dumps(event)}\n\n" for event in events).encode())
