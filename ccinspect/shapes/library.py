"""Where shapes are kept: one YAML file each in the configuration directory, over those that come with ccinspect."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ccinspect.errors import CcinspectError, ShapeError
from ccinspect.paths import make_private_dir
from ccinspect.shapes.settings import NAME_PATTERN
from ccinspect.shapes.shape import MAX_SHAPE, Shape, parse_shape, shape_text

PACKAGED = Path(__file__).parent / "packaged"
_SUFFIX = ".yaml"
_NAME = re.compile(NAME_PATTERN)
_MAX_NAME = 64

Origin = Literal["own", "packaged"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One shape of the library; `shape` is None when its file cannot be read, and `problem` says why."""

    name: str
    origin: Origin
    path: Path
    shape: Shape | None
    problem: str = ""


class Library:
    """The shapes of one instance. Own ones hide packaged ones of the same name."""

    def __init__(self, directory: Path, packaged: Path = PACKAGED) -> None:
        """`directory`: `shapes/` in the configuration directory; there need not be one."""
        self.directory = directory
        self._packaged = packaged
        self._read: dict[Path, tuple[tuple[int, int, int], Shape]] = {}

    def entries(self) -> list[Entry]:
        """All shapes by name, also those that cannot be read."""
        found: dict[str, Entry] = {}
        for origin, directory in self._places():
            for path in sorted(directory.glob(f"*{_SUFFIX}")):
                name = path.name.removesuffix(_SUFFIX)
                if _NAME.fullmatch(name):
                    found.setdefault(name, self._entry(name, origin, path))
        return [found[name] for name in sorted(found)]

    def load(self, name: str) -> Shape:
        """The shape of this name; read again only when its file has changed. Raises ShapeError."""
        check_name(name)
        for _, directory in self._places():
            path = directory / f"{name}{_SUFFIX}"
            if os.path.lexists(path):
                return self._shape(name, path)
        known = ", ".join(entry.name for entry in self.entries())
        raise ShapeError(
            f"there is no shape {name!r}", f"there are: {known}" if known else "ccinspect shapes save NAME"
        )

    def origin(self, name: str) -> Origin | None:
        """Which of the two it is that `load` reads; None when there is none."""
        check_name(name)
        return next((origin for origin, place in self._places() if os.path.lexists(place / f"{name}{_SUFFIX}")), None)

    def packaged(self, name: str) -> Shape:
        """The packaged one, also where an own one hides it. Raises ShapeError."""
        check_name(name)
        path = self._packaged / f"{name}{_SUFFIX}"
        if not path.exists():
            raise ShapeError(f"no shape {name!r} comes with ccinspect", "see `ccinspect shapes list`")
        return self._shape(name, path)

    def save(self, shape: Shape, *, replace: bool = False) -> Path:
        """Write an own shape (0600), all of it or nothing; returns its file. Raises ShapeError."""
        check_name(shape.name)
        path = self.directory / f"{shape.name}{_SUFFIX}"
        if os.path.lexists(path) and not replace:
            raise ShapeError(
                f"there is a shape {shape.name!r} already: nothing was saved", "choose another name, or add --replace"
            )
        data = shape_text(shape).encode("utf-8")
        # What cannot be read back is not worth having.
        if len(data) > MAX_SHAPE or parse_shape(data, str(path)) != shape:
            raise ShapeError(
                f"the shape {shape.name!r} cannot be written as YAML: nothing was saved", "drop large parts"
            )
        try:
            make_private_dir(self.directory)
            _write(path, data)
        except OSError as error:
            raise ShapeError(
                f"{path} cannot be written: {error.strerror}", "make the directory writable for you"
            ) from error
        return path

    def remove(self, name: str) -> Path:
        """Delete an own shape; returns the file it was. Raises ShapeError."""
        check_name(name)
        path = self.directory / f"{name}{_SUFFIX}"
        try:
            path.unlink()
        except FileNotFoundError:
            self.load(name)
            raise ShapeError(
                f"the shape {name!r} comes with ccinspect: it cannot be removed", "an own shape of this name hides it"
            ) from None
        except OSError as error:
            raise ShapeError(
                f"{path} cannot be removed: {error.strerror}", "make the directory writable for you"
            ) from error
        return path

    def _places(self) -> Iterator[tuple[Origin, Path]]:
        yield "own", self.directory
        yield "packaged", self._packaged

    def _entry(self, name: str, origin: Origin, path: Path) -> Entry:
        try:
            return Entry(name, origin, path, self._shape(name, path))
        except CcinspectError as error:
            return Entry(name, origin, path, None, error.message)

    def _shape(self, name: str, path: Path) -> Shape:
        try:
            with path.open("rb") as file:
                info = os.fstat(file.fileno())
                stamp = (info.st_mtime_ns, info.st_size, info.st_ino)
                known = self._read.get(path)
                if known and known[0] == stamp:
                    return known[1]
                data = file.read(MAX_SHAPE + 1)
        except OSError as error:
            raise ShapeError(f"{path} cannot be read: {error.strerror}", "make it readable, or remove it") from error
        shape = parse_shape(data, str(path))
        if shape.name != name:
            raise ShapeError(
                f"{path} holds a shape called {shape.name!r}: a file is named like its shape",
                f"write `name: {name}` in it",
            )
        self._read[path] = (stamp, shape)
        return shape


def check_name(name: str) -> None:
    """Raises ShapeError for what cannot be the name of a shape."""
    if len(name) > _MAX_NAME or not _NAME.fullmatch(name):
        raise ShapeError(
            f"{name[:80]!r} cannot be the name of a shape",
            f"letters, digits, `-`, `_` and dots between them, at most {_MAX_NAME}",
        )


def _write(path: Path, data: bytes) -> None:
    """Into a file beside it that then takes its place; mkstemp makes it 0600."""
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
