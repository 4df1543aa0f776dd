"""Where files live, and directories for secrets: closed to others, and nobody else's."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from ccinspect.errors import ConfigError
from ccinspect.paths import make_private_dir, resolve_paths


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_new_directory_is_for_its_owner_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        made = make_private_dir(tmp_path / "above" / "ours")
    finally:
        os.umask(before)
    assert mode(made) == 0o700


@pytest.mark.parametrize("wide", [0o755, 0o770, 0o701])
def test_one_that_others_can_enter_is_closed(tmp_path: Path, wide: int) -> None:
    tmp_path.chmod(wide)
    assert mode(make_private_dir(tmp_path)) == 0o700


def test_one_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """In /tmp anybody may have made it first."""
    squatted = tmp_path / "squatted"
    squatted.mkdir()
    if os.geteuid() == 0:
        os.chown(squatted, 65534, 65534)
    else:
        squatted = Path("/tmp")
    with pytest.raises(ConfigError, match="not a directory of yours") as caught:
        make_private_dir(squatted)
    assert "remove it" in caught.value.hint


@pytest.mark.parametrize("kind", ["link", "dangling link", "file"])
def test_what_is_no_directory_is_refused(tmp_path: Path, kind: str) -> None:
    path, elsewhere = tmp_path / "it", tmp_path / "elsewhere"
    if kind == "file":
        path.touch()
    else:
        path.symlink_to(elsewhere)
    if kind == "link":
        elsewhere.mkdir(mode=0o755)
    with pytest.raises(ConfigError):
        make_private_dir(path)
    if kind == "link":
        assert mode(elsewhere) == 0o755


def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"a\xffb")
    with pytest.raises(ConfigError, match="no UTF-8 text"):
        make_private_dir(odd)
    assert not odd.exists()


def test_a_file_in_the_place_of_the_directory_is_told(tmp_path: Path) -> None:
    file = tmp_path / "ccinspect.yaml"
    file.write_text("store: {}\n")
    with pytest.raises(ConfigError) as refused:
        resolve_paths(file, {})
    assert (refused.value.message, refused.value.hint) == (
        f"--config names a directory, and {file} is a file",
        f"name {tmp_path}",
    )
    with pytest.raises(ConfigError, match="CCINSPECT_CONFIG_DIR names a directory"):
        resolve_paths(None, {"CCINSPECT_CONFIG_DIR": str(file)})


@pytest.mark.parametrize("environ", [{}, {"HOME": ""}])
def test_without_a_home_in_the_environment_it_is_the_accounts(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "")
    assert resolve_paths(None, environ).data_dir == Path(pwd.getpwuid(os.getuid()).pw_dir, ".local/share/ccinspect")
