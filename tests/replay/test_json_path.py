from __future__ import annotations

from typing import Any

import pytest

from ccinspect.replay.json_path import BadPath, assign, parse_assignment

BODY = {"model": "m", "messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "n": None}


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("model=gpt-5", ("model",), "gpt-5"),
        (".max_tokens=100", ("max_tokens",), 100),
        ("messages[0].content=a=b", ("messages", 0, "content"), "a=b"),
        ("messages.0.content=", ("messages", "0", "content"), ""),
        ('.["odd.key"]["=x"]=null', ("odd.key", "=x"), None),
        ('a={"b": [1]}', ("a",), {"b": [1]}),
        ('a="1"', ("a",), "1"),
        ("[-1]=true", (-1,), True),
        ("thinking.budget-tokens=1e3", ("thinking", "budget-tokens"), 1000.0),
    ],
)
def test_assignments(text: str, path: tuple[Any, ...], value: Any) -> None:
    assert parse_assignment(text) == (path, value)


@pytest.mark.parametrize("text", ["", "a", "=1", "a[=1", "a[x]=1", "a..b=1", '["a=1', "a[1=2"])
def test_what_is_no_assignment_is_said(text: str) -> None:
    with pytest.raises(BadPath) as caught:
        parse_assignment(text)
    assert caught.value.exit_code == 2
    assert "--set" in caught.value.hint


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (("model",), {**BODY, "model": 1}),
        (("new",), {**BODY, "new": 1}),
        (("n",), {**BODY, "n": 1}),
        (("messages", "0"), {**BODY, "messages": [1, BODY["messages"][1]]}),  # type: ignore[index]
        (("messages", -1), {**BODY, "messages": [BODY["messages"][0], 1]}),  # type: ignore[index]
        (("messages", 2), {**BODY, "messages": [*BODY["messages"], 1]}),  # type: ignore[misc]
    ],
)
def test_a_value_is_put_into_a_copy(path: tuple[Any, ...], expected: Any) -> None:
    before = repr(BODY)
    assert assign(BODY, path, 1) == expected
    assert repr(BODY) == before


@pytest.mark.parametrize(
    "path",
    [("messages", 3), ("messages", -3), ("messages", "x"), ("model", "x"), ("n", 0), ("no", "x"), ("messages", 2, "x")],
)
def test_a_path_that_leads_nowhere_is_said(path: tuple[Any, ...]) -> None:
    with pytest.raises(BadPath, match="the request has no"):
        assign(BODY, path, 1)
