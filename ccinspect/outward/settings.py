"""What may be configured: `inspector.upstream_proxy`. Imports nothing that is slow: `config.py` reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from ccinspect.auth.settings import AuthSettings, AwsAuth
from ccinspect.outward.exceptions import Exceptions


def _proxy_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError("not a URL: expected http://HOST:PORT or https://HOST:PORT") from error
    if parts.username is not None or parts.password is not None:
        # Without quoting it: whoever wrote it meant it as a secret.
        raise ValueError("credentials do not belong in the URL, where they would be shown: name them in `auth`")
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ValueError("has to be http://HOST:PORT or https://HOST:PORT (SOCKS is not spoken)")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("has to end after the port")
    return url


def _exception(text: str) -> str:
    Exceptions.parse([text])
    return text


def _split(value: object) -> object:
    # As NO_PROXY is written.
    return [part for part in value.replace(",", " ").split() if part] if isinstance(value, str) else value


def _no_signature(auth: AuthSettings | None) -> AuthSettings | None:
    if isinstance(auth, AwsAuth):
        raise ValueError("a proxy takes no signatures of Amazon's")
    if auth is not None and auth.header is not None:
        raise ValueError("a proxy reads `Proxy-Authorization` only: remove `header`")
    return auth


class UpstreamProxySettings(BaseModel):
    """A proxy between this machine and the world."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: Annotated[str, AfterValidator(_proxy_url)] = Field(
        description="`http://HOST:PORT`, or `https://...` where the connection to the proxy is encrypted."
    )
    auth: Annotated[AuthSettings | None, AfterValidator(_no_signature)] = Field(
        None,
        description="Where its credentials come from, as in `providers.NAME.auth`: `USER:PASSWORD` for Basic, anything "
        "else with a `prefix`.",
    )
    exceptions: Annotated[tuple[Annotated[str, AfterValidator(_exception)], ...], BeforeValidator(_split)] = Field(
        (),
        description="Places that are reached without it, as in `NO_PROXY`: a list, or one text with commas. Names "
        "stand for themselves and all below them, `.name` for those below it; addresses, networks (`10.0.0.0/8`), "
        "`:PORT` at the end, `*`. The loopback always is one.",
    )


def _told_shortly(value: Any) -> Any:
    if isinstance(value, str):
        return {"url": value}
    return {**value} if isinstance(value, Mapping) else value


UpstreamProxy = Annotated[UpstreamProxySettings, BeforeValidator(_told_shortly)]
"""The type of `inspector.upstream_proxy`: a URL, or the whole block."""
