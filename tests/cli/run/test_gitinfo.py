"""Reading a checkout without git, judged by git itself."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ccinspect.cli.run.gitinfo import git_info

IDENTITY = {
    "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b",
    "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", "PATH": "/usr/local/bin:/usr/bin:/bin",
}  # fmt: skip


def git(directory: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=directory, env=IDENTITY, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    root = tmp_path / "checkout"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    git(root, "commit", "-q", "--allow-empty", "-m", "first")
    return root


def test_branch_and_commit_from_a_directory_below(checkout: Path) -> None:
    git(checkout, "switch", "-q", "-c", "feature/über")
    below = checkout / "a" / "b"
    below.mkdir(parents=True)
    commit = git(checkout, "rev-parse", "HEAD")
    assert git_info(below) == {"root": str(checkout), "branch": "feature/über", "commit": commit}


def test_packed_refs(checkout: Path) -> None:
    git(checkout, "pack-refs", "--all")
    assert not (checkout / ".git/refs/heads/main").exists()
    assert git_info(checkout) == {"root": str(checkout), "branch": "main", "commit": git(checkout, "rev-parse", "HEAD")}


def test_detached_head(checkout: Path) -> None:
    git(checkout, "switch", "-q", "--detach")
    assert git_info(checkout) == {"root": str(checkout), "branch": None, "commit": git(checkout, "rev-parse", "HEAD")}


def test_before_the_first_commit(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "trunk")
    assert git_info(tmp_path) == {"root": str(tmp_path), "branch": "trunk", "commit": None}


@pytest.mark.parametrize("packed", [False, True])
def test_a_worktree(checkout: Path, tmp_path: Path, packed: bool) -> None:
    other = tmp_path / "other"
    git(checkout, "worktree", "add", "-q", "-b", "side", str(other))
    git(other, "commit", "-q", "--allow-empty", "-m", "second")
    if packed:
        git(checkout, "pack-refs", "--all")
    assert git_info(other) == {"root": str(other), "branch": "side", "commit": git(other, "rev-parse", "HEAD")}


def test_no_checkout(tmp_path: Path) -> None:
    assert git_info(tmp_path) is None


@pytest.mark.parametrize("head", [b"", b"\xff\xfe", b"ref: ../../../etc/passwd", b"nonsense"])
def test_a_broken_head_is_no_reason_to_fail(checkout: Path, head: bytes) -> None:
    (checkout / ".git/HEAD").write_bytes(head)
    found = git_info(checkout)
    assert found is None or (found["branch"], found["commit"]) == (None, None)


def test_a_directory_that_is_gone(tmp_path: Path) -> None:
    assert git_info(tmp_path / "gone" / "deeper") is None
