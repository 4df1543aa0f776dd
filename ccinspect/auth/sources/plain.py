"""Credentials that only have to be read: from a file, the environment, the system's keyring."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from ccinspect.auth.apart import run_apart
from ccinspect.auth.credential import Fetched, SourceFailed
from ccinspect.auth.settings import FileAuth, KeyringAuth
from ccinspect.auth.sources.optional import library
from ccinspect.wire.jsontext import parse
from ccinspect.wire.model import Json

MAX_BYTES = 1 << 20


class FileSource:
    def __init__(self, settings: FileAuth) -> None:
        self._path = settings.file.expanduser()
        self._field = settings.field

    async def fetch(self, refused: str | None) -> Fetched:
        return await run_apart(self._read)

    def _read(self) -> Fetched:
        content = read_secret_file(self._path)
        if self._field is None:
            try:
                return Fetched(content.decode().strip())
            except UnicodeDecodeError as error:
                raise SourceFailed(f"{self._path} is not UTF-8 text", "name a text file") from error
        value = at_keys(parse(content)[0], self._field)
        if not isinstance(value, str):
            raise SourceFailed(
                f"{self._path} has no text at `{'.'.join(self._field)}`", "log in again, or mend `field`"
            )
        return Fetched(value.strip())


class EnvSource:
    def __init__(self, name: str, environ: Mapping[str, str]) -> None:
        self._name = name
        self._environ = environ

    async def fetch(self, refused: str | None) -> Fetched:
        value = self._environ.get(self._name)
        if value is None:
            raise SourceFailed(
                f"the daemon's environment has no {self._name}",
                "set it where the daemon is started, then: ccinspect restart",
            )
        return Fetched(value.strip())


class KeyringSource:
    def __init__(self, settings: KeyringAuth) -> None:
        self._service = settings.service
        self._user = settings.user

    async def fetch(self, refused: str | None) -> Fetched:
        return await run_apart(self._read)

    def _read(self) -> Fetched:
        keyring = library("keyring", "keyring")
        try:
            value = keyring.get_password(self._service, self._user)
        except Exception as error:
            # Backends raise what they like; the text may be anything, the name of the class is safe to show.
            raise SourceFailed(
                f"the system's keyring failed ({type(error).__name__})", "unlock it, and see `keyring diagnose`"
            ) from error
        if not isinstance(value, str):
            raise SourceFailed(
                f"the system's keyring has nothing for {self._service}, user {self._user}",
                f"store it: keyring set {self._service} {self._user}",
            )
        return Fetched(value.strip())


def read_secret_file(path: Path) -> bytes:
    """The content of a regular file. Raises SourceFailed."""
    try:
        # A pipe would keep us waiting for whoever writes to it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise SourceFailed(f"{path} is not a regular file", "name a file, or use `command: cat ...`")
        with os.fdopen(descriptor, "rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SourceFailed(f"{path} cannot be read: {error.strerror}", "make it readable for the daemon") from error
    if len(content) > MAX_BYTES:
        raise SourceFailed(f"{path} is larger than 1 MiB", "name the file that holds only the credential")
    return content


def at_keys(value: Json, keys: tuple[str, ...]) -> Json:
    """What stands at these keys, one below the other; None for nothing."""
    for key in keys:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value
