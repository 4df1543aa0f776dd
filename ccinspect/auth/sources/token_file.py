"""A JSON file with tokens that several programs read and renew: read whole, written whole, one at a time."""

from __future__ import annotations

import contextlib
import copy
import fcntl
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ccinspect.auth.credential import SourceFailed
from ccinspect.auth.sources.plain import at_keys, read_secret_file
from ccinspect.wire.jsonedit import rewrite
from ccinspect.wire.jsontext import parse
from ccinspect.wire.model import Json, JsonObject

Keys = tuple[str, ...]

_POLL_SECONDS = 0.05
# A number of seconds this large lies in the year 5138; one of milliseconds, in 1973.
_MILLISECONDS_FROM = 1e11


@dataclass(frozen=True, slots=True, repr=False)
class TokenFile:
    """What stood in the file when it was read."""

    path: Path
    """Behind all symbolic links: those stay."""
    content: bytes
    value: JsonObject

    @classmethod
    def read(cls, path: Path) -> TokenFile:
        """Raises SourceFailed."""
        real = Path(os.path.realpath(path))
        content = read_secret_file(real)
        value, problem = parse(content)
        if problem is not None or not isinstance(value, dict):
            raise SourceFailed(f"{path} is not a JSON object", "log in again with the program that made it")
        return cls(real, content, value)

    def text(self, keys: Keys | None) -> str | None:
        found = at_keys(self.value, keys) if keys else None
        return found if isinstance(found, str) and found else None

    def at(self, keys: Keys) -> Json:
        return at_keys(self.value, keys)

    def with_values(self, changes: Mapping[Keys, Json]) -> bytes:
        """The file's text with these values; all else keeps its bytes."""
        after: Json = copy.deepcopy(self.value)
        for keys, new in changes.items():
            block = after
            for key in keys[:-1]:
                inner = block.get(key)
                if not isinstance(inner, dict):
                    inner = block[key] = {}
                block = inner
            block[keys[-1]] = new
        return rewrite(self.content, self.value, after)


class Replacement:
    """A new file beside `path`, mode 0600, made before there is anything to lose: a full disk shows early."""

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        self._path = path
        descriptor, self._name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        self._file = os.fdopen(descriptor, "wb")

    def put(self, content: bytes) -> None:
        """Take the old file's place, at once and whole. Raises OSError."""
        self._file.write(content)
        self._file.flush()
        os.fsync(self._file.fileno())
        os.replace(self._name, self._path)

    def close(self) -> None:
        """Leave nothing behind; after `put` there is nothing."""
        with contextlib.suppress(OSError):
            self._file.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._name)


@contextlib.contextmanager
def locked(path: Path, timeout: float) -> Iterator[None]:
    """Hold the lock file of `path`, so that two processes do not spend the same refresh token.

    The lock file stays: one that is removed can be held twice. Raises SourceFailed.
    """
    name = path.with_name(f".{path.name}.ccinspect-lock")
    try:
        descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise SourceFailed(
            f"{path.parent} cannot be written: {error.strerror}", "new tokens have to be written back: make it writable"
        ) from error
    try:
        deadline = time.monotonic() + timeout
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise SourceFailed(
                        f"another process has held the lock of {path} for {timeout:g} s", "see what it waits for"
                    ) from None
            # In a thread of its own, and flock() knows no time limit.
            time.sleep(_POLL_SECONDS)
        yield
    finally:
        os.close(descriptor)


def read_time(value: Json) -> float | None:
    """Seconds since 1970 from seconds, milliseconds (also as text) or ISO 8601; None for anything else."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            try:
                moment = datetime.fromisoformat(value)
            except ValueError:
                return None
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < 1e15:
        return None
    return value / 1000 if value >= _MILLISECONDS_FROM else float(value)


def write_time(seconds: float, like: Json) -> Json:
    """`seconds` since 1970 in the spelling of the value that stood there; whole seconds where none did."""
    if isinstance(like, str):
        if like.strip().replace(".", "", 1).isdigit():
            return str(write_time(seconds, float(like)))
        text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds" if "." in like else "seconds")
        return text.replace("+00:00", "Z") if like.endswith("Z") else text
    if isinstance(like, int | float) and not isinstance(like, bool) and like >= _MILLISECONDS_FROM:
        return int(seconds * 1000)
    return int(seconds)
