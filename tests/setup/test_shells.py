from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ccinspect.setup import fences, shells
from ccinspect.setup.shells import SHELLS, Shell
from tests.support.daemon import Daemon, clean_environment

START_FILES: dict[Shell, str] = {"bash": ".bashrc", "zsh": ".zshrc", "fish": ".config/fish/conf.d/ccinspect.fish"}
OURS = str(Path(sys.executable).parent)
AGENT = """#!/bin/sh
printf '%s|' "${CCINSPECT_RUN_ID:+in a run}" "$@"
exit 7
"""


class Home:
    """A user who has an agent called `claude` and a shell."""

    def __init__(self, directory: Path, daemon: Daemon) -> None:
        self.directory = directory
        self._daemon = daemon
        self.programs = directory / "bin"
        self.programs.mkdir()
        agent = self.programs / "claude"
        agent.write_text(AGENT)
        agent.chmod(0o755)

    @property
    def environment(self) -> dict[str, str]:
        homes = {"HOME": str(self.directory), "XDG_CONFIG_HOME": "", "ZDOTDIR": str(self.directory), "TERM": "dumb"}
        path = f"{self.programs}:{OURS}:/usr/local/bin:/usr/bin:/bin"
        return clean_environment() | self._daemon.environment() | homes | {"PATH": path}

    def ours(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self._daemon.run(*words, env=self.environment, cwd=self.directory)

    def types(self, shell: Shell, line: str, *, path: str | None = None, **more: str) -> tuple[str, int]:
        """What an interactive shell prints for a line, and its exit status."""
        environ = self.environment | ({"PATH": path} if path else {}) | more
        flags = ["-i"] if shell == "fish" else ["-i", "-u"]
        done = subprocess.run(
            [shell, *flags, "-c", line], env=environ, capture_output=True, text=True, timeout=60, cwd=self.directory
        )
        assert "ccinspect:" not in done.stderr, done.stderr
        return done.stdout, done.returncode


@pytest.fixture
def home(tmp_path: Path, daemon: Daemon) -> Home:
    return Home(tmp_path, daemon)


@pytest.mark.parametrize("shell", SHELLS)
def test_an_agent_that_is_typed_runs_in_a_run(home: Home, shell: Shell) -> None:
    start = home.directory / START_FILES[shell]
    before = "# mine\nalias claude='claude --mine'" if shell != "fish" else "# mine"
    start.parent.mkdir(parents=True, exist_ok=True)
    start.write_text(before)
    for _ in range(2):
        assert home.ours("install", "--shell", shell, "--mode", "base-url").returncode == 0
    assert start.read_text().count(fences.BEGIN) == 1
    mine = "" if shell == "fish" else "--mine|"
    assert home.types(shell, "claude 'a b' -p") == (f"in a run|{mine}a b|-p|", 7)
    assert home.types(shell, "command claude x") == ("|x|", 7)
    assert home.types(shell, "claude x", CCINSPECT_RUN_ID="r") == (f"in a run|{mine}x|", 7)
    assert home.types(shell, "gemini x")[1] == 127
    # Without us the shell and its agents work as ever.
    assert home.types(shell, "claude x", path=f"{home.programs}:/usr/bin:/bin") == (f"|{mine}x|", 7)
    assert home.ours("install", "--shell", shell, "--undo").returncode == 0
    assert start.read_text() == before
    assert home.types(shell, "claude x") == (f"|{mine}x|", 7)


@pytest.mark.parametrize("shell", SHELLS)
def test_what_the_line_reads_may_be_gone(home: Home, shell: Shell) -> None:
    start = home.directory / START_FILES[shell]
    start.parent.mkdir(parents=True, exist_ok=True)
    line = shells.load_line(shell, home.directory / "it's gone")
    start.write_text(line + "\n")
    assert home.types(shell, "claude x") == ("|x|", 7)


@pytest.mark.parametrize("shell", SHELLS)
def test_the_environment_is_set_for_a_shell(home: Home, shell: Shell, daemon: Daemon) -> None:
    words = ["ccinspect", "--config", f"'{daemon.paths.config_dir}'", "env"]
    get = " ".join([*words, "--shell", shell])
    line = f"{get} | source" if shell == "fish" else f'eval "$({get})"'
    out, code = home.types(shell, f'{line}; printf %s "$OPENAI_BASE_URL $ANTHROPIC_BASE_URL"')
    url = f"http://127.0.0.1:{daemon.ports['reverse']}"
    assert (out, code) == (f"{url}/v1 {url}", 0)


def test_a_run_says_that_the_agent_was_set_up_for_another_way(home: Home) -> None:
    assert home.ours("setup", "claude", "--write").returncode == 0
    done = home.ours("run", "--", "claude", "x")
    assert (done.stdout, done.returncode) == ("in a run|x|", 7)
    assert "claude was set up to reach the daemon by itself" in done.stderr
    assert home.ours("setup", "claude", "--undo").returncode == 0
    assert home.ours("run", "--", "claude", "x").stderr == ""


@pytest.mark.parametrize("mode", ["--proxy", pytest.param("--inspect", marks=pytest.mark.jail)])
def test_a_run_has_a_way_of_its_own_whatever_env_has_set(home: Home, daemon: Daemon, mode: str) -> None:
    ours = f"http://127.0.0.1:{daemon.ports['reverse']}"
    environ = {"ANTHROPIC_BASE_URL": ours, "OPENAI_BASE_URL": f"{ours}/v1", "OLLAMA_HOST": "http://gpu:11434"}
    done = daemon.run("run", mode, "--", "env", env=environ)
    assert done.returncode == 0, done.stderr
    assert ours not in done.stdout
    assert "OLLAMA_HOST=http://gpu:11434" in done.stdout


def test_damaged_markers_are_left_alone(home: Home) -> None:
    start = home.directory / ".bashrc"
    start.write_text(f"a=1\n{fences.BEGIN}\n")
    for words in (["install", "--shell", "bash"], ["install", "--shell", "bash", "--undo"]):
        done = home.ours(*words)
        assert done.returncode == 1
        assert "are no pairs any more" in done.stderr
    assert start.read_text() == f"a=1\n{fences.BEGIN}\n"


def test_a_base_url_of_the_users_own_stays(home: Home, daemon: Daemon) -> None:
    gateway = {"ANTHROPIC_BASE_URL": "https://gateway.example", "OPENAI_BASE_URL": "https://api.openai.com/v1"}
    done = daemon.run("env", "--json", env=gateway)
    assert '"kept": [\n    "ANTHROPIC_BASE_URL"\n  ]' in done.stdout
    assert f"http://127.0.0.1:{daemon.ports['reverse']}/v1" in done.stdout


def test_an_env_file_gets_the_variables_and_gives_them_up(home: Home) -> None:
    path = home.directory / ".env"
    before = "SECRET='x y'\nOTHER=1"
    path.write_text(before)
    path.chmod(0o640)
    for _ in range(2):
        assert home.ours("env", "--proxy", "-o", ".env").returncode == 0
    lines = path.read_text().splitlines()
    assert lines[:2] == before.splitlines()
    assert sum(line.startswith("HTTPS_PROXY=") for line in lines) == 1
    assert path.stat().st_mode & 0o777 == 0o640
    assert home.ours("env", "-o", ".env", "--undo").returncode == 0
    assert path.read_text() == before


@pytest.mark.parametrize("name", ["", "-x", "a b", "a;b", "$(x)", "a\nb"])
def test_a_name_that_is_no_command_gets_no_function(name: str) -> None:
    for shell in SHELLS:
        with pytest.raises(ValueError, match="is no name of a command"):
            shells.init_text(shell, ["ccinspect", "run"], [name])
