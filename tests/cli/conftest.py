"""A place with a real store in it, written by the real recorder, and a real command line that reads it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from ccinspect.paths import Paths, resolve_paths
from ccinspect.store.options import StoreOptions
from ccinspect.store.recorder import Recorder
from tests.cli.many_commands import argv_of, parts_of
from tests.support.daemon import clean_environment

START = 1_760_000_000.0


class Place:
    """A configuration directory without a daemon."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.paths: Paths = resolve_paths(directory)

    def record(self, *messages: dict[str, Any]) -> None:
        """Hand messages to a recorder (docs/architecture.md) and wait until they are stored."""

        async def hand_over() -> None:
            recorder = Recorder.start(self.paths.store_dir, StoreOptions())
            # Large bodies go to files in a directory that it makes.
            assert await recorder.ready(30)
            for message in messages:
                recorder.put(message)
            assert await recorder.flush(30)
            assert await recorder.close()

        asyncio.run(hand_over())

    def argv(self, *words: str) -> list[str]:
        return [sys.executable, "-P", "-m", "ccinspect", "--config", str(self.paths.config_dir), *words]

    def run(
        self, *words: str, stdin: bytes = b"", env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        environ = clean_environment() | (env or {})
        return subprocess.run(self.argv(*words), input=stdin, capture_output=True, timeout=60, env=environ)

    def lines(self, *words: str) -> list[str]:
        """What the command printed to stdout, when all is well."""
        done = self.run(*words)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().splitlines()

    def each(self, commands: Sequence[Sequence[str]]) -> list[str]:
        """What each of some commands printed to a pipe, when all is well; one process runs them."""
        program = argv_of(self.paths.config_dir, commands)
        done = subprocess.run(program, input=b"", capture_output=True, timeout=60, env=clean_environment())
        assert done.returncode == 0, done.stderr.decode()
        return parts_of(done.stdout.decode())

    def json(self, *words: str) -> Any:
        done = self.run(*words, "--json")
        assert done.returncode == 0, done.stderr.decode()
        return json.loads(done.stdout)


Stored = Callable[..., Place]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "instance")


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    """A function that gives a place with these messages in its store, for tests that only read.

    A module's tests with the same messages get the same place: to analyse a store takes longer than to ask it.
    """
    made: dict[str, Place] = {}

    def store(*messages: dict[str, Any]) -> Place:
        key = repr(messages)
        if key not in made:
            made[key] = Place(tmp_path_factory.mktemp("stored") / "instance")
            made[key].record(*messages)
        return made[key]

    return store


def http_flow(number: int = 0, /, **changes: Any) -> dict[str, Any]:
    """`flow_ended` of an HTTP flow. Keys of the message are taken as such, others replace parts of the flow."""
    started = START + number
    flow = {
        "id": str(uuid.uuid5(uuid.NAMESPACE_OID, str(number))),
        "type": "http",
        "source": "proxy",
        "run": None,
        "state": "complete",
        "opaque": False,
        "hint": None,
        "client_conn": {"id": "c", "peername": ["127.0.0.1", 40000]},
        "server_conn": {"id": "s", "address": ["api.anthropic.com", 443], "peername": ["192.0.2.1", 443]},
        "request": {
            "method": "POST",
            "scheme": "https",
            "host": "api.anthropic.com",
            "pretty_host": "api.anthropic.com",
            "port": 443,
            "path": f"/v1/messages/{number}",
            "http_version": "HTTP/1.1",
            "headers": [[b"Content-Type", b"application/json"], [b"User-Agent", b"claude-cli/2.1"]],
            "trailers": None,
        },
        "client_request": None,
        "response": {
            "http_version": "HTTP/1.1",
            "status_code": 200,
            "reason": "OK",
            "headers": [[b"Content-Type", b"application/json"]],
            "trailers": None,
        },
        "client_response": None,
        "error": None,
        "timing": {"started_at": started, "first_byte_at": started + 0.25, "ended_at": started + 1.5},
        "sizes": {"request": 0, "response": 0},
    }
    message: dict[str, Any] = {"kind": "flow_ended", "request_body": None, "response_body": None}
    for key, value in changes.items():
        if key.endswith("_body"):
            message[key] = value
        elif key in ("request", "response") and isinstance(value, dict):
            flow[key] = flow[key] | value  # type: ignore[operator]
        else:
            flow[key] = value
    return message | {"flow": flow}


def flow_id(number: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, str(number)))
