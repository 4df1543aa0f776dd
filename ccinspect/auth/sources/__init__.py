"""Where credentials come from: one module a kind, each a class with `fetch`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from ccinspect.auth.credential import Fetched
from ccinspect.auth.settings import (
    AuthSettings,
    AwsAuth,
    CommandAuth,
    EnvAuth,
    FileAuth,
    GcpAuth,
    KeyringAuth,
)
from ccinspect.auth.sources.aws import AwsSource
from ccinspect.auth.sources.command import CommandSource
from ccinspect.auth.sources.gcp import GcpSource
from ccinspect.auth.sources.oauth2 import OAuth2Source
from ccinspect.auth.sources.plain import EnvSource, FileSource, KeyringSource
from ccinspect.auth.way import FindWay


class Source(Protocol):
    """Gives a credential when asked."""

    async def fetch(self, refused: str | None) -> Fetched:
        """Get the credential. `refused` is a value that the provider answered 401 to: a source that keeps one gets
        another. May be cancelled. Raises SourceFailed."""


def make_source(
    settings: AuthSettings, environ: Mapping[str, str], ca_file: Path | None = None, way: FindWay | None = None
) -> Source:
    """The source that `settings` describe. `ca_file`: further authorities to trust when tokens are asked for; `way`:
    how these requests leave."""
    match settings:
        case CommandAuth():
            return CommandSource(settings.command, environ)
        case FileAuth():
            return FileSource(settings)
        case EnvAuth():
            return EnvSource(settings.env, environ)
        case KeyringAuth():
            return KeyringSource(settings)
        case GcpAuth():
            return GcpSource(settings, ca_file, way)
        case AwsAuth():
            return AwsSource(settings)
        case _:
            return OAuth2Source(settings, ca_file, way)
