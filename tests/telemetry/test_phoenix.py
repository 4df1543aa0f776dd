"""A real backend: Arize Phoenix, as it comes from its package registry, shows our trace in its API."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import clean_environment
from tests.support.ports import free_port
from tests.support.venvs import SECONDS, python_with
from tests.support.waiting import wait_until
from tests.telemetry.conftest import MODEL, Exporting
from tests.telemetry.test_daemon import LOOP

pytestmark = [pytest.mark.long, pytest.mark.timeout(2 * SECONDS)]

REQUIREMENTS = Path(__file__).parent / "phoenix" / "requirements.txt"
START_SECONDS = 180.0


class Phoenix:
    def __init__(self, python: Path, home: Path) -> None:
        self.port, self.grpc_port = free_port(), free_port()
        settings = {
            "PHOENIX_WORKING_DIR": str(home),
            "PHOENIX_HOST": "127.0.0.1",
            "PHOENIX_PORT": str(self.port),
            "PHOENIX_GRPC_PORT": str(self.grpc_port),
            "PHOENIX_TELEMETRY_ENABLED": "false",
            "HOME": str(home),
        }
        self.log = home / "log"
        with self.log.open("w") as log:
            self._process = subprocess.Popen(
                [python.with_name("phoenix"), "serve"], env=clean_environment() | settings, stdout=log, stderr=log
            )

    def wait(self) -> None:
        self.until("/healthz", lambda answer: True, START_SECONDS)

    def until(self, path: str, holds: Any, seconds: float = 60.0) -> Any:
        """What its API answers, once `holds` is true of it."""
        text, found = b"", None

        def answered() -> bool:
            nonlocal text, found
            assert self._process.poll() is None, self.log.read_text()[-3000:]
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
                    text = answer.read()
            except OSError:
                return False
            found = json.loads(text) if text.startswith(b"{") else None
            return bool(text and holds(found))

        in_time = wait_until(answered, seconds, pause=0.2)
        assert in_time, f"{path}: {text[:3000]!r}\n{self.log.read_text()[-3000:]}"
        return found

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(30)


@pytest.fixture(scope="module")
def phoenix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Phoenix]:
    running = Phoenix(python_with("phoenix", REQUIREMENTS), tmp_path_factory.mktemp("phoenix"))
    try:
        running.wait()
        yield running
    finally:
        running.stop()


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_it_shows_the_trace_of_a_tool_loop(exporting: Exporting, phoenix: Phoenix, protocol: str) -> None:
    port = phoenix.grpc_port if protocol == "grpc" else phoenix.port
    exporting.use(endpoint=f"http://127.0.0.1:{port}", protocol=protocol, capture_content="full")
    done = exporting.daemon.run("run", "-i", "--name", f"over {protocol}", "--", sys.executable, "-c", LOOP)
    assert done.returncode == 0, done.stderr

    def mine(answer: Any) -> list[dict[str, Any]]:
        of_run = [one for one in answer["data"] if one["attributes"].get("ccinspect.run.name") == f"over {protocol}"]
        return sorted(of_run, key=lambda one: str(one["start_time"]))

    answer = phoenix.until("/v1/projects/default/spans?limit=100", lambda answer: len(mine(answer)) >= 5)
    spans = {one["name"]: one for one in mine(answer)}
    assert [one["name"] for one in mine(answer)].count(f"chat {MODEL}") == 2
    run, tool = spans[f"invoke_workflow over {protocol}"], spans["execute_tool clock"]
    calls = [one for one in mine(answer) if one["name"] == f"chat {MODEL}"]
    assert run["parent_id"] is None
    assert {one["context"]["trace_id"] for one in mine(answer)} == {run["context"]["trace_id"]}
    assert tool["parent_id"] == calls[0]["context"]["span_id"]
    [conversation] = [one for one in mine(answer) if one["parent_id"] == run["context"]["span_id"]]
    assert {call["parent_id"] for call in calls} == {conversation["context"]["span_id"]}
    about = calls[0]["attributes"]
    assert about["gen_ai.usage.input_tokens"] > 0
    assert "Use the tool clock" in about["gen_ai.input.messages"]
    assert exporting.status()["failing"] is False
