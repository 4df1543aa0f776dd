"""Credentials by provider: asked for once, kept for as long as they are good, shared by all who wait."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ccinspect.auth.credential import Credential, Fetched, SourceFailed
from ccinspect.auth.places import place_of
from ccinspect.auth.settings import DEFAULT_TTL, AuthSettings, AwsAuth
from ccinspect.auth.sources import Source, make_source
from ccinspect.auth.way import FindWay
from ccinspect.errors import CredentialsError, UpstreamProxyError

logger = logging.getLogger(__name__)

FAILURE_TTL = 1.0
"""Seconds for which a failure is told again instead of asking the source."""
RENEW_INTERVAL = 5.0
"""Seconds between two attempts to replace one credential that the provider refuses."""
AHEAD = 0.8
"""Share of its time after which a credential is asked for anew while the old one still serves."""
# A request with a token that ends while it travels is refused.
_IN_FLIGHT = 5.0
# One that is as good as ended is not asked for with every request.
_LEAST_SECONDS = 1.0


@dataclass(slots=True, repr=False)
class _Entry:
    """All that is known of one provider's credential."""

    settings: AuthSettings
    source: Source
    credential: Credential | None = None
    renew_from: float = 0.0
    """When it is asked for anew, while it still serves."""
    until: float = 0.0
    failure: CredentialsError | None = None
    failed_until: float = 0.0
    pending: asyncio.Task[Credential] | None = None
    renewed_at: float = float("-inf")


class Credentials:
    """The credentials of all providers that have `auth`. For one event loop, which is never blocked."""

    def __init__(
        self,
        settings: Mapping[str, AuthSettings],
        environ: Mapping[str, str] | None = None,
        *,
        ca_file: Path | None = None,
        way: FindWay | None = None,
        now: Callable[[], float] = time.time,
        told: Callable[[str], tuple[str, str]] = lambda name: (f"provider `{name}`", f"providers.{name}"),
    ) -> None:
        """`settings` by provider's name; `environ` is the environment for `env` and for commands.

        `ca_file` holds authorities to trust beside the system's when tokens are asked for, and `way` says how those
        requests leave. `told` says of a name whose credential it is, and which block of the settings has its `auth`.
        """
        environ = dict(os.environ) if environ is None else environ
        self._now = now
        self._told = told
        self._entries = {
            name: _Entry(auth, make_source(auth, environ, ca_file, way)) for name, auth in settings.items()
        }

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def names(self) -> list[str]:
        return sorted(self._entries)

    def signs(self, name: str) -> bool:
        """Whether this provider's requests are signed: their body has to be read before, and sent as it was read."""
        entry = self._entries.get(name)
        return entry is not None and isinstance(entry.settings, AwsAuth)

    async def resolve(self, name: str) -> Credential:
        """The credential of this provider. Raises CredentialsError, which is fatal for the request."""
        entry = self._entry(name)
        now = self._now()
        held = entry.credential
        if held is not None and now < entry.until:
            if now >= entry.renew_from and now >= entry.failed_until:
                # The next request need not wait.
                self._start(name, entry, None)
            return held
        if entry.failure is not None and now < entry.failed_until and entry.pending is None:
            raise _again(entry.failure)
        return await self._shared(name, entry, None)

    async def renew(self, name: str, old: Credential) -> Credential | None:
        """Another credential after a 401; None when there is no other. Raises CredentialsError for no such provider.

        A source that fails leaves the 401 standing: that is logged, not raised.
        """
        entry = self._entry(name)
        if entry.credential is not None and entry.credential.value != old.value and self._now() < entry.until:
            # Somebody else came before us.
            return entry.credential
        try:
            if entry.pending is not None and (new := await self._shared(name, entry, None)).value != old.value:
                return new
            if self._now() < entry.renewed_at + RENEW_INTERVAL:
                return None
            entry.renewed_at = self._now()
            new = await self._shared(name, entry, old.value)
        except CredentialsError as error:
            logger.warning("%s refused its credential, and %s", self._told(name)[0], error.message)
            return None
        return new if new.value != old.value else None

    async def close(self) -> None:
        """End what is still being asked for; commands are killed."""
        pending = [entry.pending for entry in self._entries.values() if entry.pending is not None]
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)

    def _entry(self, name: str) -> _Entry:
        entry = self._entries.get(name)
        if entry is None:
            raise _unknown(name, self.names())
        return entry

    async def _shared(self, name: str, entry: _Entry, refused: str | None) -> Credential:
        task = entry.pending or self._start(name, entry, refused)
        # A caller that gives up does not end it for the others.
        return await asyncio.shield(task)

    def _start(self, name: str, entry: _Entry, refused: str | None) -> asyncio.Task[Credential]:
        if entry.pending is not None:
            return entry.pending
        task = asyncio.get_running_loop().create_task(self._fetch(name, entry, refused))
        entry.pending = task

        def done(ended: asyncio.Task[Credential]) -> None:
            entry.pending = None
            if not ended.cancelled():
                # Maybe nobody waits any more.
                ended.exception()

        task.add_done_callback(done)
        return task

    async def _fetch(self, name: str, entry: _Entry, refused: str | None) -> Credential:
        settings = entry.settings
        try:
            async with asyncio.timeout(settings.timeout):
                fetched = await entry.source.fetch(refused)
            credential = _credential(name, settings, fetched)
        except TimeoutError:
            late = f"its source did not answer within {settings.timeout:g} s"
            raise self._failed(name, entry, SourceFailed(late, "make it faster, or raise `timeout`")) from None
        except SourceFailed as failure:
            # Without its cause: that could hold more than we want to tell.
            raise self._failed(name, entry, failure) from None
        except UpstreamProxyError as error:
            raise self._failed(name, entry, SourceFailed(error.message, error.hint)) from None
        except Exception as error:
            fault = f"its source failed ({type(error).__name__})"
            raise self._failed(name, entry, SourceFailed(fault, "this is a fault of ours: report it")) from None
        entry.credential, entry.failure = credential, None
        entry.renew_from, entry.until = _times(settings, fetched, self._now())
        return credential

    def _failed(self, name: str, entry: _Entry, failure: SourceFailed) -> CredentialsError:
        entry.failed_until = self._now() + FAILURE_TTL
        owner, setting = self._told(name)
        entry.failure = CredentialsError(
            f"the credential of {owner} ({entry.settings.type}) cannot be had: {failure.reason}; "
            "the request was not sent",
            f"{failure.hint} ({setting}.auth)" if failure.hint else f"see {setting}.auth",
        )
        return _again(entry.failure)


