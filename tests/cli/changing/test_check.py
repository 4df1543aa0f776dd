"""`ccinspect check`: problems of rules, and what would happen to a request."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ccinspect.cli.changing.check import Assumed, fate, of_url
from ccinspect.config import Config
from ccinspect.policy.settings import PolicyConfig
from ccinspect.transform.settings import TransformRule
from tests.cli.conftest import Place, flow_id, http_flow

RULES = [
    {"match_path": "count_tokens", "action": "passthrough"},
    {"match_model": "haiku", "sources": ["wireguard"], "action": "deny", "reason": "no haiku"},
    {"match_host": "anthropic", "match_model": "opus", "action": "transform", "dest_provider": "openai"},
    {"match_model": "gemini", "action": "redirect", "dest_host": "proxy.example"},
    {"match_model": "nowhere", "action": "redirect", "dest_provider": "nobody"},
]
ANTHROPIC = "https://api.anthropic.com/v1/messages"


class WithRules(Config):
    """Settings with rules, whatever else the settings know."""

    hooks: Any = None
    policy: Any = None


def settings(**policy: Any) -> Config:
    inspector = Config().inspector
    rules = tuple(TransformRule.model_validate(rule) for rule in RULES)
    object.__setattr__(inspector, "transforms", rules)
    return WithRules(policy=PolicyConfig.model_validate(policy)).model_copy(update={"inspector": inspector})


@pytest.mark.parametrize(
    ("url", "assumed", "action", "rule"),
    [
        (ANTHROPIC, Assumed(), "none", None),
        (f"{ANTHROPIC}/count_tokens", Assumed(model="claude-opus-4-5"), "passthrough", 0),
        (ANTHROPIC, Assumed(model="claude-haiku"), "none", None),
        (ANTHROPIC, Assumed(model="claude-haiku", source="wireguard"), "deny", 1),
        (ANTHROPIC, Assumed(model="claude-opus-4-5"), "transform", 2),
        ("http://x.example/v1/messages", Assumed(model="claude-opus-4-5"), "none", None),
        ("x.example/v1beta/models/gemini-3:generateContent", Assumed(), "redirect", 3),
        (ANTHROPIC, Assumed(model="nowhere"), "error", None),
    ],
)
def test_what_would_happen_to_a_request(url: str, assumed: Assumed, action: str, rule: int | None) -> None:
    config = settings()
    told = fate(config, of_url(config, url, assumed))
    assert (told["decision"]["action"], told["decision"].get("rule")) == (action, rule)
    if action not in ("none", "error"):
        assert [step["takes"] for step in told["rules"]] == [False] * (rule or 0) + [True]
    json.dumps(told)


def test_what_is_known_of_a_url() -> None:
    told = fate(Config(), of_url(Config(), ANTHROPIC, Assumed(model="m", agent="codex")))
    assert told["known"] == {
        "url": ANTHROPIC,
        "method": "POST",
        "source": "proxy",
        "provider": "anthropic",
        "dialect": "anthropic",
        "model": "m",
        "agent": "codex",
        "run": None,
        "project": None,
    }


def test_what_the_policy_says_is_told() -> None:
    config = settings(deny=["api.anthropic.com"])
    told = fate(config, of_url(config, ANTHROPIC, Assumed()))
    assert told["policy"]["allowed"] is False
    assert "policy.deny[0]" in told["policy"]["rule"]


def test_without_rules_nothing_is_wrong(place: Place) -> None:
    (line,) = place.lines("check")
    assert "nothing is wrong" in line
    assert place.json("check") == {"problems": [], "request": None}
    assert "no rule takes it" in place.lines("check", ANTHROPIC)[-1]


@pytest.mark.parametrize(
    ("written", "severity", "said"),
    [
        ("hooks: {inbound: [{hook: shape, params: {shape: none}}]}", "error", "there is no shape 'none'"),
        ("hooks: {inbound: [{hook: shape, params: {shape: ../x}}]}", "error", "params.shape"),
        ("providers: {mine: {type: anthropic}}", "warning", "providers.mine: no request is its own"),
        ("providers: {openai: {auth: echo key}, mine: {host: a.example}}", None, ""),
        ("hooks: {inbound: [{hook: shape, params: {shape: anthropic}}]}", None, ""),
    ],
)
def test_what_the_settings_name_has_to_be_there(place: Place, written: str, severity: str | None, said: str) -> None:
    (place.paths.config_dir / "ccinspect.yaml").write_text(written)
    done = place.run("check", "--json")
    problems = json.loads(done.stdout)["problems"]
    assert [problem["severity"] for problem in problems if said in problem["message"]] == (
        [severity] if severity else []
    )
    assert done.returncode == (severity == "error")


@pytest.mark.parametrize("path", ["/v1/messages", "/messages"])
def test_a_stored_flow_is_asked_about(place: Place, path: str) -> None:
    body = json.dumps({"model": "claude-sonnet-4-5", "messages": []}).encode()
    client = http_flow(1, request={"path": f"/r/0a1b/anthropic{path}", "pretty_host": "127.0.0.1"})["flow"]["request"]
    place.record(
        {"kind": "run_started", "run": {"id": "0a1b", "project": "p", "command": ["claude"], "started_at": 1.0}},
        http_flow(
            1, source="reverse", run="0a1b", request={"path": "/v1/messages"}, client_request=client, request_body=body
        ),
    )
    known = place.json("check", flow_id(1)[:8])["request"]["known"]
    assert known == {
        "url": ANTHROPIC,
        "method": "POST",
        "source": "reverse",
        "provider": "anthropic",
        "dialect": "anthropic",
        "model": "claude-sonnet-4-5",
        "agent": "claude-code",
        "run": "0a1b",
        "project": "p",
    }


def test_a_host_alone_is_a_request_too(place: Place) -> None:
    assert place.json("check", "api.anthropic.com")["request"]["known"]["url"] == "https://api.anthropic.com/"


@pytest.mark.parametrize("target", ["nonsense", "ftp://a.example/", "https://[::1/x", "https:///x", "a.example:99999/"])
def test_what_is_no_request_is_said(place: Place, target: str) -> None:
    done = place.run("check", target)
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"Traceback" not in done.stderr
    assert target.encode() in done.stderr
