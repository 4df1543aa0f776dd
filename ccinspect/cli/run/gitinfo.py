"""The git checkout a directory lies in, read from its files: spawning `git` costs more than a run may spend on it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_MAX_PACKED_REFS = 16 * 1024 * 1024


def git_info(directory: Path) -> dict[str, str | None] | None:
    """`{root, branch, commit}` of the checkout around `directory`; None outside one or when it cannot be read.

    `branch` is None on a detached HEAD, `commit` is None before the first commit. Understands worktrees and
    submodules, where `.git` is a file (gitrepository-layout(5)).
    """
    try:
        for root in (directory, *directory.parents):
            git_dir = _git_dir(root)
            if git_dir is not None:
                branch, commit = _head(git_dir)
                return {"root": str(root), "branch": branch, "commit": commit}
    except (OSError, UnicodeDecodeError):
        pass
    return None


def _git_dir(root: Path) -> Path | None:
    marker = root / ".git"
    if marker.is_dir():
        return marker if (marker / "HEAD").is_file() else None
    if marker.is_file():
        text = _read(marker)
        if text.startswith("gitdir: "):
            return root / text.removeprefix("gitdir: ")
    return None


def _head(git_dir: Path) -> tuple[str | None, str | None]:
    """Branch and commit that HEAD names."""
    head = _read(git_dir / "HEAD")
    if not head.startswith("ref: "):
        return None, head if _COMMIT.fullmatch(head) else None
    ref = head.removeprefix("ref: ").strip()
    # With the reftable format HEAD holds this placeholder and the truth lies in a binary file.
    if ref == "refs/heads/.invalid" or ".." in ref:
        return None, None
    common = git_dir / _read(git_dir / "commondir") if (git_dir / "commondir").is_file() else git_dir
    commit = next(_commits_of(ref, git_dir, common), None)
    return ref.removeprefix("refs/heads/"), commit


def _commits_of(ref: str, git_dir: Path, common: Path) -> Iterator[str]:
    for place in (git_dir / ref, common / ref):
        if place.is_file():
            value = _read(place)
            if _COMMIT.fullmatch(value):
                yield value
    packed = common / "packed-refs"
    if packed.is_file() and packed.stat().st_size <= _MAX_PACKED_REFS:
        found = re.search(rf"^({_COMMIT.pattern}) {re.escape(ref)}$", packed.read_text("utf-8"), re.MULTILINE)
        if found:
            yield found[1]


def _read(path: Path) -> str:
    with path.open("rb") as stream:
        return stream.read(4096).decode("utf-8").strip()
