"""LangChain's own tests find its clients right through a daemon, whatever the dialect of the upstream."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from ccinspect.demo.provider import Provider
from tests.support.daemon import Daemon, clean_environment, started
from tests.support.venvs import SECONDS, python_with
from tests.transform.sdk_matrix import settings

SOURCE = Path(__file__).parent / "langchain"
# Two of the suite's tests come twice.
_PAIRS, _TESTS = 25, 21

pytestmark = [pytest.mark.long, pytest.mark.timeout(2 * SECONDS)]


def test_langchain_finds_its_clients_right(tmp_path: Path, provider: Provider) -> None:
    # Its packages want other versions of the SDKs than our tests.
    python = python_with("langchain", SOURCE / "requirements.txt")
    with started(Daemon(tmp_path / "instance", settings(provider, tmp_path))) as daemon:
        environment = clean_environment() | {"CCINSPECT_JUDGED": f"http://127.0.0.1:{daemon.ports['reverse']}"}
        environment.pop("PYTHONPATH", None)
        ours = ("-c", str(SOURCE / "pytest.ini"), "--noconftest", "-p", "no:cacheprovider")
        done = subprocess.run(
            [python, "-m", "pytest", "-q", "--tb=short", *ours, SOURCE / "suite.py"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    found = {what: int(count) for count, what in re.findall(r"(\d+) (passed|skipped)", done.stdout)}
    # Where Ollama is one of the two, no tool can be forced.
    forced = 9
    assert found == {"passed": _PAIRS * _TESTS - forced, "skipped": forced}, done.stdout[-6000:]
