"""ccinspect sends nothing anywhere by itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.daemon.quiet_scenario import ROUTER
from tests.support.daemon import clean_environment
from tests.support.namespaces import unshared
from tests.support.unprivileged import ROOT


@pytest.mark.jail
def test_nothing_leaves_the_machine_unasked(tmp_path: Path) -> None:
    # Names would be asked for through the cable, too.
    (tmp_path / "resolv.conf").write_text(f"nameserver {ROUTER}\n")
    script = 'mount --bind "$0/resolv.conf" /etc/resolv.conf && exec "$@"'
    program = [sys.executable, "-m", "tests.daemon.quiet_scenario", tmp_path]
    command = unshared(["--net", "--mount"], ["sh", "-c", script, tmp_path, *program])
    done = subprocess.run(command, cwd=ROOT, env=clean_environment(), capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["heard"], "the cable was not listened to"
    assert told["sent"] == []
