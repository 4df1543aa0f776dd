"""Headers by which a program describes its own request."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccinspect.identity.tags import MAX_HEADER, MAX_TAGS, read_tags


def test_all_four_are_read_and_stripped() -> None:
    said = read_tags(
        [
            (b"Authorization", b"Bearer x"),
            (b"X-Ccinspect-Project", b"search"),
            (b"x-ccinspect-tags", b'{"team": "web", "try": 3, "fast": true}'),
            (b"x-ccinspect-session", b'"night run \\u00e4"'),
            (b"x-ccinspect-context", b'{"ticket": ["A-1", null]}'),
        ]
    )
    assert said.as_record() == {
        "project": "search",
        "session": "night run ä",
        "tags": {"team": "web", "try": "3", "fast": "true"},
        "context": {"ticket": ["A-1", None]},
    }
    assert said.strip == (
        "x-ccinspect-project",
        "x-ccinspect-tags",
        "x-ccinspect-session",
        "x-ccinspect-context",
    )


def test_other_headers_are_left_alone() -> None:
    said = read_tags([(b"x-ccinspector", b"1"), (b"x-project", b"2"), (b"x-ccinspec-project", b"3")])
    assert said.strip == ()
    assert said.as_record() == {}


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("project", b"", "is empty"),
        ("project", b'{"a": 1}', "must be a name"),
        ("project", b'"open', "not JSON"),
        ("project", b"x" * 201, "longer than 200 characters"),
        ("session", b'""', "is empty"),
        ("tags", b"team=web", "not JSON"),
        ("tags", b'["web"]', "must be a JSON object"),
        ("tags", b'{"a": {"b": 1}}', "tag 'a' must be a string"),
        ("tags", b'{"a": null}', "tag 'a' must be a string"),
        ("tags", b'{"": 1}', "1 to 64 characters"),
        ("tags", json.dumps({"a": "x" * 257}).encode(), "longer than 256"),
        ("tags", json.dumps({str(n): n for n in range(MAX_TAGS + 1)}).encode(), "more than 64 tags"),
        ("tags", b'{"a": 1e999}', "too large"),
        ("context", b"[" * 8_000 + b"]" * 8_000, "nested deeper"),
        ("context", b"[" * 17 + b"]" * 17, "nested deeper than 16"),
        ("context", b"NaN", "not JSON"),
        ("context", b"9" * 5_000, "not JSON"),
        ("context", b"1e999", "too large"),
        ("context", b"1" * (MAX_HEADER + 1), "longer than 16384 bytes"),
        ("projekt", b"x", "did you mean x-ccinspect-project?"),
        ("nonsense-of-mine", b"x", "not a header of ours"),
    ],
)
def test_what_cannot_be_understood_is_told_and_still_stripped(name: str, value: bytes, problem: str) -> None:
    said = read_tags([(f"x-ccinspect-{name}".encode(), value)])
    assert said.strip == (f"x-ccinspect-{name}",)
    assert len(said.problems) == 1
    assert problem in said.problems[0]
    assert (said.project, said.session, said.context) == (None, None, None)


def test_a_context_of_the_greatest_depth_is_kept() -> None:
    said = read_tags([(b"x-ccinspect-context", b"[" * 16 + b"]" * 16)])
    assert said.problems == ()
    assert said.context is not None


def test_of_a_repeated_header_the_first_counts_and_tags_add_up() -> None:
    said = read_tags(
        [
            (b"x-ccinspect-project", b"one"),
            (b"x-ccinspect-project", b"two"),
            (b"x-ccinspect-tags", b'{"a": "1", "b": "2"}'),
            (b"x-ccinspect-tags", b'{"b": "3", "c": "4"}'),
        ]
    )
    assert said.project == "one"
    assert said.tags == {"a": "1", "b": "2", "c": "4"}
    assert said.problems == ("x-ccinspect-project: given more than once; the first one counts",)


def test_the_hooks_header_is_stripped_without_complaint() -> None:
    said = read_tags([(b"x-ccinspect-hooks", b"+a,-b")])
    assert (said.strip, said.problems) == (("x-ccinspect-hooks",), ())


def test_names_hold_no_control_characters_and_no_lone_surrogates() -> None:
    said = read_tags(
        [(b"x-ccinspect-project", b'"a\\u001b[31m\\ud83d"'), (b"x-ccinspect-context", b'{"\\ud83d": "a\\nb"}')]
    )
    assert said.project == "a\N{REPLACEMENT CHARACTER}[31m?"
    assert said.context == {"?": "a\nb"}


@given(st.lists(st.tuples(st.sampled_from(["project", "tags", "session", "context", "x"]), st.binary(max_size=200))))
def test_no_header_raises_and_all_of_it_can_be_stored(headers: list[tuple[str, bytes]]) -> None:
    said = read_tags([(f"x-ccinspect-{name}".encode(), value) for name, value in headers])
    record = said.as_record()
    assert json.loads(json.dumps(record, allow_nan=False).encode()) == record
    assert repr(record).encode()


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_any_json_context_is_kept_or_refused(value: object) -> None:
    said = read_tags([(b"x-ccinspect-context", json.dumps(value).encode())])
    assert json.loads(json.dumps(said.context, allow_nan=False).encode()) == said.context
    assert (said.context is None) == (bool(said.problems) or value is None)
