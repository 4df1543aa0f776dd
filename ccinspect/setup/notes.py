"""What we have put into which file, kept so that it can be taken out again byte for byte.

A note holds what was inserted and where, and a fingerprint of the whole, never what else stands in the file: that may
be secret.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ccinspect.errors import SetupError
from ccinspect.paths import make_private_dir
from ccinspect.setup.edits import Insert
from ccinspect.setup.files import replace


@dataclass
class Note:
    """One file. `members` are the settings that each agent wants there, as pairs of a path of keys and a value."""

    path: str
    form: str
    members: dict[str, list[tuple[tuple[str, ...], Any]]] = field(default_factory=dict)
    existed: bool = True
    inserts: list[Insert] = field(default_factory=list)
    made: list[tuple[str, ...]] = field(default_factory=list)
    directories: list[str] = field(default_factory=list)
    digest: str = ""

    def settings(self) -> dict[tuple[str, ...], Any]:
        """What all members want together; lists are joined."""
        together: dict[tuple[str, ...], Any] = {}
        for pairs in self.members.values():
            for path, value in pairs:
                if self.form == "reverse-targets":
                    value = [*together.get(path, ()), *value]
                together[path] = value
        return together


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class Notes:
    """The notes of one instance, a file each in `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def all(self) -> list[Note]:
        """Every note. Raises SetupError when one cannot be read."""
        if not self._directory.is_dir():
            return []
        return [_load(path) for path in sorted(self._directory.glob("*.json"))]

    def of(self, path: Path) -> Note | None:
        found = self._file(path)
        return _load(found) if found.exists() else None

    def save(self, note: Note) -> None:
        """Raises SetupError, ConfigError."""
        make_private_dir(self._directory)
        replace(self._file(Path(note.path)), json.dumps(asdict(note), indent=1) + "\n")

    def forget(self, path: Path) -> None:
        self._file(path).unlink(missing_ok=True)

    def _file(self, path: Path) -> Path:
        return self._directory / f"{hashlib.sha256(str(path).encode()).hexdigest()[:16]}.json"


def _load(path: Path) -> Note:
    try:
        raw = json.loads(path.read_text())
        return Note(
            path=raw["path"],
            form=raw["form"],
            members={name: [(tuple(keys), value) for keys, value in pairs] for name, pairs in raw["members"].items()},
            existed=raw["existed"],
            inserts=[Insert(*insert) for insert in raw["inserts"]],
            made=[tuple(keys) for keys in raw["made"]],
            directories=raw["directories"],
            digest=raw["digest"],
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SetupError(
            f"{path}, our note of what was changed, cannot be read: {error}", "remove it, and undo that change by hand"
        ) from error
