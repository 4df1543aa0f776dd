"""The upstream proxy: where it is, what goes through it, and what it is shown."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from ccinspect.auth.credential import Credential
from ccinspect.auth.resolver import Credentials
from ccinspect.auth.way import Way
from ccinspect.errors import CredentialsError, UpstreamProxyError
from ccinspect.outward.exceptions import Exceptions
from ccinspect.outward.settings import UpstreamProxySettings

SETTING = "inspector.upstream_proxy"
_NAME = "upstream_proxy"
_SCHEMES = ("basic ", "bearer ", "negotiate ", "digest ", "ntlm ")


class UpstreamProxy:
    """One proxy. For one event loop."""

    def __init__(self, settings: UpstreamProxySettings, roots: Path, environ: Mapping[str, str] | None = None) -> None:
        """`roots` is a PEM file of the authorities that its own certificate is verified against."""
        parts = urlsplit(settings.url)
        self.scheme = parts.scheme
        self.host = parts.hostname or ""
        self.port = parts.port or (443 if self.scheme == "https" else 80)
        name = f"[{self.host}]" if ":" in self.host else self.host
        self.label = f"{self.scheme}://{name}:{self.port}"
        """Its URL, for people and records; never with credentials."""
        self._exceptions = Exceptions.parse(settings.exceptions)
        self._roots = roots
        self._prefix = settings.auth.prefix if settings.auth else None
        self._credentials = (
            Credentials({_NAME: settings.auth}, environ, ca_file=roots, told=lambda _: ("the upstream proxy", SETTING))
            if settings.auth
            else None
        )
        self._shown: Credential | None = None
        self._refused = False

    def covers(self, host: str, port: int | None) -> bool:
        """Whether connections to a place go through it. A port of None: whether any connection to the host may."""
        return bool(host) and not self._exceptions.match(host, port)

    @property
    def has_credentials(self) -> bool:
        return self._credentials is not None

    async def authorization(self) -> str | None:
        """The value of `Proxy-Authorization`, anew after `refused`; None where there are no credentials.

        Raises UpstreamProxyError.
        """
        if self._credentials is None:
            return None
        try:
            if self._refused and self._shown is not None:
                self._refused = False
                fresh = await self._credentials.renew(_NAME, self._shown)
                self._shown = fresh or self._shown
            else:
                self._shown = await self._credentials.resolve(_NAME)
        except CredentialsError as error:
            raise UpstreamProxyError(error.message, error.hint) from None
        return self._header(self._shown.value)

    async def way(self, url: str) -> Way | None:
        """How a request of our own for this URL leaves. Raises UpstreamProxyError."""
        parts = urlsplit(url)
        if not self.covers(parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)):
            return None
        return Way(self.label, await self.authorization())

    def refused(self) -> None:
        """It answered 407 to what `authorization` gave."""
        self._refused = True

    def tls_context(self) -> ssl.SSLContext | None:
        """How a connection to it is encrypted; None where it is not."""
        return ssl.create_default_context(cafile=str(self._roots)) if self.scheme == "https" else None

    async def close(self) -> None:
        if self._credentials is not None:
            await self._credentials.close()

    def _header(self, value: str) -> str:
        if self._prefix is not None:
            return self._prefix + value
        if value.lower().startswith(_SCHEMES):
            return value
        if ":" not in value:
            raise UpstreamProxyError(
                "the credentials of the upstream proxy are not USER:PASSWORD, so nothing was sent",
                f"let the source give both, or say with `prefix` what they are ({SETTING}.auth)",
            )
        return f"Basic {base64.b64encode(value.encode()).decode()}"
