"""Install, service, run, restart, uninstall, by a user who has nothing yet, with a systemd of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import unprivileged, user_systemd

ROOT = Path(__file__).parents[3]


def find_uv() -> str:
    command = ["sh", "-c", f'here="{ROOT}"; . "{ROOT}/scripts/find.sh"; find_uv']
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_fresh_user() -> None:
    user_systemd.require()
    account = unprivileged.user()
    unprivileged.allow_tun()
    directory = unprivileged.private_directory("ccinspect-fresh-")
    try:
        subprocess.run(
            [find_uv(), "build", "--quiet", "--wheel", "--out-dir", directory / "wheel", ROOT], check=True, timeout=120
        )
        (wheel,) = (directory / "wheel").glob("*.whl")
        shutil.copytree("/etc/skel", directory / "home")
        for path in [directory, *directory.rglob("*")]:
            os.chown(path, account.pw_uid, account.pw_gid)
        done = user_systemd.run_under_systemd(
            [ROOT / "tests/cli/fresh_user.sh", os.path.realpath(sys.executable), wheel],
            directory / "home",
            {name: value for name, value in os.environ.items() if name.startswith("PIP_")},
            user=f"{account.pw_uid}:{account.pw_gid}",
            needs=[directory],
            timeout=540,
        )
        print(done.stdout)
        assert "all is as it was" in done.stdout, done.stderr
        assert f"jailed as {account.pw_name}" in done.stdout
        assert "nowhere.invalid" in done.stdout
    finally:
        shutil.rmtree(directory)
