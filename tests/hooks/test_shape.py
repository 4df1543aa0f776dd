"""The hook `shape`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ccinspect.hooks.shape import shape
from ccinspect.pipeline.pipeline import Pipeline
from ccinspect.pipeline.services import Services
from ccinspect.shapes.library import Library
from tests.hooks.through import run_hook
from tests.pipeline.running import FACTS, request, states, steps

THIN = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5}


@pytest.fixture
def library(tmp_path: Path) -> Library:
    text = (
        "name: team\ndialect: anthropic\nmethod: POST\npath: /v1/messages\n"
        "headers:\n  anthropic-beta: context-1m\n"
        "body:\n  temperature: 0.5\n  max_tokens: 4096\n"
        "content_fields: [.model, .messages]\n"
    )
    (tmp_path / "team.yaml").write_text(text)
    return Library(tmp_path)


def test_the_envelope_is_put_around_the_content(library: Library) -> None:
    result = run_hook(shape, request(THIN), library, params={"shape": "team"}, facts=replace(FACTS, agent=None))
    assert states(result) == {"shape": "ran"}
    sent = json.loads(result.outgoing.body or b"")
    assert (sent["temperature"], sent["model"], sent["messages"]) == (0.5, "m", THIN["messages"])
    assert result.outgoing.headers.get("anthropic-beta") == "context-1m"
    assert "headers.anthropic-beta" in result.records[0].changed


def test_it_leaves_other_dialects_alone(library: Library) -> None:
    result = run_hook(shape, request(THIN, path="/v1/chat/completions"), library, params={"shape": "team"})
    assert states(result) == {"shape": "skipped"}


def test_a_shape_that_does_not_exist_is_told_and_costs_nothing(library: Library) -> None:
    outgoing = request(THIN)
    result = run_hook(shape, outgoing, library, params={"shape": "missing"})
    assert states(result) == {"shape": "failed"}
    assert "missing" in (result.records[0].error or "")
    assert result.outgoing is outgoing


def test_the_body_is_read_only_for_it(library: Library) -> None:
    assert shape.params is not None
    pipeline = Pipeline({"inbound": steps([(shape, shape.params(shape="team"))])}, services=Services(library))
    assert pipeline.needs_body(FACTS, request())
    assert not pipeline.needs_body(FACTS, request(path="/v1/chat/completions"))
    pipeline.close()
