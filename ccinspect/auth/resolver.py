"""Credentials by provider: asked for when they are needed, kept for a while, by one asker at a time."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator, Mapping

from ccinspect.auth.credential import Credential
from ccinspect.auth.settings import Source
from ccinspect.auth.sources import SourceError, fetch
from ccinspect.errors import CredentialsError

__all__ = ["Credential", "Credentials"]

# A source that fails is not asked again for each of a hundred requests.
_FAILURE_SECONDS = 1.0
# An OAuth token is given up this long before it expires.
_MARGIN = 60.0


class Credentials(Mapping[str, Source]):
    """The sources of all providers that have one; made anew on `reload`."""

    def __init__(self, sources: Mapping[str, Source], environ: Mapping[str, str] | None = None) -> None:
        self._sources = dict(sources)
        self._environ = os.environ if environ is None else environ
        self._kept: dict[str, Credential] = {}
        self._failed: dict[str, tuple[float, CredentialsError]] = {}
        self._asking: dict[str, asyncio.Task[Credential]] = {}

    def __getitem__(self, name: str) -> Source:
        return self._sources[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._sources)

    def __len__(self) -> int:
        return len(self._sources)

    async def resolve(self, name: str) -> Credential:
        """The credential of provider `name`. Raises CredentialsError; KeyError when it has no source."""
        kept = self._kept.get(name)
        if kept is not None and (kept.expires_at is None or time.monotonic() < kept.expires_at):
            return kept
        failed_at, failure = self._failed.get(name, (0.0, None))
        if failure is not None and time.monotonic() < failed_at + _FAILURE_SECONDS:
            raise CredentialsError(failure.message, failure.hint)
        return await self._ask(name, force=False)

    async def renew(self, refused: Credential) -> Credential | None:
        """After an answer of 401: another credential for the same provider, or None when there is no other one."""
        kept = self._kept.get(refused.provider)
        if kept is not None and kept.value != refused.value:
            # Somebody else has renewed it meanwhile.
            return kept
        fresh = await self._ask(refused.provider, force=True)
        return fresh if fresh.value != refused.value else None

    async def _ask(self, name: str, *, force: bool) -> Credential:
        task = self._asking.get(name)
        if task is None:
            task = self._asking[name] = asyncio.create_task(self._fetch(name, force=force))
            task.add_done_callback(lambda done: self._done(name, done))
        # One who goes away must not take it from the others.
        return await asyncio.shield(task)

    def _done(self, name: str, task: asyncio.Task[Credential]) -> None:
        self._asking.pop(name, None)
        if not task.cancelled():
            # Everybody who asked may be gone.
            task.exception()

    async def _fetch(self, name: str, *, force: bool) -> Credential:
        source = self._sources[name]
        try:
            value, good_for = await fetch(source, self._environ, force=force)
        except SourceError as error:
            raise self._fail(name, error.message, error.hint) from error
        except TimeoutError as error:
            message = f"its {source.type} took longer than {source.timeout:g} s"
            raise self._fail(name, message, f"make it faster, or raise providers.{name}.auth.timeout") from error
        lifetime = source.ttl if good_for is None else max(0.0, good_for - _MARGIN)
        credential = Credential(name, value, source.header, time.monotonic() + lifetime)
        self._kept[name] = credential
        self._failed.pop(name, None)
        return credential

    def _fail(self, name: str, reason: str, hint: str) -> CredentialsError:
        error = CredentialsError(f"no credential for the provider {name!r}: {reason}", hint)
        self._failed[name] = (time.monotonic(), error)
        return error
