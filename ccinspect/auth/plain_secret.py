"""A password or token that the settings name: as a string, a command or a file."""

from __future__ import annotations

import subprocess

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
