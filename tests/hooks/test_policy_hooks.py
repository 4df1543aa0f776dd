"""The hooks `policy` and `redact`: what may not leave does not, also when they fail."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ccinspect.hooks.policy import EgressRules, policy
from ccinspect.hooks.redact import redact
from ccinspect.pipeline.overrides import parse_overrides
from ccinspect.pipeline.pipeline import Pipeline
from ccinspect.pipeline.services import Services
from ccinspect.policy.egress import Egress
from ccinspect.policy.secrets import Redactor
from ccinspect.policy.settings import PolicyConfig, RedactConfig
from tests.hooks.through import run_hook
from tests.pipeline.running import FACTS, request, states, steps


def rules(**config: Any) -> EgressRules:
    egress = Egress.of(PolicyConfig.model_validate(config))
    return EgressRules(lambda facts: egress)


def redactor(**rule: Any) -> Redactor:
    return Redactor([RedactConfig.model_validate({"name": "rule", **rule})])


def test_a_destination_that_is_denied() -> None:
    result = run_hook(policy, request(), rules(deny=["api.anthropic.com"]))
    assert result.refusal is not None
    assert (result.refusal.kind, result.refusal.status, result.refusal.hook) == ("permission", 403, "policy")
    assert "api.anthropic.com" in result.refusal.message


def test_a_destination_that_is_allowed() -> None:
    result = run_hook(policy, request(), rules(allow=["api.anthropic.com"]))
    assert states(result) == {"policy": "ran"}
    assert result.refusal is None


@pytest.mark.parametrize("services", [(), (rules(),)])
def test_no_rules_cost_nothing(services: tuple[object, ...]) -> None:
    assert states(run_hook(policy, request(), *services)) == {"policy": "skipped"}


def test_a_request_cannot_skip_it() -> None:
    skipping = parse_overrides("-policy,-redact")
    assert run_hook(policy, request(), rules(default="deny"), overrides=skipping).refusal is not None
    stop = redactor(pattern="hush", mode="stop")
    assert run_hook(redact, request({"a": "hush"}), stop, overrides=skipping).refusal is not None


def test_rules_that_fail_let_nothing_through() -> None:
    def broken(facts: object) -> Egress:
        raise RuntimeError("no rules")

    result = run_hook(policy, request(), EgressRules(broken))
    assert states(result) == {"policy": "failed"}
    assert result.refusal is not None


def test_what_is_to_be_masked_is_and_all_else_stays() -> None:
    body = b'{"n": 1.0, "messages": [{"content": "it is hush-1"}, {"content" : "fine"}]}'
    result = run_hook(redact, request(body), redactor(pattern=r"hush-\d"))
    assert result.outgoing.body == body.replace(b"hush-1", b"[redacted: rule]")
    assert result.records[0].changed == ["body"]
    assert result.notes["redact"]["found"] == 1
    assert "hush-1" not in str(result.as_record())


def test_what_is_to_be_stopped_is() -> None:
    result = run_hook(redact, request({"a": "hush"}), redactor(pattern="hush", mode="stop"))
    assert result.refusal is not None
    assert result.refusal.kind == "permission"
    assert "hush" not in result.refusal.message


def test_the_body_is_read_only_where_rules_hold() -> None:
    only_web = redactor(pattern="x", projects=["web"])
    for service, project, needed in [(only_web, "web", True), (only_web, "other", False), (None, "web", False)]:
        pipeline = Pipeline({"outbound": steps([redact])}, services=Services(*([service] if service else [])))
        assert pipeline.needs_body(replace(FACTS, project=project), request()) is needed
        pipeline.close()


def test_many_findings_do_not_fill_the_record() -> None:
    result = run_hook(redact, request({f"k{n}" * 50: "hush" for n in range(500)}), redactor(pattern="hush"))
    assert states(result) == {"redact": "ran"}
    assert len(result.notes["redact"]["findings"]) == 30
    assert b"hush" not in (result.outgoing.body or b"")
