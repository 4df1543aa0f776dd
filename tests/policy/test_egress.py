"""What may leave, and what does not get past that."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccinspect.errors import ConfigError
from ccinspect.pipeline.message import Facts
from ccinspect.policy.egress import Egress
from ccinspect.policy.hosts import split_authority
from ccinspect.policy.settings import PolicyConfig


def egress(**policy: Any) -> Egress:
    return Egress.of(PolicyConfig.model_validate(policy), local_ports=(11434,))


ONLY_GOOD = egress().for_run(allow=["good.com"])


def test_without_a_rule_everything_goes() -> None:
    assert not egress().active
    assert egress().decide("any thing at all", 1).allowed


@pytest.mark.parametrize("host", ["good.com", "GOOD.com", "good.com.", "good.com:443", "user@good.com", "good%2Ecom"])
def test_an_allowed_host_in_any_spelling(host: str) -> None:
    assert ONLY_GOOD.decide(host, 443, "/x", "GET").allowed


@pytest.mark.parametrize(
    "host",
    [
        "evil.com", "good.com.evil.com", "evil.com.", "goodxcom", "sub.good.com", "good.com@evil.com",
        "good.com:443@evil.com",
        "good.com\\@evil.com", "good.com/@evil.com", "good.com#.evil.com", "good.com\0.evil.com",
        "good.com%00.evil.com",
        "evil.com/good.com", " good.com", "good.com ", "", "1.2.3.4", "[::1]", "gооd.com",  # noqa: RUF001
    ],
)  # fmt: skip
def test_no_other_host_gets_past(host: str) -> None:
    assert not ONLY_GOOD.decide(host, 443, "/", "GET").allowed


@pytest.mark.parametrize(
    "question",
    [
        {"also": ["evil.com"]},
        {"also": ["good.com", "evil.com:443"]},
        {"path": "http://evil.com/"},
        {"path": "http://good.com@evil.com/"},
        {"path": "https://evil.com:443"},
        {"path": "gopher://evil.com/"},
    ],
    ids=str,
)
def test_every_place_that_names_a_host_must_be_allowed(question: dict[str, Any]) -> None:
    assert not ONLY_GOOD.decide("good.com", 443, **question).allowed


def test_an_absolute_target_is_judged_by_its_own_port_and_path() -> None:
    rules = egress().for_run(allow=["good.com:80/v1"])
    assert rules.decide("good.com", 80, "http://good.com/v1/x").allowed
    assert not rules.decide("good.com", 80, "http://good.com:81/v1/x").allowed
    assert not rules.decide("good.com", 80, "https://good.com/v1/x").allowed
    assert not rules.decide("good.com", 80, "http://good.com/v2").allowed


def test_a_host_with_another_port_than_the_connection() -> None:
    rules = egress().for_run(allow=["good.com:443"])
    assert rules.decide("good.com", 443, "/", also=["good.com:443"]).allowed
    assert not rules.decide("good.com", 443, "/", also=["good.com:8443"]).allowed
    assert not rules.decide("good.com", 8443, "/").allowed


@pytest.mark.parametrize(
    "path",
    [
        "/v1/../admin", "/v1/%2e%2e/admin", "/v1/%252e%252e/admin", "/v1/..%2fadmin", "/v1/..;a/admin", "/v1/..\\admin",
        "//v1/../admin", "/admin", "/", "/v10", "/v1%2f..%2fadmin", "/%2576%2531/..", "/v1/" + "%25" * 9,
    ],
)  # fmt: skip
def test_an_allowed_path_is_left_by_no_spelling(path: str) -> None:
    rules = egress().for_run(allow=["good.com/v1"])
    assert rules.decide("good.com", 443, "/v1/messages?beta=true", "POST").allowed
    if path.startswith("/v1/%25%25"):
        # Percent signs only: below /v1 in every reading.
        assert rules.decide("good.com", 443, path).allowed
    else:
        assert not rules.decide("good.com", 443, path).allowed


@pytest.mark.parametrize(
    "path",
    ["/admin", "/admin/", "/admin/x", "/ADMIN", "/%61dmin", "//admin", "/x/../admin", "/v1/%2e%2e/admin", "/admin?x",
     "/admin;x", "/x/..;/admin", "/\\admin", "/admin%00"],
)  # fmt: skip
def test_a_denied_path_is_reached_by_no_spelling(path: str) -> None:
    rules = egress(deny=["good.com/admin"])
    assert not rules.decide("good.com", 443, path).allowed
    assert rules.decide("good.com", 443, "/v1/administer").allowed


def test_deny_beats_allow() -> None:
    rules = egress(deny=["bad.good.com"]).for_run(allow=["*.good.com"])
    assert rules.decide("a.good.com", 443).allowed
    verdict = rules.decide("bad.good.com", 443)
    assert not verdict.allowed
    assert verdict.rule == "deny bad.good.com (policy.deny[0])"


def test_a_runs_deny_is_added() -> None:
    rules = egress().for_run(deny=["*.telemetry.com"])
    assert rules.decide("api.com", 443).allowed
    assert not rules.decide("x.telemetry.com", 443).allowed


def test_addresses_are_denied_however_they_are_written() -> None:
    rules = egress(deny=["169.254.0.0/16", "::1", "127.0.0.0/8"])
    for host in (
        "169.254.169.254",
        "0xa9fea9fe",
        "2852039166",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "127.1",
    ):
        assert not rules.decide(host, 80).allowed, host
    assert rules.decide("8.8.8.8", 80).allowed


def test_an_allow_holds_back_only_those_it_is_for() -> None:
    rules = egress(allow=[{"host": "good.com", "project": "secret-*"}])
    inside, outside = Facts("f", "proxy", project="secret-x"), Facts("f", "proxy", project="web")
    assert rules.decide("good.com", 443, facts=inside).allowed
    assert not rules.decide("evil.com", 443, facts=inside).allowed
    assert rules.decide("evil.com", 443, facts=outside).allowed
    assert rules.decide("evil.com", 443).allowed


def test_the_default_can_be_said() -> None:
    assert not egress(default="deny").decide("a.com", 443).allowed
    assert egress(default="allow", allow=["b.com"]).decide("a.com", 443).allowed
    assert not egress(default="allow").for_run(allow=["b.com"]).decide("a.com", 443).allowed


def test_runs_are_named_by_name_and_by_id() -> None:
    rules = egress(deny=[{"host": "a.com", "run": "nightly-*"}, {"host": "b.com", "run": "4f1c9a27"}])
    facts = Facts("f", "wireguard", run="4f1c9a27-dead-beef")
    assert not rules.for_run(name="nightly-3").decide("a.com", 443, facts=facts).allowed
    assert rules.for_run(name="daily").decide("a.com", 443, facts=facts).allowed
    assert not rules.decide("b.com", 443, facts=facts).allowed
    assert rules.decide("b.com", 443, facts=Facts("f", "wireguard", run="0000")).allowed


def test_methods() -> None:
    rules = egress(deny=[{"host": "a.com", "method": ["post", "PUT"]}])
    assert rules.decide("a.com", 443, "/", "GET").allowed
    assert not rules.decide("a.com", 443, "/", "POST").allowed
    assert not rules.decide("a.com", 443, "/", "put").allowed
    assert rules.decide("a.com", 443).allowed, "not known yet"


def test_what_is_never_seen_is_not_trusted() -> None:
    denied = egress(deny=["a.com/admin"])
    assert denied.decide("a.com", 443).allowed
    assert not denied.decide("a.com", 443, opaque=True).allowed
    allowed = egress().for_run(allow=["a.com/v1", "b.com"])
    assert allowed.decide("a.com", 443).allowed
    assert not allowed.decide("a.com", 443, opaque=True).allowed
    assert allowed.decide("b.com", 443, opaque=True).allowed


def test_offline() -> None:
    rules = egress(allow=["api.com"]).for_run(offline=True)
    assert not rules.decide("api.com", 443).allowed
    assert rules.decide("api.com", 443).rule == "--offline"
    for host in ("localhost", "127.0.0.1", "[::1]", "x.localhost"):
        assert rules.decide(host, 11434, "/api/chat", "POST").allowed
        assert not rules.decide(host, 22).allowed
    assert not rules.decide("localhost.evil.com", 11434).allowed
    assert not rules.decide_name("api.com").allowed
    assert rules.decide_name("localhost").allowed
    assert not egress(deny=["localhost"]).for_run(offline=True).decide("localhost", 11434).allowed


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("a.com", True),
        ("A.COM.", True),
        ("b.com", True),
        ("c.com", False),
        ("x.c.com", False),
        ("", False),
        ("a b", False),
    ],
)
def test_names_are_refused_when_nothing_there_could_be_allowed(name: str, allowed: bool) -> None:
    assert egress().for_run(allow=["a.com/only/this", "b.com:8443"]).decide_name(name).allowed is allowed


def test_a_name_of_which_only_a_part_is_denied_is_looked_up() -> None:
    rules = egress(deny=["a.com/admin", "b.com:80", "c.com", "*.tunnel.com"])
    assert rules.decide_name("a.com").allowed
    assert rules.decide_name("b.com").allowed
    assert not rules.decide_name("c.com").allowed
    assert not rules.decide_name("c2VjcmV0.tunnel.com").allowed


def test_addresses_by_the_names_they_were_told_for() -> None:
    rules = egress(deny=["6.6.6.6"]).for_run(allow=["good.com"])
    assert rules.decide_address("1.2.3.4", 443, ["good.com"]).allowed
    assert not rules.decide_address("1.2.3.4", 443).allowed
    assert not rules.decide_address("1.2.3.4", 443, ["evil.com"]).allowed
    assert not rules.decide_address("6.6.6.6", 443, ["good.com"]).allowed
    assert not rules.decide_address("1.2.3.4", 443, ["good.com/v1"]).allowed


def test_a_bad_rule_is_told_with_its_option() -> None:
    with pytest.raises(ConfigError) as caught:
        egress().for_run(allow=["http://a.com"])
    assert "--allow" in caught.value.message
    with pytest.raises(ValueError, match="character"):
        PolicyConfig.model_validate({"deny": ["a b"]})
    with pytest.raises(ValueError, match="twice"):
        PolicyConfig.model_validate({"deny": [{"host": "a.com/x", "path": "/y"}]})


def test_records_can_be_json() -> None:
    assert ONLY_GOOD.decide("evil.com", 443, "/x").as_record() == {
        "allowed": False, "rule": None, "reason": "evil.com:443/x is denied: no rule allows it"
    }  # fmt: skip


hosts = st.one_of(
    st.text(max_size=30), st.from_regex(r"[a-z.@:\[\]%\\]{0,8}good\.com[a-z.@:/#%\\]{0,8}", fullmatch=True)
)


@given(hosts, st.one_of(st.none(), st.text(max_size=30)))
def test_whatever_is_allowed_names_the_host(host: str, path: str | None) -> None:
    verdict = ONLY_GOOD.decide(host, 443, path)
    assert verdict.reason
    if verdict.allowed:
        place = split_authority(host)
        assert place is not None
        assert place[0] == "good.com"


@given(st.text("/.%2eE5cfF\\;?#adminv1", max_size=30))
def test_no_path_is_both_allowed_and_denied(path: str) -> None:
    allowed = egress().for_run(allow=["good.com/v1"]).decide("good.com", 443, path)
    denied = egress(deny=["good.com/v1"]).decide("good.com", 443, path)
    assert not (allowed.allowed and denied.allowed)
