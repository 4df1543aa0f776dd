"""Who may use a sentinel: our own runs, and programs of this machine; never a web page.

A page that a person has open can send requests to the loopback too, and a name that was rebound to 127.0.0.1 makes us
its own server. Browsers tell on both: `Origin`, `Sec-Fetch-Site`, `Host`.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from ccinspect.pipeline.message import Facts, Headers

TOKEN_HEADER = "x-ccinspect-token"
"""Header in which a client shows `proxy.token`."""


def refusal(
    facts: Facts,
    headers: Headers,
    *,
    host: str | None = None,
    listener_ports: Collection[int] = (),
    token_required: str | None = None,
    token_given: str | None = None,
) -> str | None:
    """Why this request may not use a sentinel, for its sender to read; None when it may.

    `host` is the `Host` header (or `:authority`) as the client sent it; `listener_ports` are ours, whose pages are no
    strangers; `token_required` is `proxy.token`, which runs of ours need not show.
    """
    if reason := _page(headers, listener_ports):
        return reason
    if facts.source == "reverse" and host and not is_loopback(_name(host)):
        return (
            "sentinel keys are only honoured under this machine's own name: the request's Host is another, as after "
            "DNS rebinding"
        )
    if facts.run is not None or not token_required:
        return None
    if token_given is None:
        return f"sentinel keys are only honoured from ccinspect's own runs, or with `proxy.token` in {TOKEN_HEADER}"
    if not hmac.compare_digest(token_given.encode(), token_required.encode()):
        return "the token shown is not `proxy.token`, so the sentinel key was not honoured"
    return None


def _page(headers: Headers, listener_ports: Collection[int]) -> str | None:
    # Node's fetch sends Sec-Fetch-Mode, only browsers send Sec-Fetch-Site. A page that we served ourselves is a
    # provider's, or whoever's: `same-origin` with the proxy means nothing.
    site = headers.get("sec-fetch-site")
    if site is not None and site.strip().lower() != "none":
        return "sentinel keys are not honoured from web pages (Sec-Fetch-Site)"
    for origin in headers.get_all("origin"):
        if not _is_ours(origin.strip(), listener_ports):
            return "sentinel keys are not honoured from web pages (Origin)"
    return None


def _is_ours(origin: str, listener_ports: Collection[int]) -> bool:
    try:
        parts = urlsplit(origin)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and is_loopback(parts.hostname or "") and port in listener_ports


def _name(host: str) -> str:
    try:
        return urlsplit(f"//{host.strip()}").hostname or ""
    except ValueError:
        return ""


def is_loopback(name: str) -> bool:
    """`localhost`, a name below it, or an address that never leaves this machine."""
    name = name.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
