"""One daemon for all tests of a module: each sets the block `otel` it wants, as a user does, and reloads."""

from __future__ import annotations

import http.client
import json
from contextlib import closing
from typing import Any

import pytest
import yaml

from ccinspect.control.client import ControlClient
from ccinspect.demo.provider import Provider
from tests.support import unprivileged
from tests.support.daemon import Daemon

MODEL = "claude-sonnet-4-5"


class Exporting:
    """A running daemon whose export to OpenTelemetry can be changed."""

    def __init__(self, daemon: Daemon, provider: Provider) -> None:
        self.daemon = daemon
        self.provider = provider

    def use(self, **otel: Any) -> None:
        """Begin anew with these settings: nothing that an earlier test left waits for its collector."""
        self.change(enabled=False)
        self.change(enabled=True, **otel)

    def change(self, **otel: Any) -> None:
        """Let these settings hold from now on."""
        self.daemon.paths.config_file.write_text(yaml.safe_dump({**self.daemon.settings, "otel": otel}))
        self._call("reload")

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self._call("status")["otel"]
        return found

    def flush(self) -> None:
        """Return once all flows that have ended are analysed."""
        self._call("flush")

    def post(self, body: dict[str, Any], headers: dict[str, str] | None = None) -> int:
        sent = {"content-type": "application/json", "x-api-key": "k" * 40, **(headers or {})}
        return self.ask("POST", "/v1/messages", json.dumps(body), sent)

    def ask(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> int:
        """The status of the answer to one request through the reverse listener."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.daemon.ports["reverse"], timeout=60)) as client:
            client.request(method, path, body, headers)
            answer = client.getresponse()
            answer.read()
            return answer.status

    def _call(self, method: str) -> Any:
        with ControlClient.connect(self.daemon.paths.control_socket) as client:
            return client.call(method)


def hello(text: str = "hello") -> dict[str, Any]:
    return {"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": text}]}


@pytest.fixture(scope="module")
def exporting(shared_daemon: Daemon, shared_provider: Provider) -> Exporting:
    unprivileged.allow_tun()
    return Exporting(shared_daemon, shared_provider)
