"""`ccinspect uninstall` leaves a home as it was before we came."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
import yaml
from mitmproxy.certs import CertStore

from ccinspect.cli.app import run_app
from ccinspect.cli.instance import Instance
from ccinspect.cli.machine import uninstall
from ccinspect.errors import SetupError
from ccinspect.paths import resolve_paths
from ccinspect.setup import applying, authority
from ccinspect.setup.notes import Note, Notes
from ccinspect.setup.system_store import LAYOUTS, SystemStore
from tests.setup.test_authority import fake_root
from tests.support.daemon import clean_environment


class Home:
    """A home of a user's own, with agents' files in it, and the default instance; commands run in this process."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.directory = directory
        self._capsys = capsys
        runtime = directory.parent / "run"
        runtime.mkdir(mode=0o700)
        for name, text in (
            (".claude/settings.json", '{\n  // mine\n  "model": "opus"\n}\n'),
            (".codex/config.toml", 'model = "o9"\n'),
            (".bashrc", "alias ll='ls -l'\n"),
            (".config/other/file", "x"),
        ):
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        for name in os.environ.keys() - clean_environment().keys():
            monkeypatch.delenv(name)
        for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "CODEX_HOME", "CLAUDE_CONFIG_DIR"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HOME", str(directory))
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))

    def run(self, *words: str, status: int = 0) -> str:
        assert run_app(words) == status, "".join(self._capsys.readouterr())
        return "".join(self._capsys.readouterr())

    def files(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.directory.parent)): path.read_bytes() if path.is_file() else b""
            for path in self.directory.parent.rglob("*")
            if path.is_file() or path.is_socket()
        }


def test_a_home_is_what_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(tmp_path / "home", monkeypatch, capsys)
    before = home.files()
    settings = home.directory / ".config" / "ccinspect" / "ccinspect.yaml"
    settings.parent.mkdir()
    settings.write_text(yaml.safe_dump({"inspector": {"reverse_port": 0, "proxy_port": 0, "web_port": 0}}))
    home.run("start", "--detach")
    try:
        home.run("setup", "claude", "--base-url", "--write")
        home.run("install", "--shell", "bash")
        home.run("mcp", "install", "codex", "--write")
        ours = home.files()
        listed = home.run("uninstall", "--purge", "--dry-run")
        for words in ("stop the daemon", ".claude/settings.json", ".bashrc", ".codex/config.toml", "ccinspect: all"):
            assert words in listed, listed
        assert set(ours) == set(home.files()), "it was only shown"
        monkeypatch.setattr("sys.stdin", io.StringIO())
        assert "--yes" in home.run("uninstall", "--purge", status=1)
        assert "is kept in" in home.run("uninstall", "--yes")
        changed = {name: text for name, text in home.files().items() if before.get(name) != text}
        assert changed
        assert all("/ccinspect/" in name for name in changed), sorted(changed)
        home.run("uninstall", "--purge", "--yes")
        assert home.files() == before
        assert list((tmp_path / "run").iterdir()) == []
        assert "nothing of ours" in home.run("uninstall", "--purge", "--yes")
    finally:
        home.run("stop")


def test_a_directory_that_was_named_by_hand_keeps_what_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    (tmp_path / "ccinspect.yaml").write_text("")
    elsewhere = tmp_path.parent / f"{tmp_path.name}-disk"
    elsewhere.mkdir()
    (elsewhere / "store").mkdir()
    # As somebody does who keeps captures on another disk.
    (tmp_path / "data").symlink_to(elsewhere)
    paths = resolve_paths(tmp_path, {"XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path)})
    for step in uninstall._own(paths):
        step.act()
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    assert not elsewhere.exists()


def test_where_something_cannot_be_undone_nothing_is_purged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "CCINSPECT_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)
    data = tmp_path / ".local" / "share" / "ccinspect"
    data.mkdir(parents=True)
    Notes(data / "setup").save(Note(str(tmp_path / "settings.json"), "json", {"gemini": []}))

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, os.strerror(13))

    monkeypatch.setattr(applying, "undo", refuse)
    assert uninstall.uninstall(Instance(), purge=True, yes=True, dry_run=False) == 1
    assert data.exists()
    said = capsys.readouterr().err
    assert "nothing was purged" in said
    assert "Permission denied" in said


def test_our_authority_leaves_the_machines_trust_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed(SystemStore):
        """As root's is to anybody else."""

        def writable(self) -> bool:
            return False

    monkeypatch.setenv("HOME", str(tmp_path))
    instance = Instance(tmp_path / "instance")
    instance.paths.ca_dir.mkdir(parents=True)
    CertStore.from_store(instance.paths.ca_dir, "mitmproxy", 2048)
    ours = authority.load(instance.paths.ca_cert)
    store = SystemStore.find(fake_root(tmp_path / "root", LAYOUTS[0]))
    closed = Closed(store.layout, store.root)
    monkeypatch.setattr(uninstall.SystemStore, "find", lambda: closed)
    assert list(uninstall._trust(instance)) == []
    store.install(ours)
    (step,) = uninstall._trust(instance)
    with pytest.raises(SetupError) as caught:
        step.act()
    assert f"sudo rm {store.file(ours)}" in caught.value.hint
    assert store.trusts(ours)
    monkeypatch.setattr(uninstall.SystemStore, "find", lambda: store)
    (step,) = uninstall._trust(instance)
    step.act()
    assert not store.trusts(ours)
    assert list(uninstall._trust(instance)) == []
