"""The variables by which programs outside of a run find us."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote, urlsplit

from ccinspect.setup.base_urls import BASE_URLS

type Mode = Literal["base-url", "proxy"]

MODES: tuple[Mode, ...] = ("base-url", "proxy")
NOT_BY_PROXY = "localhost,127.0.0.1,::1"


@dataclass(frozen=True)
class Listeners:
    """What programs that are started without `run` talk to, and what they have to trust."""

    reverse_port: int
    proxy_port: int
    ca_cert: Path
    bundle: Path | None = None
    """A file of this machine's trusted roots and our authority; None where only base URLs are asked for."""
    token: str | None = None
    """What every client has to show, where the listeners are open to other machines (docs/network.md)."""

    @property
    def base_url(self) -> str:
        """The reverse listener, which finds a request's provider by its path."""
        shown = "" if self.token is None else f"/t/{quote(self.token, safe='')}"
        return f"http://127.0.0.1:{self.reverse_port}{shown}"

    @property
    def proxy_url(self) -> str:
        shown = "" if self.token is None else f"me:{quote(self.token, safe='')}@"
        return f"http://{shown}127.0.0.1:{self.proxy_port}"


def base_url_variables(listeners: Listeners) -> dict[str, str]:
    """Where the SDKs look for their provider."""
    return {base.variable: f"{listeners.base_url}{urlsplit(base.default).path}" for base in BASE_URLS}


def proxy_variables(listeners: Listeners, *, lower_case: bool = True) -> dict[str, str]:
    """The proxy in both spellings; addresses of this machine go past it."""
    upper = {"HTTP_PROXY": listeners.proxy_url, "HTTPS_PROXY": listeners.proxy_url, "NO_PROXY": NOT_BY_PROXY}
    return upper | ({name.lower(): value for name, value in upper.items()} if lower_case else {})


def trust_variables(listeners: Listeners) -> dict[str, str]:
    """Few of those that `run --proxy` sets: what OpenSSL, requests, curl and Node read, and many others with them."""
    bundle = str(listeners.bundle)
    return {
        "NODE_EXTRA_CA_CERTS": str(listeners.ca_cert),
        "SSL_CERT_FILE": bundle,
        "REQUESTS_CA_BUNDLE": bundle,
        "CURL_CA_BUNDLE": bundle,
    }


def is_usual(variable: str, value: str) -> bool:
    """Whether a variable that is set leads where it would lead anyway, so that ours may take its place.

    Another place is somebody's gateway, which must not be passed over.
    """
    hosts = {urlsplit(base.default).hostname for base in BASE_URLS if base.variable == variable}
    host = urlsplit(value if "://" in value else f"http://{value}").hostname
    return not value or ("127.0.0.1" if host == "localhost" else host) in hosts
