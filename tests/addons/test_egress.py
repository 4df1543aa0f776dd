"""What the policy denies does not leave, by whichever way it is tried; budgets end a run's model calls."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ccinspect.control.client import ControlClient
from ccinspect.demo.answers import Answer, Echo, head
from ccinspect.demo.provider import Provider
from tests.addons.conftest import Configure
from tests.addons.test_changes import MESSAGES, OWN, ask, only_flow
from tests.support.daemon import Daemon
from tests.support.shared_daemon import SharedDaemon

ELSEWHERE = """
from ccinspect.pipeline.declaration import hook


@hook(writes=("url.path",))
def elsewhere(ctx):
    ctx.request.path = "/v1/secret"
"""
DENY_OPENAI = {"deny": ["api.openai.com"]}


@pytest.fixture
def daemon(configure: Configure) -> SharedDaemon:
    return configure()


class TestRequests:
    def test_a_denied_host_is_answered_in_the_dialect(self, configure: Configure, provider: Provider) -> None:
        daemon = configure(policy=DENY_OPENAI)
        body = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
        status, answer = ask(daemon, body, {"authorization": "Bearer k"}, "/v1/chat/completions")
        assert status == 403
        assert "api.openai.com" in answer["error"]["message"]
        assert not provider.requests
        assert only_flow(daemon)["changes"]["policy"]["rule"].startswith("deny api.openai.com")
        assert ask(daemon)[0] == 200

    @pytest.mark.parametrize("path", ["/v1/messages", "/v1/./messages", "/v1/x/../messages", "/v1/%6dessages"])
    def test_a_denied_path_is_denied_however_it_is_written(
        self, configure: Configure, provider: Provider, path: str
    ) -> None:
        daemon = configure(policy={"deny": ["api.anthropic.com/v1/messages"]})
        assert ask(daemon, path=path)[0] == 403
        assert not provider.requests

    def test_a_hook_leads_to_no_place_that_is_denied(
        self, configure: Configure, shared_daemon: SharedDaemon, provider: Provider
    ) -> None:
        hooks = shared_daemon.paths.config_dir / "hooks"
        hooks.mkdir(exist_ok=True)
        (hooks / "elsewhere.py").write_text(ELSEWHERE)
        daemon = configure(policy={"deny": ["api.anthropic.com/v1/secret"]}, hooks={"outbound": ["elsewhere"]})
        assert ask(daemon)[0] == 403
        assert not provider.requests
        assert only_flow(daemon)["changes"]["policy"]["rule"].startswith("deny api.anthropic.com/v1/secret")

    def test_what_is_not_allowed_is_denied(self, configure: Configure, provider: Provider) -> None:
        daemon = configure(policy={"allow": [{"host": "api.anthropic.com", "method": "POST"}]})
        assert ask(daemon)[0] == 200
        assert ask(daemon, method="GET", path="/v1/models", body=b"")[0] == 403
        assert len(provider.requests) == 1


class TestUpgrades:
    """Behind a 101 nobody sees which paths are asked for."""

    def upgrade(self, daemon: Daemon, hidden: bytes) -> tuple[bytes, bytes]:
        """The head of the answer to a request for another protocol, and what is answered to `hidden` behind it."""
        with socket.create_connection(("127.0.0.1", daemon.ports["proxy"]), 20) as client:
            line = b"GET http://api.anthropic.com/v1/public HTTP/1.1\r\nHost: api.anthropic.com\r\n"
            client.sendall(line + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
            with client.makefile("rb") as answers:
                head = b"".join(iter(answers.readline, b"\r\n"))
                if not head.startswith(b"HTTP/1.1 101 "):
                    return head, answers.read()
                client.sendall(hidden)
                return head, answers.read(len(hidden))

    @pytest.mark.parametrize(
        ("policy", "passes"),
        [
            ({}, True),
            ({"deny": ["api.openai.com"]}, True),
            ({"allow": ["api.anthropic.com"]}, True),
            ({"deny": ["api.anthropic.com/v1/secret"]}, False),
            ({"allow": ["api.anthropic.com/v1/public"]}, False),
        ],
        ids=["no rules", "another host", "the whole host", "a path is denied", "a path is allowed"],
    )
    def test_they_lead_to_no_path_that_is_denied(
        self, configure: Configure, provider: Provider, policy: dict[str, Any], passes: bool
    ) -> None:
        daemon = configure(policy=policy)
        provider.answer_with(Answer([head(101, [("Connection", "Upgrade"), ("Upgrade", "h2c")]), Echo()]))
        answer, behind = self.upgrade(daemon, b"GET /v1/secret")
        if passes:
            assert answer.startswith(b"HTTP/1.1 101 ")
            assert behind == b"GET /v1/secret"
        else:
            assert answer.startswith(b"HTTP/1.1 403 ")
            assert b"policy denies" in behind
            assert only_flow(daemon)["changes"]["policy"]["allowed"] is False


class TestProxy:
    def test_a_tunnel_to_a_denied_host_is_refused(self, configure: Configure, provider: Provider) -> None:
        daemon = configure(policy=DENY_OPENAI)
        done = curl(daemon, "https://api.openai.com/v1/models")
        assert done.returncode != 0
        assert b"403" in done.stderr
        assert not provider.requests

    def test_a_host_field_does_not_get_past(self, configure: Configure, provider: Provider) -> None:
        daemon = configure(policy={"allow": ["api.anthropic.com"]})
        allowed = "https://api.anthropic.com/v1/models"
        assert json.loads(curl(daemon, "-H", "x-api-key: k", allowed).stdout)["data"]
        assert b"policy" in curl(daemon, "-H", "host: evil.example", allowed).stdout
        assert len(provider.requests) == 1


@pytest.mark.jail
class TestJail:
    @contextmanager
    def jailed(self, daemon: Daemon, *options: str) -> Iterator[Any]:
        def run(*command: str) -> Any:
            return daemon.run("run", "--inspect", *options, "--", *command)

        yield run

    def test_names_addresses_and_server_names_are_all_judged(self, configure: Configure, provider: Provider) -> None:
        daemon = configure()
        with self.jailed(daemon, "--allow", "api.anthropic.com") as run:
            fine = run("curl", "-sS", "-H", "x-api-key: k", "https://api.anthropic.com/v1/models")
            assert json.loads(fine.stdout)["data"]
            looked_up = run("curl", "-sS", "https://api.openai.com/v1/models")
            assert looked_up.returncode == 6, looked_up
            by_address = run("curl", "-sS", "--max-time", "10", "http://203.0.113.9/")
            assert by_address.returncode not in (0, 28), by_address
            fronted = run(
                "curl", "-sS", "-H", "x-api-key: k", "-H", "host: api.openai.com", "https://api.anthropic.com/v1/models"
            )
            assert "policy" in fronted.stdout
        assert len(provider.requests) == 1
        denied = [flow for flow in daemon.flows() if flow["hint"] or (flow["changes"] or {}).get("policy")]
        assert {flow["type"] for flow in denied} >= {"dns", "http"}

    def test_offline_is_offline(self, configure: Configure, provider: Provider) -> None:
        daemon = configure()
        with self.jailed(daemon, "--offline") as run:
            assert run("curl", "-sS", "https://api.anthropic.com/v1/models").returncode == 6
            # Refused, and not left waiting, however soon it is refused.
            often = "for i in 1 2 3 4 5 6 7 8; do curl -s --max-time 10 http://203.0.113.9/; echo $?; done"
            assert set(run("sh", "-c", often).stdout.split()) == {"52"}
        assert not provider.requests


class TestBudgets:
    def test_a_run_that_has_spent_its_tokens_is_told(self, daemon: Daemon, provider: Provider) -> None:
        with ControlClient.connect(daemon.paths.control_socket) as control:
            run = control.call("run.start", mode="base-url", command=["x"], budget={"max_tokens": 10})
            path = run["env"]["ANTHROPIC_BASE_URL"].partition("127.0.0.1:")[2].partition("/")[2]
            assert ask(daemon, path=f"/{path}/v1/messages")[0] == 200
            status, answer = ask(daemon, path=f"/{path}/v1/messages")
            assert (status, answer["error"]["type"]) == (429, "rate_limit_error")
            assert "10 tokens" in answer["error"]["message"]
            # Nobody else is held back.
            assert ask(daemon, MESSAGES, OWN)[0] == 200
            control.call("run.end", run_id=run["run_id"], exit_code=0)
        assert len(provider.requests) == 2


def curl(daemon: Daemon, *arguments: str) -> Any:
    proxy = f"http://127.0.0.1:{daemon.ports['proxy']}"
    return daemon.raw(["curl", "-sS", "-x", proxy, "--cacert", str(daemon.paths.ca_cert), *arguments])
