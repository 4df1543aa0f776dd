"""LangChain's own tests find its clients right through a daemon, whatever the dialect of the upstream."""

from __future__ import annotations

import fcntl
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ccinspect.demo.provider import Provider
from tests.support.daemon import Daemon, clean_environment
from tests.transform.sdk_matrix import settings

SOURCE = Path(__file__).parent / "langchain"
_SECONDS = 600
# Two of the suite's tests come twice.
_PAIRS, _TESTS = 25, 21

_INSTALL = """
set -e
uv=$(find_uv) || exit 1
"$uv" venv --quiet --allow-existing --python "$3" "$2"
"$uv" pip install --quiet --python "$2/bin/python" -r "$1/tests/transform/langchain/requirements.txt"
"""

pytestmark = [pytest.mark.long, pytest.mark.timeout(2 * _SECONDS)]


def installed() -> Path:
    """The Python of an environment with LangChain; its packages want other versions of the SDKs than our tests."""
    checkout = Path(__file__).resolve().parents[2]
    home = checkout / ".tools" / "langchain"
    home.mkdir(parents=True, exist_ok=True)
    # Not within: uv locks environments by a `.lock` of its own.
    with home.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted, stamp = (SOURCE / "requirements.txt").read_text(), home / ".installed"
        python = home / "bin" / "python"
        if not stamp.exists() or stamp.read_text() != wanted:
            _run(["sh", "-c", f'here=$1; . "$1/scripts/find.sh"; {_INSTALL}', "sh", checkout, home, sys.executable])
            stamp.write_text(wanted)
    return python


def _run(command: list[str | Path]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS)
    assert done.returncode == 0, done.stderr


def test_langchain_finds_its_clients_right(tmp_path: Path, provider: Provider) -> None:
    python = installed()
    daemon = Daemon(tmp_path / "instance", settings(provider, tmp_path))
    daemon.start()
    try:
        environment = clean_environment() | {"CCINSPECT_JUDGED": f"http://127.0.0.1:{daemon.ports['reverse']}"}
        environment.pop("PYTHONPATH", None)
        ours = ("-c", str(SOURCE / "pytest.ini"), "--noconftest", "-p", "no:cacheprovider")
        done = subprocess.run(
            [python, "-m", "pytest", "-q", "--tb=short", *ours, SOURCE / "suite.py"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
        )
    finally:
        daemon.stop()
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    found = {what: int(count) for count, what in re.findall(r"(\d+) (passed|skipped)", done.stdout)}
    # Where Ollama is one of the two, no tool can be forced.
    forced = 9
    assert found == {"passed": _PAIRS * _TESTS - forced, "skipped": forced}, done.stdout[-6000:]
