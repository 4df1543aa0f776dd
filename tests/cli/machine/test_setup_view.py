from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Place


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = tmp_path / "home"
    made.mkdir()
    return made


def run(place: Place, home: Path, *words: str) -> tuple[int, str, str]:
    environ = {"HOME": str(home), "XDG_CONFIG_HOME": "", "CODEX_HOME": "", "CLAUDE_CONFIG_DIR": ""}
    done = place.run("setup", *words, env=environ)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_what_is_shown_is_what_is_written(place: Place, home: Path) -> None:
    _, shown, _ = run(place, home, "codex", "--json")
    assert "no certificate authority of ours yet" in json.loads(shown)["modes"]["proxy"]["why_not"]
    (file,) = json.loads(shown)["modes"]["base-url"]["files"]
    assert (file["file"], file["format"]) == (str(home / ".codex/config.toml"), "toml")
    assert file["add"].splitlines()[1] == 'openai_base_url = "http://127.0.0.1:4000/v1"'
    code, _, said = run(place, home, "codex", "--write")
    assert code == 0
    assert (home / ".codex/config.toml").read_text() == file["add"]
    assert "the daemon does not run; without it Codex reaches nothing" in said
    _, undone, _ = run(place, home, "codex", "--undo", "--json")
    assert json.loads(undone)["files"] == [{"file": file["file"], "changed": True}]
    assert list(home.iterdir()) == []
    assert "nothing of ours is in the files of Codex" in run(place, home, "codex", "--undo")[2]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["claude", "--write", "--undo"], 2, "do not go together"),
        (["claude", "--base-url", "--proxy"], 2, "do not go together"),
        (["copilot", "--base-url", "--write"], 1, "cannot be seen by base URL"),
        (["claude", "--proxy"], 1, "no certificate authority of ours yet"),
        (["nobody"], 2, "nobody"),
    ],
)
def test_what_cannot_be_done_is_said(place: Place, home: Path, words: list[str], code: int, said: str) -> None:
    result = run(place, home, *words)
    assert result[0] == code
    assert said in result[2]
    assert list(home.iterdir()) == []


def test_ports_that_are_left_open_cannot_be_told_before_the_daemon_runs(place: Place, home: Path) -> None:
    place.paths.config_file.write_text("inspector: {reverse_port: 0}\n")
    code, _, said = run(place, home, "claude", "--write")
    assert code == 1
    assert "the settings leave the ports open" in said


def test_the_token_of_open_listeners_is_part_of_their_address(place: Place, home: Path) -> None:
    settings = "inspector: {host: 0.0.0.0}\nproxy: {token: twelve-and-more, allow_other_machines: true}\n"
    place.paths.config_file.write_text(settings)
    _, shown, _ = run(place, home, "codex", "--base-url", "--json")
    (file,) = json.loads(shown)["modes"]["base-url"]["files"]
    assert 'openai_base_url = "http://127.0.0.1:4000/t/twelve-and-more/v1"' in file["add"]
