"""The set-up's judgement of what it finds: broken shims, old tools, what is missing and who may install it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BROKEN_SHIM = "#!/bin/sh\necho 'pyenv: command not found' >&2\nexit 127\n"


def program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(script)
    path.chmod(0o755)
    return path


def uv_of_version(path: Path, version: str) -> Path:
    return program(path, f"#!/bin/sh\necho 'uv {version} (x86_64)'\n")


def python_of_version(path: Path, minor: int) -> Path:
    """Answers as a Python 3.MINOR would, by letting the real one claim it."""
    claim = f"import sys; sys.version_info = (3, {minor}, 0); sys.executable = {str(path)!r}; exec(sys.argv[1])"
    return program(path, f'#!/bin/sh\nexec {sys.executable} -c {claim!r} "$2"\n')


# The real one looks into /usr/sbin too, which a test cannot empty.
ONLY_ON_PATH = 'has() { PATH=$PATH command -v "$1" >/dev/null 2>&1; }'


class Shell:
    """Calls one function of the set-up's scripts on a machine that has only what the test puts there."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "bin"
        self.path.mkdir()
        self.pyenv = directory / "pyenv"
        self.home = directory / "home"
        for tool in ("sh", "sort", "sed", "cat", "env", "dirname", "true"):
            (self.path / tool).symlink_to(f"/usr/bin/{tool}")

    def call(self, function: str) -> subprocess.CompletedProcess[str]:
        script = f"set -eu; here={ROOT}; cd {ROOT}; . scripts/find.sh; . scripts/system.sh; {function}"
        environment = {"PATH": str(self.path), "PYENV_ROOT": str(self.pyenv), "HOME": str(self.home)}
        return subprocess.run(["/bin/sh", "-c", script], env=environment, capture_output=True, text=True)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def test_a_broken_shim_is_no_python(shell: Shell) -> None:
    program(shell.path / "python3.13", BROKEN_SHIM)
    program(shell.path / "python3", BROKEN_SHIM)
    real = python_of_version(shell.pyenv / "versions" / "3.12.1" / "bin" / "python3", 12)
    assert shell.call("find_python 12 14").stdout == f"{real}\n"


def test_an_old_python_on_path_does_not_hide_a_newer_one_of_pyenv(shell: Shell) -> None:
    python_of_version(shell.path / "python3", 11)
    python_of_version(shell.pyenv / "versions" / "3.9.18" / "bin" / "python3", 9)
    real = python_of_version(shell.pyenv / "versions" / "3.13.0" / "bin" / "python3", 13)
    assert shell.call("find_python 12 14").stdout == f"{real}\n"


def test_a_python_from_the_future_is_left_alone(shell: Shell) -> None:
    python_of_version(shell.path / "python3", 15)
    found = shell.call("find_python 12 14")
    assert (found.returncode, found.stdout) == (1, "")


def test_uv_is_found_behind_a_broken_shim_and_an_old_one(shell: Shell) -> None:
    program(shell.path / "uv", BROKEN_SHIM)
    uv_of_version(shell.home / ".cargo" / "bin" / "uv", "0.2.9")
    real = uv_of_version(shell.pyenv / "versions" / "3.11.7" / "bin" / "uv", "0.13.8")
    # This checkout may have a uv of its own, which comes first.
    own = ROOT / ".tools" / "uv" / "bin" / "uv"
    assert shell.call("find_uv").stdout.strip() in (str(real), str(own))


@pytest.mark.parametrize(
    ("version", "usable"), [("0.4.27", False), ("0.5.0", True), ("0.13.8", True), ("1.0.0", True), ("nonsense", False)]
)
def test_which_uv_is_new_enough(shell: Shell, version: str, usable: bool) -> None:
    found = uv_of_version(shell.path / "some-uv", version)
    assert (shell.call(f"uv_is_usable {found}").returncode == 0) is usable


def test_what_is_missing_is_named_by_package(shell: Shell, tmp_path: Path) -> None:
    (shell.path / "slirp4netns").symlink_to("/usr/bin/true")
    told = shell.call(f"{ONLY_ON_PATH}; missing_packages run")
    assert told.stdout.split() == ["wireguard-tools", "wireguard-go", "iproute2"]


@pytest.mark.parametrize(
    ("purpose", "wanted", "unwanted"),
    [
        ("run", "slirp4netns", "curl"),
        ("test", "curl", "chromium"),
        ("long", "chromium", "qemu-system-x86"),
        ("vm", "qemu-system-x86", "chromium"),
    ],
)
def test_each_purpose_has_packages_of_its_own(shell: Shell, purpose: str, wanted: str, unwanted: str) -> None:
    told = shell.call(f"{ONLY_ON_PATH}; missing_packages {purpose}").stdout.split()
    assert wanted in told
    assert unwanted not in told


def test_nobody_but_root_installs_without_a_password(shell: Shell) -> None:
    program(shell.path / "id", "#!/bin/sh\necho 1000\n")
    program(shell.path / "apt-get", "#!/bin/sh\necho called >&2\n")
    program(shell.path / "sudo", "#!/bin/sh\necho 'a password is required' >&2\nexit 1\n")
    refused = shell.call(f"{ONLY_ON_PATH}; install_packages one two")
    assert refused.returncode == 1
    assert "called" not in refused.stderr


def test_the_set_up_has_nothing_to_do_and_nothing_to_say_the_second_time() -> None:
    """In this checkout, which the tests run from."""
    script = ROOT / "scripts" / "setup.sh"
    environment = dict(os.environ)
    subprocess.run([script], check=True, capture_output=True, env=environment)
    second = subprocess.run([script], check=True, capture_output=True, text=True, env=environment)
    said = [line for line in second.stderr.splitlines() if "missing" not in line and "to install" not in line]
    assert (second.stdout, said) == ("", [])


def test_the_systems_certificates_are_trusted_unless_told_otherwise(shell: Shell) -> None:
    # A company's own authority is there, and uv and npm look elsewhere if not told.
    system = "/etc/ssl/certs/ca-certificates.crt"
    tell = 'echo "$SSL_CERT_FILE $PIP_CERT $NODE_EXTRA_CA_CERTS"'
    assert shell.call(f"trust_system_roots; {tell}").stdout.split() == [system] * 3
    assert shell.call(f"SSL_CERT_FILE=/a PIP_CERT=/b; trust_system_roots; {tell}").stdout.split() == [
        "/a",
        "/b",
        system,
    ]
