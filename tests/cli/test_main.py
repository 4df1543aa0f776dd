"""The frame around every command: its streams, its errors, its exit status."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from typer.models import CommandInfo

from ccinspect import __version__
from ccinspect.cli.app import build_app
from tests.cli.conftest import Place
from tests.support.daemon import clean_environment
from tests.support.unprivileged import private_directory, run_as_user


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_without_some_of_its_streams(place: Place, closed: str) -> None:
    for words in (["version"], ["flows", "list"], ["flows", "clear", "--all"], ["nonsense"]):
        done = subprocess.run(
            ["sh", "-c", f'"$@" {closed}', "sh", *place.argv(*words)],
            capture_output=True, timeout=60, env=clean_environment(),
        )  # fmt: skip
        assert done.returncode == (2 if words == ["nonsense"] else 0), done.stderr
        assert b"Traceback" not in done.stderr
        assert b"internal error" not in done.stderr


@pytest.mark.parametrize("words", [["version"], ["--version"]])
def test_version(place: Place, words: list[str]) -> None:
    assert place.lines(*words) == [f"ccinspect {__version__}"]


@pytest.mark.parametrize("group", [[], ["flows"], ["namespace"], ["runs"]])
def test_without_a_command_the_help_is_an_error(group: list[str]) -> None:
    argv = [sys.executable, "-P", "-m", "ccinspect", *group]
    done = subprocess.run(argv, capture_output=True, timeout=60, env=clean_environment())
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"Commands:" in done.stderr


@pytest.mark.parametrize("words", [["flows", "show"], ["flows", "list", "--host"], ["check"], ["cache"]])
def test_an_argument_that_is_no_text_is_named(place: Place, words: list[str]) -> None:
    done = place.run(*words, os.fsdecode(b"a\xffb"))
    assert done.returncode == 2
    assert done.stderr.startswith(rb"ccinspect: a\xffb is no UTF-8 text")


def test_each_command_is_registered_once() -> None:
    # typer lets the later one stand in for the earlier, in silence.
    groups = [build_app()]
    while groups:
        group = groups.pop()
        names = [name_of(command) for command in group.registered_commands]
        assert len(names) == len(set(names)), sorted(names)
        groups += [each.typer_instance for each in group.registered_groups if each.typer_instance is not None]


def name_of(command: CommandInfo) -> str:
    return command.name or str(getattr(command.callback, "__name__", ""))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["stat"], "did you mean 'start', 'status'"),
        (["status", "--jsn"], "no such option: --jsn"),
        (["flows", "show"], "missing argument 'ID'"),
        (["flows", "list", "--limit", "many"], "--limit"),
        (["--config", "", "status"], "--config needs the name of a directory"),
        (["flows", "show", "x", "--raw", "--json"], "exclude each other"),
    ],
)
def test_a_wrong_command_line_is_two_lines(place: Place, words: list[str], said: str) -> None:
    argv = [sys.executable, "-P", "-m", "ccinspect", *words]
    done = subprocess.run(argv, capture_output=True, timeout=60, env=clean_environment(), text=True)
    assert (done.returncode, done.stdout) == (2, "")
    message, hint = done.stderr.splitlines()
    assert message.startswith("ccinspect: ")
    assert said.lower() in message.lower()
    assert hint.startswith("  see: ccinspect")


def test_completion(place: Place) -> None:
    environ = {"_CCINSPECT_COMPLETE": "complete_bash", "COMP_WORDS": "ccinspect flows l", "COMP_CWORD": "2"}
    assert place.run(env=environ).stdout.decode().split() == ["list"]


@pytest.mark.parametrize("words", [["version"], ["status", "--json"], ["completion", "bash"]])
def test_what_cannot_be_printed_is_told(place: Place, words: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            place.argv(*words), stdout=full, stderr=subprocess.PIPE, timeout=60, env=clean_environment()
        )
    assert done.returncode == 1
    assert done.stderr.decode().splitlines()[0] == (
        "ccinspect: what was asked for cannot be written: No space left on device"
    )


@pytest.fixture
def closed_place() -> Iterator[Path]:
    """A configuration directory whose data are closed to `run_closed`'s user, as after a `sudo ccinspect`."""
    directory = private_directory("ccinspect-closed-") if os.geteuid() == 0 else Path(tempfile.mkdtemp())
    data = directory / "data"
    data.mkdir(mode=0o700 if os.geteuid() == 0 else 0)
    yield directory
    data.chmod(0o700)
    shutil.rmtree(directory)


@pytest.mark.parametrize("words", [["flows", "list"], ["report"], ["logs"], ["doctor"]])
def test_data_that_are_closed_to_this_user_are_no_fault_of_ours(closed_place: Path, words: list[str]) -> None:
    argv = [sys.executable, "-P", "-m", "ccinspect", "--config", str(closed_place), *words]
    environ = clean_environment() | {"HOME": str(closed_place), "XDG_RUNTIME_DIR": ""}
    run = run_as_user if os.geteuid() == 0 else partial(subprocess.run, capture_output=True, text=True)
    done = run(argv, env=environ)
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == 1
    assert "internal error" not in said
    assert f"{closed_place}/data/" in said.replace(" ", "")
    assert "is closed to you: Permission denied" in said
    assert "sudo chown" in said


def test_an_internal_error_is_no_traceback(place: Place) -> None:
    place.paths.config_dir.joinpath("data").write_text("a file where a directory should be")
    for words in (
        ["start"],
        ["start", "--detach"],
        ["run", "--", "true"],
        ["flows", "list"],
        ["flows", "clear", "--all"],
    ):
        done = place.run(*words)
        assert b"Traceback" not in done.stderr, words
        assert b"internal error" not in done.stderr, words
        assert done.returncode in (0, 1, 2)
