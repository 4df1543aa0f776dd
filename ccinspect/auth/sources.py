"""Getting a credential from where it is kept. All of it blocks, but for commands: call it in a thread."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ccinspect.auth.oauth2 import OAuth2Error, access_token
from ccinspect.auth.settings import CommandSource, EnvSource, FileSource, GcpSource, KeyringSource, OAuth2Source, Source

Found = tuple[str, float | None]
"""(credential, seconds that it is good for, where the source says so)"""

_MAX_OUTPUT = 1 << 16


class SourceError(Exception):
    """What went wrong, and what to do about it; never with the credential in it."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


async def fetch(source: Source, environ: Mapping[str, str], *, force: bool) -> Found:
    """Get the credential. `force`: the last one was refused. Raises SourceError, and TimeoutError after its time."""
    async with asyncio.timeout(source.timeout):
        if isinstance(source, CommandSource):
            return await _command(source), None
        return await asyncio.to_thread(_blocking, source, environ, force)


def _blocking(source: Source, environ: Mapping[str, str], force: bool) -> Found:
    match source:
        case FileSource():
            return _file(source.file.expanduser()), None
        case EnvSource():
            return _env(source.env, environ), None
        case KeyringSource():
            return _keyring(source.keyring), None
        case OAuth2Source():
            try:
                return access_token(source, force=force)
            except OAuth2Error as error:
                raise SourceError(str(error), "log in again with the program that made the file") from error
        case GcpSource():
            return _gcp(source), None
    raise AssertionError(source)


async def _command(source: CommandSource) -> str:
    process = await asyncio.create_subprocess_shell(
        source.command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        said, complained = await process.communicate()
    except BaseException:
        # Its children too: a shell's pipeline would go on without it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        raise
    if process.returncode:
        last = complained.decode("utf-8", "replace").strip().rpartition("\n")[2][:200]
        raise SourceError(
            f"its command ended with {process.returncode}{': ' + last if last else ''}", "run it by hand to see why"
        )
    return _clean(said[:_MAX_OUTPUT], "its command printed", "run it by hand: it must print the credential and no more")


def _file(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}", "make it readable for the daemon") from error
    return _clean(data[:_MAX_OUTPUT], f"{path} holds", "write the credential into it")


def _env(name: str, environ: Mapping[str, str]) -> str:
    hint = "set it where the daemon is started, and start the daemon again"
    if name not in environ:
        raise SourceError(f"the daemon's environment has no {name}", hint)
    return _clean(environ[name].encode(), f"{name} holds", hint)


def _keyring(entry: str) -> str:
    service, _, user = entry.partition("/")
    keyring = _library("keyring", "keyring")
    try:
        found = keyring.get_password(service, user)
    except Exception as error:
        raise SourceError(f"the keyring cannot be asked: {type(error).__name__}", "unlock it") from error
    if not found:
        raise SourceError(f"the keyring has nothing for {entry}", f"run: keyring set {service} {user}")
    return _clean(str(found).encode(), "the keyring holds", "set it again")


def _gcp(source: GcpSource) -> str:
    auth = _library("google.auth", "google-auth")
    requests = _library("google.auth.transport.requests", "google-auth[requests]")
    scopes = ["https://www.googleapis.com/auth/cloud-platform"]
    try:
        if source.gcp == "default":
            credentials, _ = auth.default(scopes=scopes)
        else:
            credentials, _ = auth.load_credentials_from_file(str(source.gcp), scopes=scopes)
        credentials.refresh(requests.Request())
    except Exception as error:
        message = f"Google's credentials cannot be had: {type(error).__name__}"
        raise SourceError(message, "run: gcloud auth application-default login") from error
    return str(credentials.token)


def _library(module: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise SourceError(
            f"the package {package} is not installed", f"install it beside ccinspect: uv pip install '{package}'"
        ) from error


def _clean(data: bytes, what: str, hint: str) -> str:
    """The credential, which must fit into a header."""
    text = data.decode("utf-8", "replace").strip()
    if not text:
        raise SourceError(f"{what} nothing", hint)
    if not text.isascii() or not text.isprintable():
        raise SourceError(f"{what} something that is no credential (several lines, or odd characters)", hint)
    return text
