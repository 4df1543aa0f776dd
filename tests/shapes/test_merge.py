"""What becomes of the fields of a request and of a shape."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from ccinspect.shapes.merge import merge
from tests.shapes.samples import shape

A, B = {"type": "text", "text": "ours"}, {"type": "text", "text": "theirs"}


@pytest.mark.parametrize(
    ("fields", "strategies", "own", "live", "merged"),
    [
        # What the request says holds; what it does not say is the shape's.
        ([".a", ".b"], {}, {"a": 1, "c": 3}, {"a": 2, "b": 5}, {"a": 2, "b": 5, "c": 3}),
        (["."], {}, {"a": {"x": 1}, "c": 3}, {"b": 5, "a": {"y": 2}}, {"b": 5, "a": {"y": 2}, "c": 3}),
        # null is a value.
        ([".a"], {}, {"a": 1}, {"a": None}, {"a": None}),
        ([".a.b"], {}, {"a": {"c": 1}}, {"a": {"b": 2, "d": 3}}, {"a": {"c": 1, "b": 2}}),
        ([".a.b"], {}, {}, {"a": {"b": 2}}, {"a": {"b": 2}}),
        ([".a"], {".a": "append"}, {"a": [1]}, {"a": [2]}, {"a": [1, 2]}),
        ([".a"], {".a": "prepend"}, {"a": [1]}, {"a": [2]}, {"a": [2, 1]}),
        ([], {".a": "append"}, {"a": "ours"}, {"a": "theirs"}, {"a": "ours\n\ntheirs"}),
        ([], {".a": "prepend"}, {"a": "ours"}, {"a": "theirs"}, {"a": "theirs\n\nours"}),
        ([], {".system": "append"}, {"system": [A]}, {"system": "theirs"}, {"system": [A, B]}),
        ([], {".system": "append"}, {"system": "ours"}, {"system": [B]}, {"system": [A, B]}),
        ([], {".parts": "prepend"}, {"parts": [{"text": "ours"}]}, {"parts": "theirs"},
         {"parts": [{"text": "theirs"}, {"text": "ours"}]}),
        ([], {".input": "append"}, {"input": [{"role": "developer", "content": "x"}]}, {"input": "theirs"},
         {"input": [{"role": "developer", "content": "x"}, {"role": "user", "content": "theirs"}]}),
        ([], {".a": "append"}, {"a": ["x"]}, {"a": "y"}, {"a": ["x", "y"]}),
        ([], {".o": "append"}, {"o": {"x": 1, "i": {"a": 1}}}, {"o": {"x": 2, "i": {"b": 2}}},
         {"o": {"x": 2, "i": {"a": 1, "b": 2}}}),
        ([], {".a": "append"}, {"a": [1]}, {"a": []}, {"a": [1]}),
        ([], {".a": "append"}, {"a": ""}, {"a": "x"}, {"a": "x"}),
        ([], {".a": "append"}, {}, {"a": [2]}, {"a": [2]}),
        ([], {".a": "append"}, {"a": 5}, {"a": [2]}, {"a": [2]}),
        (["."], {".a": "drop"}, {"a": 1}, {"a": 2, "b": 3}, {"a": 1, "b": 3}),
        (["."], {".a": "drop"}, {}, {"a": 2, "b": 3}, {"b": 3}),
        (["."], {".a.b": "drop"}, {}, {"a": {"b": 1, "c": 2}}, {"a": {"c": 2}}),
        (["."], {".a.b": "append"}, {"a": {"b": [1]}}, {"a": {"b": [2], "c": 3}}, {"a": {"b": [1, 2], "c": 3}}),
        ([".a.b"], {}, {"a": 5}, {"a": {"b": 1}}, {"a": 5}),
    ],
)  # fmt: skip
def test_fields_are_merged(
    fields: list[str], strategies: dict[str, str], own: dict[str, Any], live: dict[str, Any], merged: dict[str, Any]
) -> None:
    template = shape(content_fields=fields, merge_strategies=strategies, body=own)
    before = deepcopy(own), deepcopy(live)
    result, _ = merge(template, live)
    assert result == merged
    assert list(result)[: len(live.keys() & result.keys())] == [key for key in live if key in result]
    assert (template.body, live) == before


@pytest.mark.parametrize(
    ("fields", "strategies", "own", "live", "said"),
    [
        ([".a"], {}, {}, {"a": 1, "b": 2}, ".b of the request was left out: no content field of the shape"),
        ([".a.x"], {}, {}, {"a": {"x": 1, "y": 2}}, ".a of the request was left out but for its content fields"),
        (["."], {".a": "drop"}, {}, {"a": 1}, ".a of the request was dropped"),
        ([".a.b"], {}, {"a": 5}, {"a": {"b": 1}}, ".a.b of the request was left out: the shape has no place for it"),
        ([], {".a": "append"}, {"a": 5}, {"a": [2]},
         ".a: the shape's value is of another kind; the request's took its place"),
        ([".a.x"], {}, {}, {"a": {"x": 1}}, None),
        (["."], {}, {"c": 1}, {"a": 1}, None),
    ],
)  # fmt: skip
def test_what_is_left_out_is_said(
    fields: list[str], strategies: dict[str, str], own: dict[str, Any], live: dict[str, Any], said: str | None
) -> None:
    _, notes = merge(shape(content_fields=fields, merge_strategies=strategies, body=own), live)
    assert notes == ([said] if said else [])


def test_two_bounds_of_the_answer_are_never_said_at_once() -> None:
    template = shape("openai_chat", body={"max_completion_tokens": 100, "seed": 1})
    merged, notes = merge(template, {"max_tokens": 5})
    assert merged == {"max_tokens": 5, "seed": 1}
    assert notes == [".max_completion_tokens of the shape was left out: the request says it under another name"]


def test_gemini_fields_are_spelled_as_the_request_does() -> None:
    template = shape(
        "gemini",
        merge_strategies={".generationConfig": "append", ".systemInstruction.parts": "append"},
        body={
            "generationConfig": {"maxOutputTokens": 9, "topK": 1},
            "systemInstruction": {"parts": [{"text": "ours"}]},
        },
    )
    live = {"generation_config": {"max_output_tokens": 5}, "system_instruction": {"parts": [{"text": "theirs"}]}}
    merged, _ = merge(template, live)
    assert merged == {
        "generation_config": {"max_output_tokens": 5, "topK": 1},
        "system_instruction": {"parts": [{"text": "ours"}, {"text": "theirs"}]},
    }
