"""Thinking that the agent asked not to be sent."""

from __future__ import annotations

import pytest

from ccinspect.hooks.verbose_mode import verbose_mode
from ccinspect.pipeline.message import Headers
from tests.hooks.through import run_hook
from tests.pipeline.running import request, states

NAME = b"Anthropic-Beta"


@pytest.mark.parametrize(
    ("lines", "left"),
    [
        (["redact-thinking-2026-02-12"], []),
        (["a, redact-thinking-2026-02-12,b"], ["a,b"]),
        (["Redact-Thinking-x,a"], ["a"]),
        # Lines without it keep their spelling.
        (["a,  b", "redact-thinking-1", "c"], ["a,  b", "c"]),
        (["redact-thinking-1,redact-thinking-2", "redact-thinking-3"], []),
    ],
)
def test_only_the_wish_for_redaction_goes(lines: list[str], left: list[str]) -> None:
    outgoing = request()
    outgoing.headers = Headers([(b"x", b"1"), *((NAME, line.encode()) for line in lines), (b"y", b"2")])
    result = run_hook(verbose_mode, outgoing)
    assert states(result) == {"verbose_mode": "ran"}
    assert result.outgoing.headers.get_all("anthropic-beta") == left
    assert (result.outgoing.headers.get("x"), result.outgoing.headers.get("y")) == ("1", "2")
    assert result.records[0].changed == ["headers.anthropic-beta"]


@pytest.mark.parametrize("value", ["a,b", "", "not-redact-thinkin"])
def test_others_are_left_alone(value: str) -> None:
    outgoing = request(anthropic_beta=value)
    result = run_hook(verbose_mode, outgoing)
    assert states(result) == {"verbose_mode": "skipped"}
    assert result.outgoing is outgoing


def test_a_word_that_only_contains_it_stays() -> None:
    outgoing = request(anthropic_beta="no-redact-thinking-1")
    assert run_hook(verbose_mode, outgoing).outgoing is outgoing
