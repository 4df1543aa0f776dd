"""Changed JSON keeps the bytes of what did not change."""

from __future__ import annotations

import copy
import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccinspect.wire.jsonedit import changed_paths, rewrite, same
from ccinspect.wire.jsontext import parse

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=4), inner, max_size=6),
    max_leaves=25,
)
texts = st.builds(
    lambda value, indent, ascii_only: json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode(
        "utf-8", "surrogatepass"
    ),
    values,
    st.sampled_from([None, 0, 2, "\t"]),
    st.booleans(),
)


def read(text: bytes) -> Any:
    value, problem = parse(text)
    assert problem is None, text
    return value


def edited(text: bytes, change: Any) -> bytes:
    before, after = read(text), read(text)
    change(after)
    return rewrite(text, before, after)


@settings(deadline=None)
@given(texts, values)
def test_the_result_is_what_was_asked_for(text: bytes, after: Any) -> None:
    assert same(read(rewrite(text, read(text), after)), after)


@settings(deadline=None)
@given(texts)
def test_nothing_changed_nothing_written(text: bytes) -> None:
    assert rewrite(text, read(text), read(text)) == text


@st.composite
def mutations(draw: st.DrawFn) -> tuple[bytes, Any]:
    """A text and its value after some places in it were changed."""
    text = draw(texts)
    after = read(text)
    for _ in range(draw(st.integers(1, 4))):
        place = after
        while isinstance(place, list | dict) and place and draw(st.booleans()):
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            inner = place[draw(st.sampled_from(keys))]
            if not isinstance(inner, list | dict):
                break
            place = inner
        if isinstance(place, list):
            at = draw(st.integers(0, len(place)))
            place[at : at + draw(st.integers(0, 2))] = draw(st.lists(values, max_size=2))
        elif isinstance(place, dict):
            place[draw(st.text(max_size=3) | st.sampled_from([*place, ""]))] = draw(values)
            if draw(st.booleans()):
                place.pop(next(iter(place)))
    return text, after


@settings(max_examples=300, deadline=None)
@given(mutations())
def test_small_changes_are_carried_out(case: tuple[bytes, Any]) -> None:
    text, after = case
    assert same(read(rewrite(text, read(text), after)), after)


@settings(deadline=None)
@given(values, values, st.sampled_from([b"[%s , 1]", b'{"k":  %s ,\n "x" : 0}', b"[1,\t%s]"]))
def test_siblings_keep_their_bytes(kept: Any, new: Any, frame: bytes) -> None:
    sibling = json.dumps(kept, indent=3).encode("utf-8", "surrogatepass")
    text = frame.replace(b"%s", sibling)

    def change(after: Any) -> None:
        after["x" if isinstance(after, dict) else after.index(1)] = new

    if isinstance(read(text), list) and kept == 1:
        return
    assert sibling in edited(text, change)


ODD = (
    b'\xef\xbb\xbf {  "a" : 1.50e+1 ,"b":[ 1 , 2.0,-0, 1E5 ] ,\r\n "\\u0061\\/" : "\\u00e9\\ud83d\\ude00\xc3\xa9"'
    b' , "dup" : 1, "n":NaN, "dup": { "x" : [ ] } }\n'
)


@pytest.mark.parametrize(
    ("change", "old", "new"),
    [
        (lambda v: v.update(a=2), b"1.50e+1", b"2"),
        (lambda v: v["b"].__setitem__(1, "x"), b"2.0", b'"x"'),
        (lambda v: v["b"].append(7), b"1E5 ]", b"1E5 , 7 ]"),
        (lambda v: v["b"].insert(0, None), b"[ 1 ,", b"[ null , 1 ,"),
        (lambda v: v["b"].pop(0), b"[ 1 , 2.0", b"[ 2.0"),
        (lambda v: v["b"].pop(), b"-0, 1E5 ]", b"-0 ]"),
        (lambda v: v["b"].clear(), b"[ 1 , 2.0,-0, 1E5 ]", b"[]"),
        (lambda v: v["dup"]["x"].append(1), b"[ ]", b"[1]"),
        (lambda v: v.update({"a/": "z"}), b'"\\u00e9\\ud83d\\ude00\xc3\xa9"', b'"z"'),
        (lambda v: v.pop("b"), b' ,"b":[ 1 , 2.0,-0, 1E5 ]', b""),
        (lambda v: v.update(n=True), b"NaN", b"true"),
        (lambda v: v.update(new="é"), b"[ ] } }", b'[ ] } ,"new" : "\xc3\xa9" }'),
        (lambda v: v["b"].__setitem__(2, False), b"-0", b"false"),
        (lambda v: v["b"].__setitem__(1, 2), b"2.0", b"2"),
    ],
)
def test_only_the_change_is_seen_in_the_text(change: Any, old: bytes, new: bytes) -> None:
    assert ODD.count(old) == 1
    assert edited(ODD, change) == ODD.replace(old, new)


def test_all_of_a_duplicate_key_goes() -> None:
    assert edited(b'{"a":1,"b":2,"a":3}', lambda v: v.pop("a")) == b'{"b":2}'


