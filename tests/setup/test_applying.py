from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ccinspect.config import load_config
from ccinspect.errors import CcinspectError, SetupError
from ccinspect.setup import applying, fences
from ccinspect.setup.agents import ENTRIES, FileNeed
from ccinspect.setup.applying import Step
from ccinspect.setup.notes import Notes
from ccinspect.setup.places import Places
from ccinspect.setup.variables import MODES, Listeners, Mode

LISTENERS = Listeners(4000, 4080, Path("/ca.pem"), Path("/bundle.pem"))


class Home:
    """A user's home, with what agents and we keep in it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir()
        self.notes = Notes(directory / "notes")
        self.places = Places.find(
            {"HOME": str(directory)}, directory / "project", directory / "ours" / "ccinspect.yaml"
        )

    def needs(self, name: str, mode: Mode, port: int = 4000) -> tuple[FileNeed, ...]:
        listeners = Listeners(port, 4080, LISTENERS.ca_cert, LISTENERS.bundle)
        return ENTRIES[name].need(mode, listeners, self.places).files

    def write(self, name: str, mode: Mode = "base-url", port: int = 4000) -> list[Step]:
        return applying.write(name, self.needs(name, mode, port), self.notes, undo_hint="")

    def undo(self, name: str) -> list[Step]:
        candidates = [need for mode in MODES for need in self.needs(name, mode)]
        return applying.undo(name, candidates, self.notes)

    def content(self) -> dict[str, bytes]:
        """Every file but our notes, and every directory."""
        paths = [path for path in self.directory.rglob("*") if not path.is_relative_to(self.directory / "notes")]
        return {str(path): path.read_bytes() if path.is_file() else b"" for path in paths}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


WRITABLE = [
    (name, mode)
    for name, entry in ENTRIES.items()
    for mode in MODES
    if entry.need(mode, LISTENERS, Places.find({"HOME": "/h"}, Path("/h/p"), Path("/h/c"))).files
]


@pytest.mark.parametrize(("name", "mode"), WRITABLE)
def test_what_is_written_twice_is_written_once_and_undone_whole(home: Home, name: str, mode: Mode) -> None:
    before = home.content()
    assert all(step.changes for step in home.write(name, mode))
    after = home.content()
    assert not any(step.changes for step in home.write(name, mode))
    assert home.content() == after != before
    home.undo(name)
    assert home.content() == before
    assert home.undo(name) == []
    assert home.notes.all() == []


@pytest.mark.parametrize(("name", "mode"), WRITABLE)
def test_files_that_were_there_get_their_bytes_back(home: Home, name: str, mode: Mode) -> None:
    texts = {"json": '{"mine": 1, // é\n}', "toml": "[t]\r\nx = 1", "dotenv": "X=1", "yaml": "y: 1"}
    texts["reverse-targets"] = "inspector: # mine\n  web_port: 1"
    for need in home.needs(name, mode):
        need.path.parent.mkdir(parents=True, exist_ok=True)
        need.path.write_bytes(texts[need.form].encode())
        need.path.chmod(0o640)
    before = home.content()
    home.write(name, mode)
    assert home.content() != before
    assert {need.path.stat().st_mode & 0o777 for need in home.needs(name, mode)} == {0o640}
    home.undo(name)
    assert home.content() == before


def test_a_new_port_takes_the_place_of_the_old_one(home: Home) -> None:
    before = home.content()
    home.write("claude")
    home.write("claude", port=4001)
    settings = home.directory / ".claude/settings.json"
    assert json.loads(settings.read_text()) == {"env": {"ANTHROPIC_BASE_URL": "http://127.0.0.1:4001"}}
    home.undo("claude")
    assert home.content() == before


def test_another_mode_takes_the_place_of_the_first(home: Home) -> None:
    home.write("codex")
    home.write("codex", "proxy")
    assert not (home.directory / ".codex/config.toml").exists()
    assert "HTTPS_PROXY" in (home.directory / ".codex/.env").read_text()


def test_what_the_agent_wrote_in_the_meantime_stays(home: Home) -> None:
    settings = home.directory / ".claude/settings.json"
    home.write("claude")
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"theme": "dark"}))
    home.undo("claude")
    assert json.loads(settings.read_text()) == {"theme": "dark"}


def test_a_file_of_two_programs_keeps_what_the_other_needs(home: Home) -> None:
    path = home.places.our_settings
    before = home.content()
    for name in ("ollama", "vllm"):
        home.write(name)
    home.undo("ollama")
    assert "127.0.0.1:8000" in path.read_text()
    assert "11434" not in path.read_text()
    home.undo("vllm")
    assert home.content() == before


def test_a_file_that_is_gone_is_not_made_anew_by_undoing(home: Home) -> None:
    home.write("aider")
    path = home.directory / ".aider.conf.yml"
    path.unlink()
    home.undo("aider")
    assert not path.exists()
    assert home.notes.all() == []


def test_lines_of_ours_are_found_without_our_note(home: Home) -> None:
    path = home.directory / ".codex/config.toml"
    path.parent.mkdir()
    path.write_text("a = 1\n")
    home.write("codex")
    for note in (home.directory / "notes").iterdir():
        note.unlink()
    home.undo("codex")
    assert path.read_text() == "a = 1\n"


def test_what_the_user_has_set_to_the_same_is_not_taken_out(home: Home) -> None:
    path = home.directory / ".claude/settings.json"
    path.parent.mkdir()
    path.write_text('{"env": {"ANTHROPIC_BASE_URL": "http://127.0.0.1:4000"}}')
    before = home.content()
    assert not any(step.changes for step in home.write("claude"))
    assert home.undo("claude") == []
    assert home.content() == before


@pytest.mark.parametrize(
    ("name", "file", "text"),
    [
        ("claude", ".claude/settings.json", '{"env": {"ANTHROPIC_BASE_URL": "https://gateway.example"}}'),
        ("claude", ".claude/settings.json", "not json"),
        ("codex", ".codex/config.toml", "not toml"),
        ("codex", ".codex/config.toml", 'openai_base_url = "https://gateway.example/v1"\n'),
        ("aider", ".aider.conf.yml", f"{fences.BEGIN}\nset-env:\n"),
        ("gemini", ".gemini/settings.json", '{"security": {"auth": {"selectedType": "oauth-personal"}}}'),
    ],
)
def test_what_cannot_be_changed_is_left_alone(home: Home, name: str, file: str, text: str) -> None:
    path = home.directory / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    before = home.content()
    with pytest.raises(SetupError, match="was left as it is"):
        home.write(name)
    assert home.content() == before


def test_a_link_into_somebodys_dotfiles_stays_a_link(home: Home) -> None:
    real = home.directory / "dotfiles.toml"
    real.write_text("a = 1\n")
    link = home.directory / ".codex/config.toml"
    link.parent.mkdir()
    link.symlink_to(real)
    home.write("codex")
    assert link.is_symlink()
    assert fences.BEGIN in real.read_text()
    home.undo("codex")
    assert real.read_text() == "a = 1\n"
    assert link.is_symlink()


def test_notes_hold_nothing_of_what_else_is_in_a_file(home: Home) -> None:
    path = home.directory / ".claude/settings.json"
    path.parent.mkdir()
    path.write_text('{"env": {"ANTHROPIC_API_KEY": "sk-ant-secret"}}')
    home.write("claude")
    notes = list((home.directory / "notes").iterdir())
    assert len(notes) == 1
    assert "sk-ant-secret" not in notes[0].read_text()
    assert notes[0].stat().st_mode & 0o777 == 0o600


def test_a_link_to_what_is_not_there_stays_a_link(home: Home) -> None:
    link = home.directory / ".codex/config.toml"
    link.parent.mkdir()
    link.symlink_to(home.directory / "dotfiles.toml")
    before = sorted(home.content())
    home.write("codex")
    assert (home.directory / "dotfiles.toml").is_file()
    home.undo("codex")
    assert link.is_symlink()
    assert sorted(home.content()) == before


def test_what_cannot_be_noted_is_not_written(home: Home) -> None:
    (home.directory / "notes").write_text("no directory")
    before = home.content()
    with pytest.raises(CcinspectError):
        home.write("claude")
    assert home.content() == before


@pytest.mark.parametrize("kind", ["directory", "pipe", "bytes", "loop"])
def test_what_is_no_text_file_is_left_alone(home: Home, kind: str) -> None:
    path = home.directory / ".codex/config.toml"
    path.parent.mkdir()
    if kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "bytes":
        path.write_bytes(b"\xff\xfe")
    else:
        path.symlink_to(path)
    before = sorted(home.content())
    with pytest.raises(SetupError):
        home.write("codex")
    assert sorted(home.content()) == before


def test_our_own_settings_are_valid_afterwards(home: Home) -> None:
    home.write("ollama")
    home.write("vllm")
    targets = load_config(home.places.our_settings).inspector.reverse_targets
    assert [(target.port, target.upstream) for target in targets] == [
        (4012, "http://127.0.0.1:11434"),
        (4013, "http://127.0.0.1:8000"),
    ]


def test_a_secret_goes_into_no_file_that_others_can_read(home: Home) -> None:
    path = home.directory / ".claude/settings.json"
    path.parent.mkdir()
    path.write_text("{}")
    path.chmod(0o644)
    listeners = Listeners(4000, 4080, Path("/ca.pem"), token="a/b c")
    needs = ENTRIES["claude"].need("base-url", listeners, home.places).files
    with pytest.raises(SetupError, match="other users can read it"):
        applying.write("claude", needs, home.notes, undo_hint="", secret=True)
    path.chmod(0o600)
    applying.write("claude", needs, home.notes, undo_hint="", secret=True)
    assert json.loads(path.read_text())["env"]["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:4000/t/a%2Fb%20c"
