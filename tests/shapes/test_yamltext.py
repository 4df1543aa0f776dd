"""The YAML of shapes."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ccinspect.shapes import yamltext

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
WORDS = st.text(st.sampled_from("a \t\n:#-|>'\""), max_size=12) | st.sampled_from(
    ["yes", "No", "1e5", "0x1f", "1_000", "007", "~", "null", "2026-11-21", "=", "<<", "12:30", "- a", "a: b", "# c",
     " lead",
     "trail \nx", "tab\there\n", "\n\n", "x" * 200, "\r\n", "\u2028", "\x85", "\ufeff", "|", "@a", "&a", "*a", "!a"]
)  # fmt: skip
VALUES = st.recursive(
    LEAVES | WORDS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(WORDS | st.text(st.characters(exclude_categories=["Cs"]), max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=5) | WORDS, VALUES, max_size=4)


@settings(max_examples=60)
@given(DOCUMENTS)
def test_what_is_written_is_read(value: object) -> None:
    text = yamltext.dump(value)
    assert yamltext.load(text) == value
    assert yamltext.dump(yamltext.load(text)) == text


def test_other_readers_read_the_same() -> None:
    value = {"a": "yes", "b": "2026-11-21", "c": "12:30", "d": [1, 2.5, True, None], "e": "one\ntwo\n", "f": "1_000"}
    assert yaml.safe_load(yamltext.dump(value)) == value


def test_long_texts_stand_in_blocks() -> None:
    assert yamltext.dump({"a": "one\ntwo", "b": "word " * 30 + "."}) == (
        "a: |-\n  one\n  two\nb: |-\n  " + "word " * 30 + ".\n"
    )


def test_tabs_and_spaces_before_line_ends_do_not_make_one_line_of_a_prompt() -> None:
    prompt = "  one \n\ttwo\t\n   \n\nthree “quoted” \U0001f600 \n"
    assert yamltext.dump({"a": {"b": prompt}}) == (
        "a:\n  b: |2\n      one \n    \ttwo\t\n       \n\n    three “quoted” \U0001f600 \n"
    )
    assert yamltext.load(yamltext.dump({"a": {"b": prompt}})) == {"a": {"b": prompt}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: &x [1]\nb: *x\n", "anchors and aliases are not read in line 2"),
        ("a: 1\na: 2\n", "the key 'a' comes twice in line 2"),
        ("a: [1\n", "in line"),
        ("? [1]\n: 2\n", "a key is a text"),
        ("a: 1\n---\nb: 2\n", "in line"),
        ("[" * 300, "nested deeper"),
        ("a: !!python/object/apply:os.system [ls]\n", "in line 1"),
        ("a: \x01", "no YAML"),
    ],
)
def test_what_is_no_shape_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        yamltext.load(text)
    assert said in str(caught.value)


def test_a_file_of_aliases_does_not_grow() -> None:
    bomb = "a: &a [x, x]\n" + "".join(
        f"{chr(98 + at)}: &{chr(98 + at)} [*{chr(97 + at)}, *{chr(97 + at)}]\n" for at in range(24)
    )
    with pytest.raises(ValueError, match="anchors"):
        yamltext.load(bomb)
