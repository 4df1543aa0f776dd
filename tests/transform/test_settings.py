"""What may stand in the configuration, and what is refused with a reason."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from ccinspect.transform.settings import Fallbacks, TransformRule, Upstream


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ({"action": "redirect"}, "needs a destination"),
        ({"action": "transform"}, "needs a destination"),
        ({"action": "transform", "dest_host": "h.example"}, "needs `dest_provider`"),
        ({"action": "deny", "dest_model": "m"}, "remove `dest_model`"),
        ({"action": "passthrough", "dest_provider": "p"}, "remove `dest_provider`"),
        ({"action": "redirect", "dest_model": "m", "reason": "r"}, "for `deny` only"),
        ({"action": "deny", "match_host": "("}, "not a regular expression"),
        ({"action": "deny", "sources": ["web"]}, "'reverse', 'proxy' or 'wireguard'"),
        ({"action": "redirect", "dest_host": "h.example/path"}, "a host name"),
        ({"action": "redirect", "dest_host": "h example"}, "pattern"),
        ({"action": "redirect", "dest_host": "h", "dest_path": "/a\r\nx: y"}, "pattern"),
        ({"action": "redirect", "dest_model": "a b"}, "pattern"),
        ({"action": "redirect", "dest_host": "h", "dest_port": 0}, "greater than or equal to 1"),
        ({"action": "deny", "match_hosts": "x"}, "Extra inputs"),
        ({}, "Field required"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(rule: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        TransformRule(**rule)


def test_models_are_a_list_or_a_map() -> None:
    assert Upstream(models=["a", "b"]).models == {"a": "a", "b": "b"}
    assert Upstream(models={"small": "a"}).models == {"small": "a"}


def test_fallbacks_are_a_list_or_a_block() -> None:
    short = Upstream(fallbacks=["m", {"provider": "p"}]).fallbacks
    assert short is not None
    assert [(target.provider, target.model) for target in short.to] == [(None, "m"), ("p", None)]
    assert (short.on, short.attempts, short.max_delay, short.give_up_after, short.budget) == (
        (429, 503, 500, 529),
        3,
        60,
        300,
        120,
    )


@pytest.mark.parametrize(
    ("upstream", "reason"),
    [
        ({"fallbacks": [{}]}, "needs a `provider`"),
        ({"fallbacks": {"on": [200]}}, "greater than or equal to 400"),
        ({"fallbacks": {"budget": float("inf")}}, "finite number"),
        ({"headers": {"a": "b\r\nc: d"}}, "line end"),
        ({"headers": {"a:b": "c"}}, "pattern"),
        ({"headers": {"a": "€"}}, "Latin-1"),
        ({"type": "cobol"}, "Input should be"),
        ({"path": "no/slash"}, "pattern"),
    ],
)
def test_an_upstream_that_makes_no_sense_is_refused(upstream: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        Upstream(**upstream)


@pytest.mark.parametrize("model", [TransformRule, Upstream, Fallbacks])
def test_every_setting_is_described(model: Any) -> None:
    assert all(field.description for field in model.model_fields.values())
