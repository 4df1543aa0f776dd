"""Which rule takes a request, and where it sends it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ccinspect.errors import TransformError
from ccinspect.pipeline.message import Facts, Headers, Outgoing
from ccinspect.transform.destinations import Destinations
from ccinspect.transform.problems import problems
from ccinspect.transform.redirect import redirect_request
from ccinspect.transform.routes import Router
from ccinspect.transform.settings import TransformRule, Upstream

FACTS = Facts(
    "f-1", "reverse", "run-1", "shop", agent="claude-code", provider="anthropic", dialect="anthropic", kind="generate"
)
REQUEST = Outgoing("POST", "https", "api.anthropic.com", 443, "/v1/messages?beta=true", Headers(), b"{}")
OTHER = replace(FACTS, dialect=None, kind=None)

TO_OPENAI = {"action": "transform", "dest_provider": "openai", "dest_model": "gpt"}
DENY = {"action": "deny", "reason": "no"}
PASS = {"action": "passthrough"}
MOVE = {"action": "redirect", "dest_host": "h.example"}


def router(*rules: dict[str, Any], **providers: dict[str, Any]) -> Router:
    upstreams = {name: Upstream(**values) for name, values in providers.items()}
    return Router([TransformRule(**rule) for rule in rules], Destinations(upstreams))


def test_a_pattern_that_takes_for_ever_holds_nothing_up_and_lets_nothing_through() -> None:
    slow = router({**DENY, "match_path": "^/v1/(a+)+$"})
    request = replace(REQUEST, path="/v1/" + "a" * 3_000 + "!")
    with pytest.raises(TransformError, match="could not be told in time"):
        slow.route(FACTS, request)
    assert slow.needs_body(FACTS, request)
    assert slow.route(FACTS, REQUEST).action == "none"


@pytest.mark.parametrize(
    ("condition", "takes"),
    [
        ({}, True),
        ({"match_host": r"anthropic\.com$"}, True),
        ({"match_host": r"^anthropic"}, False),
        ({"match_path": "/messages"}, True),
        ({"match_path": "beta=true$"}, True),
        ({"match_model": "claude"}, True),
        ({"match_model": "^gpt"}, False),
        ({"match_provider": "^anthropic$"}, True),
        ({"match_agent": "claude"}, True),
        ({"match_agent": "codex"}, False),
        ({"match_run": "run-1"}, True),
        ({"match_project": "^shop$"}, True),
        ({"match_source": "reverse"}, True),
        ({"sources": ["proxy", "wireguard"]}, False),
        ({"sources": ["reverse"]}, True),
        ({"match_host": "anthropic", "match_model": "opus"}, True),
        ({"match_host": "anthropic", "match_model": "haiku"}, False),
    ],
)
def test_all_conditions_must_hold(condition: dict[str, Any], takes: bool) -> None:
    decision = router({**DENY, **condition}).route(FACTS, REQUEST, "claude-opus")
    assert (decision.action, decision.rule, decision.reason) == (("deny", 0, "no") if takes else ("none", None, None))


def test_the_first_rule_that_fits_wins() -> None:
    rules = router({**DENY, "match_model": "haiku"}, {**PASS, "match_agent": "claude"}, TO_OPENAI)
    assert rules.route(FACTS, REQUEST, "claude-haiku").rule == 0
    assert rules.route(FACTS, REQUEST, "claude-opus").rule == 1
    assert rules.route(replace(FACTS, agent=None), REQUEST, "claude-opus").rule == 2


def test_what_is_not_known_matches_nothing() -> None:
    unknown = Facts("f", "reverse")
    for name in ("run", "project", "agent", "provider", "model"):
        assert router({**DENY, f"match_{name}": ".*"}).route(unknown, REQUEST).action == "none"


def test_only_model_calls_are_translated() -> None:
    rules = router(TO_OPENAI, MOVE)
    assert rules.route(FACTS, REQUEST).action == "transform"
    assert rules.route(OTHER, REQUEST).rule == 1


@pytest.mark.parametrize(
    ("rules", "needs"),
    [
        ([], False),
        ([PASS], False),
        ([DENY], False),
        ([MOVE], False),
        ([{**MOVE, "dest_model": "m"}], True),
        ([TO_OPENAI], True),
        ([{"action": "redirect", "dest_provider": "openrouter"}], False),
        ([{"action": "redirect", "dest_provider": "vertex", "vertex_project": "p"}], True),
        ([{**DENY, "match_model": "x"}], True),
        ([{**DENY, "match_model": "x", "match_agent": "codex"}], False),
        ([{**PASS, "match_agent": "claude"}, {**DENY, "match_model": "x"}], False),
        ([{**PASS, "match_agent": "codex"}, {**DENY, "match_model": "x"}], True),
    ],
)
def test_the_body_is_only_read_when_it_decides(rules: list[dict[str, Any]], needs: bool) -> None:
    assert router(*rules).needs_body(FACTS, REQUEST) is needs


def test_a_model_in_the_path_needs_no_body() -> None:
    gemini = replace(FACTS, provider="gemini", dialect="gemini")
    request = replace(REQUEST, path="/v1beta/models/gemini-pro:generateContent")
    rules = router({**DENY, "match_model": "pro"}, {**PASS, "match_model": "flash"})
    assert not rules.needs_body(gemini, request)
    assert rules.route(gemini, request).rule == 0


def test_the_parts_of_a_destination_override_the_providers() -> None:
    rule = {
        "action": "transform",
        "dest_provider": "openai",
        "dest_model": "gpt",
        "dest_host": "gw.example",
        "dest_port": 8443,
        "dest_path": "/x/{action}",
    }
    there = router(rule).route(FACTS, REQUEST, "claude").destination
    assert there is not None
    assert (there.scheme, there.host, there.port, there.model, there.dialect) == (
        "https",
        "gw.example",
        8443,
        "gpt",
        "openai_chat",
    )
    assert there.path_for("generate", False, "gpt") == "/x/chat/completions"


def test_a_redirect_by_host_alone_keeps_path_and_credentials() -> None:
    request = replace(REQUEST, headers=Headers([(b"x-api-key", b"k")]))
    there = router(MOVE).route(FACTS, request).destination
    assert there is not None
    sent = redirect_request(request, "anthropic", there)
    assert (sent.url, sent.headers.get("x-api-key")) == ("https://h.example/v1/messages?beta=true", "k")


def test_a_redirect_where_the_dialect_is_not_spoken_keeps_the_path() -> None:
    there = router({"action": "redirect", "dest_provider": "groq"}).route(FACTS, REQUEST).destination
    assert there is not None
    assert redirect_request(REQUEST, "anthropic", there).url == "https://api.groq.com/v1/messages?beta=true"


def test_aliases_are_the_providers_own_names() -> None:
    rules = router(
        {"action": "redirect", "dest_provider": "mine"},
        mine={"host": "h.example", "type": "anthropic", "models": {"small": "claude-haiku", "same": "same"}},
    )
    small = rules.route(FACTS, REQUEST, "small").destination
    same = rules.route(FACTS, REQUEST, "same").destination
    assert small is not None
    assert same is not None
    assert (small.model, same.model) == ("claude-haiku", None)


@pytest.mark.parametrize(
    ("name", "dialect", "action", "url"),
    [
        ("openrouter", "anthropic", "redirect", "https://openrouter.ai/api/v1/messages?beta=true"),
        ("openai", "anthropic", "transform", None),
        ("openrouter", None, "redirect", "https://openrouter.ai/api/v1/models?beta=true"),
    ],
)
def test_a_provider_asked_for_by_name(name: str, dialect: str | None, action: str, url: str | None) -> None:
    request = REQUEST if dialect else replace(REQUEST, method="GET", path="/v1/models?beta=true")
    decision = router().to_provider(name, replace(FACTS, dialect=dialect), request, "m")
    assert (decision.action, decision.rule) == (action, None)
    assert decision.destination is not None
    if url is not None:
        assert redirect_request(request, dialect, decision.destination).url == url


@pytest.mark.parametrize("name", ["nobody", "bedrock"])
def test_a_provider_without_an_address_is_an_error_that_says_so(name: str) -> None:
    with pytest.raises(TransformError, match="not sent") as caught:
        router().to_provider(name, FACTS, REQUEST)
    assert caught.value.hint == f"set `host` in the block `providers.{name}`"


def test_rules_are_explained() -> None:
    rules = router(
        {**DENY, "sources": ["proxy"]}, {**DENY, "match_model": "haiku"}, {**PASS, "match_host": "anthropic"}, DENY
    )
    steps = rules.explain(FACTS, REQUEST, "claude-opus")
    assert [(step.rule, step.takes) for step in steps] == [(0, False), (1, False), (2, True)]
    assert "'claude-opus' does not match 'haiku'" in steps[1].why
    assert "it came by reverse" in steps[0].why


def test_records_hold_no_headers() -> None:
    rules = router(
        {"action": "redirect", "dest_provider": "mine"},
        mine={"host": "h.example", "type": "anthropic", "headers": {"x-team": "secret"}},
    )
    assert "secret" not in str(rules.route(FACTS, REQUEST, "m").as_record())


# Problems


@pytest.mark.parametrize(
    ("rules", "rule", "words"),
    [
        ([DENY, PASS], 1, "rule 0 takes all"),
        ([{**DENY, "match_host": ".*"}, {**PASS, "match_host": "x"}], 1, "rule 0 takes all"),
        ([{**DENY, "match_host": "x"}, {**PASS, "match_host": "x", "match_model": "m"}], 1, "rule 0 takes all"),
        ([{**DENY, "sources": ["proxy"]}, {**PASS, "sources": ["proxy"]}], 1, "rule 0 takes all"),
        ([{**DENY, "match_source": "tunnel"}], 0, "can never match"),
        ([{**DENY, "match_source": "proxy", "sources": ["reverse"]}], 0, "can never match"),
        ([{**DENY, "match_provider": "^groq$", "match_host": "anthropic"}], 0, "no host of groq"),
        ([{**DENY, "match_provider": "antropic"}], 0, "none of the built-in"),
        ([{**DENY, "match_agent": "claude_code"}], 0, "no program known"),
        ([{"action": "redirect", "dest_provider": "opnai"}], 0, "no provider 'opnai'"),
        ([{"action": "redirect", "dest_provider": "vertex"}], 0, "needs a Google Cloud project"),
        ([{"action": "redirect", "dest_provider": "bedrock"}], 0, "has no host"),
        ([{"action": "transform", "dest_provider": "bedrock", "dest_host": "b.example"}], 0, "only read"),
    ],
)
def test_problems_are_found_without_a_request(rules: list[dict[str, Any]], rule: int, words: str) -> None:
    made = router(*rules)
    [problem] = problems(made.rules, made.destinations)
    assert problem.rule == rule
    assert words in problem.message
    assert problem.hint


@pytest.mark.parametrize(
    "rules",
    [
        [{**DENY, "match_host": "x"}, PASS],
        [TO_OPENAI, MOVE],
        [{**DENY, "match_agent": ".*"}, {**PASS, "match_host": "x"}],
        [{**DENY, "sources": ["proxy"]}, PASS],
        [{**DENY, "match_provider": "azure", "match_host": r"me\.openai\.azure\.com"}],
        [{**DENY, "match_source": "^(reverse|proxy)$"}],
        [{"action": "redirect", "dest_provider": "vertex", "vertex_project": "p"}],
    ],
)
def test_rules_that_are_right_are_not_complained_about(rules: list[dict[str, Any]]) -> None:
    made = router(*rules)
    assert problems(made.rules, made.destinations) == []


def test_fallbacks_must_lead_somewhere() -> None:
    made = router(openai={"fallbacks": [{"provider": "nobody"}]})
    [problem] = problems((), made.destinations)
    assert problem.message == "providers.openai.fallbacks: there is no provider 'nobody'"
