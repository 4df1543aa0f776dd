"""Base-URL mode: where each of the variables leads from which a tool reads its provider's address."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

from ccinspect.addons.sources import Origin
from ccinspect.errors import RunError
from ccinspect.setup.base_urls import BASE_URLS, BaseUrl


def base_url_environment(
    run: str, reverse_port: int, already_set: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, Origin]]:
    """Build the variables of a run, and the upstream behind each key.

    Only the origin of a base URL is replaced by ours; its path stays, because tools append to it in different ways.
    One that leads to ourselves (`ccinspect env`) is as good as none. Raises RunError when a URL the user had set cannot
    be understood.
    """
    environment: dict[str, str] = {}
    upstreams: dict[str, Origin] = {}
    for base in BASE_URLS:
        url = already_set.get(base.variable) or base.default
        url = url if "://" in url else f"http://{url}"
        try:
            if _is_ours(Origin.parse(url), reverse_port):
                url = base.default
            upstreams[base.key] = _origin(base, url)
            path = urlsplit(url).path.rstrip("/")
        except ValueError as error:
            raise RunError(
                f"{base.variable} is set to {url!r}, which is no http or https URL", "correct or unset it"
            ) from error
        environment[base.variable] = f"http://127.0.0.1:{reverse_port}/r/{run}/{base.key}{path}"
    return environment, upstreams


def _is_ours(origin: Origin, reverse_port: int) -> bool:
    return origin.host in ("127.0.0.1", "localhost") and origin.port == reverse_port


def _origin(base: BaseUrl, url: str) -> Origin:
    origin = Origin.parse(url)
    if base.key == "ollama" and urlsplit(url).port is None and urlsplit(url).scheme == "http":
        # Ollama's own default port, where other tools mean 80; 0.0.0.0 is how people tell its server to listen.
        unspecified = ipaddress.IPv4Address(0)
        return Origin(origin.scheme, "127.0.0.1" if origin.host == str(unspecified) else origin.host, 11434)
    return origin