def _times(settings: AuthSettings, fetched: Fetched, now: float) -> tuple[float, float]:
    """From when to ask anew, and until when what was fetched serves."""
    if settings.ttl == 0:
        return now, now
    ends = [now + settings.ttl] if settings.ttl is not None else []
    if fetched.expires is not None:
        ends.append(fetched.expires - _IN_FLIGHT)
    until = max(min(ends, default=now + DEFAULT_TTL), now + _LEAST_SECONDS)
    early = now + AHEAD * (until - now)
    return early if fetched.keep_until is None else min(fetched.keep_until, early), until


def _credential(name: str, settings: AuthSettings, fetched: Fetched) -> Credential:
    value = fetched.value
    if not value:
        raise SourceFailed("its source gave nothing: the value is empty", "see that it gives the credential")
    if fetched.signer is None and not all(" " <= character <= "~" for character in value):
        many = "more than one line" if "\n" in value else "characters that no header can hold"
        raise SourceFailed(f"its source gave {many}", "it has to give the credential and nothing else")
    header, prefix = place_of(name, settings.header, settings.prefix, value)
    return Credential(name, value, header, prefix, fetched.expires, fetched.signer, fetched.headers)


def _again(error: CredentialsError) -> CredentialsError:
    # An exception that is raised twice collects the tracebacks of both.
    return CredentialsError(error.message, error.hint)


def _unknown(name: str, known: list[str]) -> CredentialsError:
    shown = "".join(c if c.isascii() and c.isprintable() else "?" for c in name[:64])
    there = f"there are: {', '.join(known)}" if known else "there is none yet"
    if not shown:
        return CredentialsError(
            "the sentinel key names no provider, so nobody knows which credential is meant; the request was not sent",
            f"write sk-ccinspect-NAME with the NAME of a provider that has `auth`; {there}",
        )
    return CredentialsError(
        f"the sentinel key names `{shown}`, and no provider of that name has `auth`; the request was not sent",
        f"set providers.{shown}.auth, or correct the name; {there}",
    )
