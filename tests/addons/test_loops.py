"""A request that leads back to us ends, instead of taking all connections there are."""

from __future__ import annotations

import http.client
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ccinspect.demo.provider import Provider
from tests.addons.test_changes import MESSAGES, OWN, ask
from tests.support.daemon import Daemon, settings_for, started
from tests.support.ports import free_port
from tests.support.shared_daemon import SharedDaemon


@pytest.fixture(scope="module")
def shared_daemon(shared_provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedDaemon]:
    """One with a rule that sends a model's calls to the daemon's own reverse listener, where the rule holds again."""
    directory: Path = tmp_path_factory.mktemp("loops")
    settings = settings_for(shared_provider, directory)
    port = settings["inspector"]["reverse_port"] = free_port()
    round_again = {"action": "redirect", "dest_host": "127.0.0.1", "dest_port": port, "dest_scheme": "http"}
    settings["inspector"]["transforms"] = [{"match_model": "^round$", **round_again}]
    with started(SharedDaemon(directory / "instance", settings)) as running:
        yield running


def through_the_proxy(daemon: Daemon, url: str, body: bytes | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", daemon.ports["proxy"], timeout=20)
    try:
        connection.request("POST" if body else "GET", url, body, OWN)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "[::ffff:127.0.0.1]", "0.0.0.0"])
def test_the_proxy_asked_to_fetch_from_itself(daemon: Daemon, host: str) -> None:
    before = len(os.listdir(f"/proc/{daemon.pid}/fd"))
    status, body = through_the_proxy(daemon, f"http://{host}:{daemon.ports['proxy']}/v1/x")
    assert (status, json.loads(body)["error"]["code"]) == (508, "loop_detected")
    assert len(os.listdir(f"/proc/{daemon.pid}/fd")) <= before + 10


def test_a_rule_that_holds_where_it_leads(daemon: Daemon) -> None:
    status, answer = ask(daemon, {**MESSAGES, "model": "round"})
    assert (status, answer["error"]["code"]) == (508, "loop_detected")


def test_the_proxy_and_a_base_url_at_the_same_time_are_none(daemon: Daemon, provider: Provider) -> None:
    url = f"http://127.0.0.1:{daemon.ports['reverse']}/v1/messages"
    status, body = through_the_proxy(daemon, url, json.dumps(MESSAGES).encode())
    assert (status, json.loads(body)["type"]) == (200, "message")
    assert provider.requests[-1].header("host") == "api.anthropic.com"