def test_of_equal_keys_the_last_is_changed() -> None:
    assert edited(b'{"a":[1],"a":[1]}', lambda v: v["a"].append(2)) == b'{"a":[1],"a":[1,2]}'
    assert edited(b'{"a":{"x":1},"a":[1]}', lambda v: v["a"].append(2)) == b'{"a":{"x":1},"a":[1,2]}'


def test_bytes_that_are_no_utf8_stay() -> None:
    text = b'{"\xff":"\xfe\xe2\x82","a":1}'
    assert edited(text, lambda v: v.update(a=2)) == b'{"\xff":"\xfe\xe2\x82","a":2}'
    assert edited(text, lambda v: v.update({"\ufffd": 0})) == b'{"\xff":0,"a":1}'


def test_what_was_put_in_front_of_a_changed_element_leaves_the_rest_of_it() -> None:
    text = b'[{"role": "user", "n": 1.0},{"role": "user", "text": "hi", "n": 2.0}]'

    def change(value: Any) -> None:
        value[1]["text"] = "ho"
        value[1:1] = [{"role": "assistant"}, {"role": "tool"}]

    expected = (
        b'[{"role": "user", "n": 1.0},{"role":"assistant"},{"role":"tool"},{"role": "user", "text": "ho", "n": 2.0}]'
    )
    assert edited(text, change) == expected


def test_elements_that_changed_places_by_what_was_removed_keep_their_spelling() -> None:
    text = b"[1.0, 2.00, 3e0, 4.000, 5.0]"
    assert edited(text, lambda v: v.__setitem__(slice(None), [9, 2.0, 4.0, 8])) == b"[9, 2.00, 4.000, 8]"


def test_integers_of_any_length_stay() -> None:
    text = b'{"big": %s, "a": 1}' % (b"9" * 5_000)
    assert edited(text, lambda v: v.update(a=2)) == text.replace(b'"a": 1', b'"a": 2')


def test_one_and_true_are_not_alike() -> None:
    assert rewrite(b'{"a":[1, 0.0]}', {"a": [1, 0.0]}, {"a": [True, -0.0]}) == b'{"a":[true, -0.0]}'
    assert changed_paths({"a": [1, 2]}, {"a": [True, 2.0]}) == [".a[0]", ".a[1]"]
    assert not same({"a": 0}, {"a": False})
    assert same({"a": 0, "b": 1}, {"b": 1, "a": 0})


@pytest.mark.parametrize(
    "after", [{1: 2}, ({"a": 1},), {"a": {None: float("nan")}}, float("inf"), object(), {"a": b"x"}]
)
def test_what_json_cannot_say_is_written_somehow(after: Any) -> None:
    assert read(rewrite(b'{"a": {"b": 1}}', {"a": {"b": 1}}, after)) is not ...


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b'{"a"', b'{"a":1', b'{"a":1]', b"[1", b"[1 2]", b"nul", b'{"a":1,}', b'{"a":[1]} 2', b"[[[", b"\x00"],
)
def test_a_text_that_does_not_fit_is_written_anew(text: bytes) -> None:
    assert read(rewrite(text, {"a": [1]}, {"a": [1, 2]})) == {"a": [1, 2]}


def test_a_wrong_belief_about_one_part_costs_that_part() -> None:
    assert rewrite(b'{"a": [1.0], "b" : 2.0}', {"a": {"x": 1}, "b": 2.0}, {"a": {"x": 2}, "b": 2.0}) == (
        b'{"a": {"x":2}, "b" : 2.0}'
    )


def test_paths_of_changes_are_those_of_jq() -> None:
    before = {"a": 1, "messages": [{"role": "user", "content": [{"text": "x"}]}], "gone": 0}
    after = copy.deepcopy(before)
    after["messages"][0]["content"][0]["text"] = "y"
    after["messages"].append({"role": "assistant"})
    after["new"] = 1
    del after["gone"]
    assert changed_paths(before, after) == [".messages[0].content[0].text", ".messages[1]", ".gone", ".new"]
    assert changed_paths(before, after, 2) == [".messages[0].content[0].text", ".messages[1]"]
    assert changed_paths(1, 2) == ["."]
    assert changed_paths(after, copy.deepcopy(after)) == []


@settings(deadline=None)
@given(values, values)
def test_there_is_a_path_exactly_when_something_differs(before: Any, after: Any) -> None:
    assert bool(changed_paths(before, after)) == (not same(before, after))


def test_a_long_array_takes_time_in_proportion() -> None:
    """Quadratic matching of 100,000 elements would take minutes."""
    before = list(range(50_000)) + [7] * 50_000
    after = before[::-1][:-1]
    text = json.dumps(before).encode()
    started = time.process_time()
    assert read(rewrite(text, before, after)) == after
    assert time.process_time() - started < 10


def test_deep_values_are_within_reach() -> None:
    depth = 199
    text = b'{"a": ' * depth + b"1.0" + b"}" * depth

    def innermost(value: Any) -> Any:
        while isinstance(value["a"], dict):
            value = value["a"]
        return value

    assert edited(text, lambda v: innermost(v).update(a=2)) == text.replace(b"1.0", b"2")
