"""JSON from strangers."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccinspect.wire.jsontext import (
    MAX_DEPTH,
    as_count,
    as_int,
    as_number,
    dump,
    mend,
    mend_text,
    parse,
    parse_arguments,
    parse_event,
)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    )
)
def test_what_is_written_is_read(value: object) -> None:
    assert parse(dump(value)) == (mend(value), None)


@given(st.binary(max_size=200))
def test_noise_never_raises(data: bytes) -> None:
    value, problem = parse(data)
    assert value is None or problem is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b'{"a": NaN, "b": -Infinity}', {"a": None, "b": None}),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b'\xef\xbb\xbf {"a": 1}\n', {"a": 1}),
        (b'{"a": "\xff"}', {"a": "\ufffd"}),
        (b'{"a": "\\ud83d\\ude00"}', {"a": "\U0001f600"}),
        (b'{"\\ud83d": "\\udc00x"}', {"\ufffd": "\ufffdx"}),
        (b'{"a": ' + b"9" * 300 + b"}", {"a": int("9" * 300)}),
        (b'{"a": ' + b"9" * 9000 + b"}", {"a": None}),
        (b'{"a": 1e999}', {"a": float("inf")}),
    ],
)
def test_oddities_have_a_meaning(text: bytes, expected: object) -> None:
    assert parse(text) == (expected, None)


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b'{"a":1} x', b"nul", b"[" * 100_000, b'{"a":' * 100_000, b"[" * 300 + b"]" * 300, b"\x00", b"'a'"],
    ids=range(9),
)
def test_what_is_no_json_is_refused_with_a_reason(text: bytes) -> None:
    value, problem = parse(text)
    assert value is None
    assert problem


def test_depth_up_to_the_limit_is_read_and_brackets_in_strings_do_not_count() -> None:
    assert parse("[" * MAX_DEPTH + "]" * MAX_DEPTH)[1] is None
    assert parse(json.dumps({"code": "[{" * 5000 + '\\"'}))[1] is None


def test_too_many_values_are_refused_but_long_texts_are_not() -> None:
    assert "values" in (parse("[" + "[]," * 4_000_000 + "[]]")[1] or "")
    assert parse(json.dumps("a,b," * 3_000_000))[1] is None


HOSTILE = ['"\\"' * 300_000, '[{"' * 300_000, '"' + "\\" * 900_001, "[" * 500 + '"\\' * 400_000]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_quotes_take_linear_time(text: str) -> None:
    started = time.process_time()
    parse(text)
    assert time.process_time() - started < 2


def test_a_hundred_megabytes_are_read_in_bounded_time() -> None:
    body = json.dumps({"messages": [{"role": "user", "content": "lorem ipsum, " * 8_000_000}]}).encode()
    assert len(body) > 100_000_000
    started = time.process_time()
    assert parse(body)[1] is None
    assert time.process_time() - started < 10


def test_halves_of_an_emoji_in_two_events_meet_again() -> None:
    first, second = parse_event('"\\ud83d"')[0], parse_event('"\\ude00"')[0]
    assert mend_text(first + second) == "\U0001f600"


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ({"a": float("nan")}, {"a": None}),
        ({"a": b"x"}, {"a": None}),
        ({"a": "\ud800"}, {"a": "\ud800"}),
        ({1: 2}, {"1": 2}),
        ({"a": 10**9000}, {"a": None}),
        ({"a": [float("inf")]}, {"a": [None]}),
    ],
)
def test_writing_never_raises(value: object, read: object) -> None:
    assert json.loads(dump(value)) == read


def test_writing_a_self_containing_list_ends() -> None:
    loop: list[object] = []
    loop.append(loop)
    assert set(dump(loop)) <= set(b"[]null")
    assert json.loads(dump(loop)) is not None


@pytest.mark.parametrize(
    ("value", "count", "number"),
    [
        (5, 5, 5),
        (5.0, 5, 5.0),
        (True, None, None),
        (-1, None, -1),
        ("5", None, None),
        (None, None, None),
        (float("inf"), None, None),
        (float("nan"), None, None),
        (10**400, None, None),
        (2**60, None, 2**60),
    ],
)
def test_numbers_are_what_they_seem_or_nothing(value: object, count: int | None, number: float | None) -> None:
    assert as_count(value) == count
    assert as_number(value) == number
    assert as_int(value) == (int(number) if number is not None and abs(number) < 2**53 else None)


@pytest.mark.parametrize(
    ("text", "expected"), [("", {}), (" ", {}), ('{"a":1}', {"a": 1}), ("[1]", "[1]"), ('{"a":', '{"a":'), ("x", "x")]
)
def test_arguments_are_an_object_or_their_text(text: str, expected: object) -> None:
    assert parse_arguments(text) == expected
