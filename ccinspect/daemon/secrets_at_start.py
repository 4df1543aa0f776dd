"""The password of mitmweb: the user's own, or a token that is made once and kept."""

from __future__ import annotations

import os
import secrets
import subprocess
from pathlib import Path

from ccinspect.config import SecretSource
from ccinspect.errors import ConfigError

_COMMAND_SECONDS = 30


def resolve_secret(source: str | SecretSource | None, setting: str) -> str | None:
    """Read a secret from where the configuration says. Raises ConfigError; never names the secret itself."""
    if source is None or isinstance(source, str):
        return source or None
    try:
        if source.command is not None:
            done = subprocess.run(
                ["/bin/sh", "-c", source.command],
                capture_output=True,
                timeout=_COMMAND_SECONDS,
                stdin=subprocess.DEVNULL,
            )
            if done.returncode != 0:
                raise ConfigError(
                    f"{setting}: the command ended with exit code {done.returncode}", "run it by hand to see why"
                )
            value = done.stdout.decode(errors="replace").strip()
        elif source.file is not None:
            value = source.file.expanduser().read_text().strip()
        else:
            raise ConfigError(f"{setting}: neither `command` nor `file` is given", "give one of them, or a string")
    except subprocess.TimeoutExpired as error:
        raise ConfigError(f"{setting}: the command took over {_COMMAND_SECONDS} s", "make it faster") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{setting}: cannot read {source.file}: {error}", "name a readable file") from error
    if not value:
        raise ConfigError(f"{setting}: the secret is empty", "give a password that is not empty")
    return value


def keep_token(path: Path) -> str:
    """Return the token stored at `path` (0600), making it on first use, so that bookmarks survive restarts."""
    try:
        if token := path.read_text().strip():
            return token
    except FileNotFoundError:
        pass
    token = secrets.token_hex(16)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(token + "\n")
    return token
