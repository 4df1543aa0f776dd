from __future__ import annotations

import json
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccinspect.analyser.records import Record


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, slots=True)
class Inner(Record):
    name: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Outer(Record):
    colour: Colour
    money: Decimal | None = None
    inner: Inner | None = None
    many: tuple[Inner, ...] = ()
    paths: tuple[tuple[str | int, ...], ...] = ()
    table: dict[str, int] = field(default_factory=dict)
    by_name: dict[str, Inner] = field(default_factory=dict)
    sure: bool = False


inners = st.builds(Inner, st.text(), st.floats(allow_nan=False))
outers = st.builds(
    Outer,
    st.sampled_from(Colour),
    st.none() | st.decimals(allow_nan=False, allow_infinity=False),
    st.none() | inners,
    st.lists(inners, max_size=3).map(tuple),
    st.lists(st.lists(st.text(max_size=3) | st.integers(), max_size=3).map(tuple), max_size=3).map(tuple),
    st.dictionaries(st.text(), st.integers(), max_size=3),
    st.dictionaries(st.text(), inners, max_size=3),
    st.booleans(),
)


@given(outers)
def test_what_is_written_is_read_back_equal(record):
    assert Outer.from_json(json.loads(json.dumps(record.to_json()))) == record


def test_defaults_are_left_out():
    assert Outer(Colour.RED).to_json() == {"colour": "red"}


def test_fields_of_another_version_are_passed_over():
    assert Outer.from_json({"colour": "blue", "new": 1}) == Outer(Colour.BLUE)


@pytest.mark.parametrize(
    "value",
    [
        {},
        [],
        {"colour": "green"},
        {"colour": "red", "money": "much"},
        {"colour": "red", "many": {}},
        {"colour": "red", "table": {"a": "1"}},
        {"colour": "red", "inner": {"weight": 2.0}},
        {"colour": "red", "sure": 1},
    ],
)
def test_what_does_not_fit_is_refused(value):
    with pytest.raises(ValueError, match=r"\w"):
        Outer.from_json(value)
