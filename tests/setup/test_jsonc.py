from __future__ import annotations

import json

import pytest

from ccinspect.setup import jsonc
from ccinspect.setup.edits import InTheWay, NotUnderstood, apply, take_back

WANTED = {("env", "A"): "1", ("env", "B"): "é"}

TEXTS = [
    "",
    "\n",
    "{}",
    "{ }",
    "{\n}",
    '{"a":1}',
    '{"a":1 // one\n}',
    '{\n  "a": 1\n}\n',
    '{\n  "a": 1, // one\n  /* the end */\n}\n',
    '{\r\n\t"a": 1,\r\n}\r\n',
    '{"env": {"C": "x"}, "z": [1, 2,],}',
    '{\n    "env": {\n        "C": "3"\n    }\n}',
    '{\n  "env": {},\n "q":"// {"}',
    '\ufeff// mine\n{\n  "b": {"env": {"A": 5}}\n}\n',
    '{\n  "A": "1",\n  "env": { "A": "1" }\n}',
]


@pytest.mark.parametrize("text", TEXTS)
def test_what_is_added_is_read_and_taken_back_byte_for_byte(text: str) -> None:
    inserts = jsonc.add(text, WANTED)
    after = apply(text, inserts)
    before = jsonc.parse(text).value if text.strip() else {}
    assert jsonc.parse(after).value == before | {"env": before.get("env", {}) | {"A": "1", "B": "é"}}
    assert take_back(after, inserts) == text
    assert jsonc.add(after, WANTED) == []


@pytest.mark.parametrize("text", TEXTS[4:-1])
def test_what_is_added_is_taken_out_of_a_file_that_was_changed_since(text: str) -> None:
    changed = apply(text, jsonc.add(text, WANTED))
    removed = jsonc.remove(changed, WANTED, jsonc.objects_made(text, WANTED))
    assert "".join(removed.split()) == "".join(text.split())


def test_what_the_agent_has_written_anew_is_still_found() -> None:
    text = '{\n  "theme": "dark"\n}\n'
    made = jsonc.objects_made(text, WANTED)
    anew = json.dumps(jsonc.parse(apply(text, jsonc.add(text, WANTED))).value | {"more": [1]}, indent=4)
    assert json.loads(jsonc.remove(anew, WANTED, made)) == {"theme": "dark", "more": [1]}


def test_a_value_that_was_changed_since_is_not_ours_any_more() -> None:
    assert json.loads(jsonc.remove('{"env": {"A": "other", "B": "é"}}', WANTED, [("env",)])) == {"env": {"A": "other"}}


@pytest.mark.parametrize("text", ['{"env": {"A": "2"}}', '{"env": []}', '{"env": null}'])
def test_what_somebody_else_has_set_is_in_the_way(text: str) -> None:
    with pytest.raises(InTheWay):
        jsonc.add(text, WANTED)


@pytest.mark.parametrize(
    "text",
    [
        *("[]", "{", '{"a" 1}', '{"a": 1 "b": 2}', "{a: 1}", '{"a": 1}}', '{"a": tru}', '{"a": "\n"}', "{,}", "/* {}"),
        *("[" * 100_000, '{"a":' * 5_000),
    ],
)
def test_what_is_no_json_object_is_not_understood(text: str) -> None:
    with pytest.raises(NotUnderstood):
        jsonc.add(text, WANTED)
