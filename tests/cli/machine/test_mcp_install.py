from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from ccinspect.setup import jsonc
from tests.cli.conftest import Place

JSON_FILES = {
    "claude": (".claude.json", "mcpServers"),
    "gemini": (".gemini/settings.json", "mcpServers"),
    "opencode": (".config/opencode/opencode.json", "mcp"),
    "cursor": (".cursor/mcp.json", "mcpServers"),
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = tmp_path / "home"
    made.mkdir()
    return made


def run(place: Place, home: Path, *words: str) -> tuple[int, str, str]:
    done = place.run("mcp", "install", *words, env={"HOME": str(home), "XDG_CONFIG_HOME": "", "CODEX_HOME": ""})
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.mark.parametrize("client", JSON_FILES)
def test_an_entry_is_written_beside_others_and_taken_out_again(place: Place, home: Path, client: str) -> None:
    name, key = JSON_FILES[client]
    path = home / name
    path.parent.mkdir(parents=True, exist_ok=True)
    before = f'''{{
    // the file of somebody
    "theme": "dark ☀ é", "{key}": {{"other": {{"command": "x"}}}},
}}'''
    path.write_text(before)
    path.chmod(0o640)

    code, shown, _ = run(place, home, client)
    assert code == 0
    assert path.read_text() == before
    code, _, _ = run(place, home, client, "--write")
    assert code == 0
    written = jsonc.parse(path.read_text()).value
    assert written["theme"] == "dark ☀ é"
    assert written[key]["other"] == {"command": "x"}
    assert written[key]["ccinspect"] == json.loads(shown)[key]["ccinspect"]
    assert path.stat().st_mode & 0o777 == 0o640
    assert "is as it should be" in run(place, home, client, "--write")[2]
    assert "taken out of" in run(place, home, client, "--remove")[2]
    assert path.read_text() == before
    assert "nothing that we wrote" in run(place, home, client, "--remove")[2]


def test_codex_is_told_in_toml(place: Place, home: Path) -> None:
    path = home / ".codex/config.toml"
    path.parent.mkdir()
    before = '# mine\nmodel = "x"\n\n[mcp_servers.other]\ncommand = "y"\n'
    path.write_text(before)
    for _ in range(2):
        assert run(place, home, "codex", "--write")[0] == 0
    servers = tomllib.loads(path.read_text())["mcp_servers"]
    assert servers["other"] == {"command": "y"}
    assert servers["ccinspect"]["args"][-1] == "mcp"
    assert path.read_text().startswith(before)
    assert run(place, home, "codex", "--remove")[0] == 0
    assert path.read_text() == before


def test_what_setup_wrote_into_the_same_file_stays(place: Place, home: Path) -> None:
    path = home / ".codex/config.toml"
    path.parent.mkdir()
    before = 'model = "x"\n\n[mcp_servers.other]\ncommand = "y"\n'
    path.write_text(before)
    known = {"HOME": str(home), "CODEX_HOME": ""}

    def setup(option: str) -> None:
        done = place.run("setup", "codex", option, env=known)
        assert done.returncode == 0, done.stderr

    setup("--write")
    by_setup = path.read_text()
    assert run(place, home, "codex", "--write")[0] == 0
    both = tomllib.loads(path.read_text())
    assert both["openai_base_url"]
    assert list(both["mcp_servers"]) == ["other", "ccinspect"]
    assert run(place, home, "codex", "--remove")[0] == 0
    assert path.read_text() == by_setup
    assert run(place, home, "codex", "--write")[0] == 0
    setup("--undo")
    assert list(tomllib.loads(path.read_text())) == ["model", "mcp_servers"]
    assert run(place, home, "codex", "--remove")[0] == 0
    assert path.read_text() == before


@pytest.mark.parametrize(
    ("client", "name", "text"),
    [
        ("claude", ".claude.json", "{ # a comment\n}"),
        ("claude", ".claude.json", "[]"),
        ("claude", ".claude.json", '{"mcpServers": []}'),
        ("codex", ".codex/config.toml", "not toml"),
        ("codex", ".codex/config.toml", '[mcp_servers.ccinspect]\ncommand = "mine"\n'),
    ],
)
def test_a_file_that_is_not_understood_is_left_alone(
    place: Place, home: Path, client: str, name: str, text: str
) -> None:
    path = home / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    code, _, said = run(place, home, client, "--write")
    assert code == 1
    assert "was left as it is" in said
    assert path.read_text() == text


def test_a_new_file_is_for_its_user_alone(place: Place, home: Path) -> None:
    assert run(place, home, "cursor", "--write")[0] == 0
    path = home / ".cursor/mcp.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert str(place.paths.config_dir) in path.read_text()
