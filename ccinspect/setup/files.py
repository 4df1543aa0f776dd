"""Reading and replacing the files of other programs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from ccinspect.errors import SetupError


def read(path: Path) -> str | None:
    """The text of a file, line ends as they are; None when there is none. Raises SetupError."""
    if path.exists() and not path.is_file():
        raise SetupError(f"{path} was left as it is: it is no plain file", "name a file")
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return file.read()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise SetupError(f"{path} was left as it is: it is no UTF-8 text", "make the change by hand") from error
    except OSError as error:
        raise SetupError(f"{path} cannot be read: {error.strerror}", "make it readable for you") from error


def replace(path: Path, text: str) -> list[Path]:
    """Write a file whole or not at all, with the mode it had, 0600 for a new one. A symbolic link stays one.

    Returns the directories that had to be made, outermost first. Raises SetupError.
    """
    target = Path(os.path.realpath(path))
    try:
        made = _make_directories(target.parent)
        mode = target.stat().st_mode & 0o7777 if target.exists() else 0o600
        fresh = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
            _keep_owner(target, fresh)
            fresh.chmod(mode)
            fresh.replace(target)
        finally:
            fresh.unlink(missing_ok=True)
    except OSError as error:
        raise SetupError(
            f"{path} cannot be written: {error.strerror}; it is as it was",
            "make it and its directory writable for you; what another tool manages (Nix, chezmoi) is changed there",
        ) from error
    return made


def delete(path: Path) -> None:
    """Remove a file; a symbolic link to it stays. Raises SetupError."""
    try:
        Path(os.path.realpath(path)).unlink(missing_ok=True)
    except OSError as error:
        raise SetupError(f"{path} cannot be removed: {error.strerror}", "make its directory writable") from error


def remove_empty(directories: Sequence[Path]) -> None:
    """Remove those directories, outermost first in the list, that have nothing in them."""
    for directory in reversed(directories):
        # What is not empty, or not ours to remove, stays.
        with contextlib.suppress(OSError):
            directory.rmdir()


def _make_directories(directory: Path) -> list[Path]:
    missing = [each for each in (directory, *directory.parents) if not each.exists()]
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return missing[::-1]


def _keep_owner(target: Path, fresh: Path) -> None:
    """Root changing a user's file must leave it that user's."""
    if os.geteuid() == 0:
        like = target if target.exists() else target.parent
        info = like.stat()
        os.chown(fresh, info.st_uid, info.st_gid)
