"""What is said of shapes."""

from __future__ import annotations

import typing
from typing import Any

import pytest
from anthropic.types import AnthropicBetaParam

from ccinspect.shapes.audit import audit
from ccinspect.shapes.betas import KNOWN_BETAS
from tests.shapes.samples import shape

NOW = 1_795_244_400.0
MARKED = {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}


@pytest.mark.parametrize(
    ("dialect", "fields", "level", "where", "said"),
    [
        ("anthropic", {"headers": {"x-api-key": "x"}}, "private", "headers.x-api-key", "credential"),
        ("anthropic", {"headers": {"user-agent": "x"}}, "private", "headers.user-agent", "identity"),
        ("anthropic", {"headers": {"host": "x"}}, "wrong", "headers.host", "never stamped"),
        ("anthropic", {"body": {"messages": [1]}}, "private", "body.messages", "prompt"),
        ("anthropic", {"body": {"system": "in /home/alice"}}, "private", "body.system", "home directory (/home/alice)"),
        ("anthropic", {"body": {"system": "of zeta-box"}}, "private", "body.system", "name (zeta-box)"),
        ("anthropic", {"description": "ask alice@corp.org"}, "private", "description", "e-mail address"),
        ("anthropic", {"path": "/v1/chat/completions"}, "wrong", "path", "a path of openai_chat"),
        ("anthropic", {"path": "/v1/messages/count_tokens"}, "wrong", "path", "count_tokens"),
        ("anthropic", {"preserve_headers": ["a"], "strip_headers": ["A"]}, "wrong", "preserve_headers.a", "also in"),
        ("anthropic", {"strip_headers": ["content-length"]}, "wrong", "strip_headers.content-length", "connection"),
        ("anthropic", {"merge_strategies": {".system": "append"}}, "wrong", "merge_strategies.system", "does not have"),
        ("anthropic", {"content_fields": [".messages"], "merge_strategies": {".top_k": "drop"}}, "wrong",
         "merge_strategies.top_k", "dropped anyway"),
        ("anthropic", {"inner_hooks": ["fresh_ids"]}, "wrong", "inner_hooks.fresh_ids", "neither"),
        ("anthropic", {"inner_hooks": [{"hook": "fresh_ids", "params": {"headers": ["cookie"]}}]}, "wrong",
         "inner_hooks.fresh_ids", "not for a shape"),
        ("ollama", {"inner_hooks": ["strip_cache_markers"]}, "wrong", "inner_hooks.strip_cache_markers", "no cache"),
        ("anthropic", {"body": {"system": [MARKED] * 5}}, "wrong", "body", "more than 4 cache markers"),
        ("anthropic", {"content_fields": [".model"]}, "wrong", "content_fields", "no messages are taken"),
        ("anthropic", {"saved_at": "2026-01-01"}, "stale", "saved_at", "324 days ago"),
        ("anthropic", {"body": {"max_tokens_to_sample": 5}}, "stale", "body.max_tokens_to_sample", "no field of"),
        ("anthropic", {"content_fields": [".messages", ".prompt"]}, "stale", ".prompt", "no field of anthropic"),
        ("anthropic", {"headers": {"anthropic-beta": "moon-2026-01-01"}}, "stale", "headers.anthropic-beta", "moon"),
        ("openai_chat", {"content_fields": [".messages"], "body": {"model": "m"}}, "note", "body.model", "not asked"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(dialect: str, fields: dict[str, Any], level: str, where: str, said: str) -> None:
    remarks = audit(shape(dialect, **fields), NOW, ["zeta-box"])
    assert [(each.level, each.where) for each in remarks] == [(level, where)]
    assert said in remarks[0].text


def test_the_gravest_comes_first() -> None:
    remarks = audit(shape(saved_at="2026-01-01", headers={"host": "x", "cookie": "y"}, body={"odd": 1}), NOW)
    assert [remark.level for remark in remarks] == ["private", "wrong", "stale", "stale"]


def test_a_good_shape_has_no_remarks() -> None:
    good = shape(
        "gemini",
        saved_at="2026-11-20T00:00:00Z",
        content_fields=[".contents", ".generation_config.stop_sequences"],
        body={"generation_config": {"topK": 1}, "safetySettings": []},
    )
    assert audit(good, NOW) == []


def test_the_known_betas_are_those_of_the_sdk() -> None:
    [listed] = [each for each in typing.get_args(AnthropicBetaParam) if each is not str]
    assert set(typing.get_args(listed)) <= KNOWN_BETAS
