"""A daemon that other machines can reach: what strangers get, what those with the token get, and what is kept of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ccinspect.config import Config
from ccinspect.daemon.exposure import is_exposed, listening_hosts
from ccinspect.errors import ConfigError
from tests.daemon.network_scenario import THERE
from tests.support.daemon import Daemon, clean_environment
from tests.support.namespaces import unshared
from tests.support.unprivileged import ROOT


@pytest.fixture(scope="module")
def happened(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What network_scenario.py tells."""
    directory = tmp_path_factory.mktemp("network")
    command = unshared(["--net"], [sys.executable, "-m", "tests.daemon.network_scenario", directory])
    done = subprocess.run(command, cwd=ROOT, env=clean_environment(), capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


REFUSED = (
    "nothing", "wrong", "empty", "begins right", "query", "wrong path", "empty path", "claims loopback",
    "health", "own endpoint", "long body", "bearer for a provider", "prefix of a run",
)  # fmt: skip


@pytest.mark.jail
@pytest.mark.parametrize("shown", REFUSED)
def test_a_stranger_is_refused(happened: dict[str, Any], shown: str) -> None:
    assert happened["there"][shown][0] == 401


@pytest.mark.jail
def test_a_stranger_is_told_how_and_no_browser_is_asked_to_remember(happened: dict[str, Any]) -> None:
    _, said, headers = happened["there"]["nothing"]
    told = json.loads(said)
    assert told["type"] == "error"
    assert "demands proxy.token" in told["error"]["message"]
    assert "www-authenticate" not in headers


@pytest.mark.jail
def test_the_forward_proxy_asks_for_credentials(happened: dict[str, Any]) -> None:
    there = happened["there"]
    assert there["absolute"][0] == 407
    assert "proxy-authenticate" in there["absolute"][2]
    assert there["connect"].split()[1] == there["wrong connect"].split()[1] == "407"


@pytest.mark.jail
@pytest.mark.parametrize("shown", ["good header", "good path", "good basic", "good absolute"])
def test_who_shows_the_token_is_served(happened: dict[str, Any], shown: str) -> None:
    assert happened["there"][shown][0] == 200


@pytest.mark.jail
def test_a_tunnel_is_opened_for_the_token(happened: dict[str, Any]) -> None:
    assert happened["there"]["good connect"].split()[1] == "200"


@pytest.mark.jail
def test_what_else_we_serve_stays_on_the_loopback(happened: dict[str, Any]) -> None:
    assert happened["closed"] == ["ConnectionRefusedError"] * 2


@pytest.mark.jail
def test_this_machines_runs_need_no_token_and_other_programs_do(happened: dict[str, Any]) -> None:
    here = happened["here"]
    assert (here["run"], here["health"], here["by hand"][0]) == ("200", 200, 401)
    # The provider's own refusal: it saw no key.
    assert here["proxy run"] == "401"
    assert any(head.startswith("GET /v1/models") for head in happened["forwarded"])


@pytest.mark.jail
def test_a_jail_does_not_reach_a_listener_by_the_hosts_address(happened: dict[str, Any]) -> None:
    assert happened["jail"] == "b''"


@pytest.mark.jail
def test_the_token_goes_no_further_than_us(happened: dict[str, Any]) -> None:
    assert happened["kept"] == []
    assert not happened["records"]
    for head in happened["forwarded"]:
        assert "network-token" not in head
        assert "authorization" not in head.lower()


@pytest.mark.jail
def test_strangers_are_counted_and_not_recorded(happened: dict[str, Any]) -> None:
    shown = {flow["request"]["path"].partition("show=")[2] for flow in happened["flows"]}
    assert shown - {""} == {"good-header", "good-path", "good-basic", "good-absolute", "run"}
    assert happened["status"]["refused"] == len(REFUSED) + 4


@pytest.mark.jail
def test_flows_tell_the_machine_and_people_name_it(happened: dict[str, Any]) -> None:
    devices = {flow["device"] for flow in happened["flows"] if "show=good" in flow["request"]["path"]}
    assert devices == {THERE}
    assert {flow["device"] for flow in happened["flows"] if flow["run"]} == {None}
    assert happened["renamed"] == {"address": THERE, "name": "Laptop"}
    (device,) = happened["devices"]
    assert (device["address"], device["name"], device["flows"]) == (THERE, "Laptop", 4)
    assert happened["of device"] == 4
    assert happened["table"].count("\tLaptop\t") == 4


@pytest.mark.jail
def test_the_status_warns(happened: dict[str, Any]) -> None:
    assert any("other machines" in warning for warning in happened["status"]["warnings"])


def settings(host: str, *, consent: bool = True) -> Config:
    return Config.model_validate({"inspector": {"host": host}, "proxy": {"allow_other_machines": consent}})


@pytest.mark.parametrize(
    ("host", "bound", "exposed"),
    [
        ("127.0.0.1", ("127.0.0.1",), False),
        ("::1", ("127.0.0.1", "::1"), False),
        ("127.0.0.9", ("127.0.0.1", "127.0.0.9"), False),
        ("0.0.0.0", ("0.0.0.0",), True),
        ("::", ("127.0.0.1", "::"), True),
        ("192.0.2.7", ("127.0.0.1", "192.0.2.7"), True),
    ],
)
def test_where_listeners_are_bound(host: str, bound: tuple[str, ...], exposed: bool) -> None:
    hosts = listening_hosts(settings(host), "a-long-enough-token")
    assert hosts == bound
    assert is_exposed(hosts) is exposed


@pytest.mark.parametrize(
    ("consent", "token", "said"),
    [
        (False, "a-long-enough-token", "proxy.allow_other_machines"),
        (False, None, "proxy.allow_other_machines"),
        (True, None, "set proxy.token"),
        (True, "short", "can be guessed"),
    ],
)
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "::ffff:192.0.2.7"])
def test_nothing_is_opened_by_accident(host: str, consent: bool, token: str | None, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        listening_hosts(settings(host, consent=consent), token)
    assert said in caught.value.message + caught.value.hint


def test_the_daemon_does_not_start_without_consent(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "instance", {"inspector": {"host": "0.0.0.0"}})
    started = daemon.run("start", "--detach")
    assert started.returncode == 2
    assert "nobody said that this is meant" in started.stderr
