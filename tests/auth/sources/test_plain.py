"""Credentials in files, variables and the system's keyring."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ccinspect.auth.credential import SourceFailed
from ccinspect.auth.sources import make_source
from tests.auth.support import auth_of


def value_of(environ: dict[str, str] | None = None, **settings: object) -> str:
    return asyncio.run(make_source(auth_of(**settings), environ or {}).fetch(None)).value


def failure_of(environ: dict[str, str] | None = None, **settings: object) -> SourceFailed:
    with pytest.raises(SourceFailed) as raised:
        value_of(environ, **settings)
    return raised.value


def test_a_file_is_read_each_time(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("  first\n")
    assert value_of(file=path) == "first"
    path.write_text("second")
    assert value_of(file=path) == "second"


def test_a_value_inside_of_a_json_file(tmp_path: Path) -> None:
    path = tmp_path / "auth.json"
    path.write_text('{"https://api.example.com": {"token": "tok"}, "n": 1}')
    assert value_of(file=path, field=["https://api.example.com", "token"]) == "tok"
    for field in ("n", "none.token", "n.token"):
        assert "has no text at" in failure_of(file=path, field=field).reason


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: None, "No such file"),
        (lambda path: path.mkdir(), "not a regular file"),
        (os.mkfifo, "not a regular file"),
        (lambda path: path.write_bytes(b"\xff\xfe"), "not UTF-8"),
        (lambda path: path.write_bytes(b"x" * (1 << 20) + b"x"), "larger than 1 MiB"),
    ],
)
def test_a_file_that_cannot_be_read(tmp_path: Path, make: object, says: str) -> None:
    path = tmp_path / "key"
    make(path)  # type: ignore[operator]
    failure = failure_of(file=path)
    assert says in failure.reason
    assert failure.hint


def test_a_variable() -> None:
    assert value_of({"WORK_KEY": " key\n"}, env="WORK_KEY") == "key"
    assert "has no WORK_KEY" in failure_of({}, env="WORK_KEY").reason


def keyring_script(tmp_path: Path, lines: str) -> str:
    """Run in a process of its own, for the keyring chooses its backend once."""
    (tmp_path / "shelf.py").write_text(
        "from keyring.backend import KeyringBackend\n"
        "class Shelf(KeyringBackend):\n"
        "    priority = 1\n"
        "    def get_password(self, service, username):\n"
        f"        {lines}\n"
        "    def set_password(self, service, username, password):\n"
        "        raise NotImplementedError\n"
    )
    code = (
        "import asyncio\n"
        "from ccinspect.auth.credential import SourceFailed\n"
        "from ccinspect.auth.sources import make_source\n"
        "from tests.auth.support import auth\n"
        "try: print(asyncio.run(make_source(auth('{keyring: work/me}'), {}).fetch(None)).value)\n"
        "except SourceFailed as failure: print(failure.reason, '|', failure.hint)\n"
    )
    root = Path(__file__).parents[3]
    environ = dict(os.environ, PYTHON_KEYRING_BACKEND="shelf.Shelf", PYTHONPATH=f"{tmp_path}:{root}")
    done = subprocess.run([sys.executable, "-P", "-c", code], env=environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_keyring(tmp_path: Path) -> None:
    assert keyring_script(tmp_path, "return {('work', 'me'): 'key'}.get((service, username))") == "key"
    assert "nothing for work, user me" in keyring_script(tmp_path, "return None")
    said = keyring_script(tmp_path, "raise RuntimeError('the secret is hunter22')")
    assert said.startswith("the system's keyring failed (RuntimeError)")
    assert "hunter22" not in said


@pytest.mark.parametrize(
    ("module", "settings"),
    [("keyring", "{keyring: a/b}"), ("google.auth", "{gcp: }"), ("botocore", "{aws: }")],
)
def test_a_library_that_is_missing_is_named(module: str, settings: str) -> None:
    code = (
        f"import asyncio, sys\nsys.modules[{module!r}] = None\n"
        "from ccinspect.auth.credential import SourceFailed\n"
        "from ccinspect.auth.sources import make_source\n"
        "from tests.auth.support import auth\n"
        f"try: asyncio.run(make_source(auth({settings!r}), {{}}).fetch(None))\n"
        "except SourceFailed as failure: print(failure.reason)\n"
    )
    root = str(Path(__file__).parents[3])
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env=dict(os.environ, PYTHONPATH=root),
        capture_output=True,
        text=True,
        timeout=60,
    )
    package = module.replace(".", "-")
    assert done.stdout.strip() == f"the Python package `{package}` is not installed beside ccinspect", done.stderr
