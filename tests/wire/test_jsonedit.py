from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccinspect.wire.jsonedit import changed_paths, rewrite
from ccinspect.wire.jsontext import parse

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES, VALUES, st.sampled_from([None, 1, 4]), st.booleans())
def test_the_text_says_the_new_value(before: Any, after: Any, indent: int | None, ascii_only: bool) -> None:
    original = json.dumps(before, indent=indent, ensure_ascii=ascii_only).encode()
    edited = rewrite(original, after)
    value, problem = parse(edited)
    assert problem is None
    assert json.dumps(value, sort_keys=True) == json.dumps(after, sort_keys=True)
    if json.dumps(before) == json.dumps(after):
        assert edited == original


ODD = (
    b'{ "z" : 1.50e+01,\r\n\t"a":[ 1 ,2.0, {"deep" : "\\u00e9\\/", "n": 10000000000000000000001} ],'
    b'"model":"old" , "end":null }\n'
)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda body: body.update(model="new"), ODD.replace(b'"old"', b'"new"')),
        (lambda body: body["a"][2].update(deep="x"), ODD.replace(b'"\\u00e9\\/"', b'"x"')),
        (lambda body: body["a"].pop(0), ODD.replace(b"[ 1 ,2.0,", b"[ 2.0,")),
        (lambda body: body.pop("end"), ODD.replace(b' , "end":null', b"")),
        (lambda body: body.pop("z"), ODD.replace(b' "z" : 1.50e+01,\r\n\t', b" ")),
        (lambda body: body.update(new=[1]), ODD.replace(b"null }", b'null,\r\n\t"new":[1] }')),
        (lambda body: body["a"].append(7), ODD.replace(b"001} ]", b"001},7 ]")),
        (lambda body: None, ODD),
    ],
)
def test_all_other_bytes_stay(change: Any, expected: bytes) -> None:
    body = json.loads(ODD)
    change(body)
    assert rewrite(ODD, body) == expected


def test_the_usual_spacing_stays() -> None:
    original = json.dumps({"model": "a", "messages": [{"role": "user", "content": "x"}], "max_tokens": 5})
    edited = rewrite(original.encode(), json.loads(original) | {"model": "b"})
    assert edited.decode() == original.replace('"a"', '"b"')


def test_numbers_that_are_spelled_alike_but_are_others_are_changed() -> None:
    assert rewrite(b'{"a":1,"b":true}', {"a": 1.0, "b": 1}) == b'{"a":1.0,"b":1}'


def test_a_message_put_in_the_middle_keeps_the_others() -> None:
    original = b'[{"n":1.0e0},{"n":2.0e0}]'
    assert rewrite(original, [{"n": 1.0}, {"new": 1}, {"n": 2.0}]) == b'[{"n":1.0e0},{"new":1},{"n":2.0e0}]'


@pytest.mark.parametrize("original", [b'{"a":1,"a":2}', b"\xff", b"", b"[1", b'{"a":"\xff"}'])
def test_what_cannot_be_edited_is_written_anew(original: bytes) -> None:
    assert json.loads(rewrite(original, {"a": 3})) == {"a": 3}


def test_changed_paths_are_those_of_jq() -> None:
    before = {"a": [1, {"b": 2}], "c": 3, "same": [1]}
    after = {"a": [1, {"b": 5}, 6], "d": 3, "same": [1]}
    assert changed_paths(before, after) == [".a[1].b", ".a[2]", ".c", ".d"]
    assert changed_paths(before, after, limit=2) == [".a[1].b", ".a[2]"]
