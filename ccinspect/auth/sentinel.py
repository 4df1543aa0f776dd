"""Sentinel keys: what a program sends in the place of a key, for us to put the real one there.

`sk-ant-oat-ccinspect-NAME` and `sk-ccinspect-NAME` (some clients look at a key first) stand for the
credential of `providers.NAME`. They are worth nothing anywhere else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes, urlsplit

from ccinspect.auth.credential import Credential
from ccinspect.pipeline.message import Facts, Headers, Outgoing

TOKEN_HEADER = "x-ccinspect-token"

_MARK = b"ccinspect-"
_HEADERS = (b"x-api-key", b"x-goog-api-key", b"api-key", b"authorization")
_SENTINEL = re.compile(rb"\s*(?:bearer\s+)?(sk-(?:ant-oat-)?ccinspect-([^\s]*))\s*", re.IGNORECASE)
_IN_QUERY = re.compile(r"(?<=[?&])key=([^&#]*)&?")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Sentinel:
    """One that was found. `name` is empty where it names no provider that could exist."""

    name: str
    text: str


def find_sentinel(fields: Iterable[tuple[bytes, bytes]], path: str = "") -> Sentinel | None:
    """Look where clients put their keys: headers first, then `key=` in the query (Gemini). Cheap when there is none."""
    found = [(name, value) for name, value in fields if _MARK in value.lower()]
    if not found and _MARK not in path.encode("latin-1", "replace").lower():
        return None
    for wanted in _HEADERS:
        for name, value in found:
            if name.lower() == wanted and (match := _SENTINEL.fullmatch(value)):
                return _sentinel(match)
    if (query := _IN_QUERY.search(path)) and (match := _SENTINEL.fullmatch(unquote_to_bytes(query[1]))):
        return _sentinel(match)
    return None


def _sentinel(match: re.Match[bytes]) -> Sentinel:
    name = match[2].decode("ascii", "replace").lower()
    text = match[1].decode("ascii", "replace")[:100]
    return Sentinel(name if _NAME.fullmatch(name) else "", text)


def apply(outgoing: Outgoing, credential: Credential) -> None:
    """Put the credential on the request, and take off whatever key it had."""
    outgoing.headers.remove("x-api-key", "x-goog-api-key", "api-key", "authorization")
    outgoing.path = _without_key(outgoing.path)
    if credential.header is None:
        outgoing.headers.set("authorization", f"Bearer {credential.value}")
    else:
        outgoing.headers.set(credential.header, credential.value)


def _without_key(path: str) -> str:
    return _IN_QUERY.sub("", path).rstrip("?&") if "key=" in path else path


def may_use(facts: Facts, headers: Headers, token: str | None) -> str | None:
    """Why a sentinel of this request is not honoured; None when it is.

    Our own runs may use theirs. Other programs of this machine may, if they hold `proxy.token` where one is set. A web
    page never may: it shows by its Origin, by what browsers add, or by a Host that is a name of its own.
    """
    if any(name.lower().startswith("sec-fetch-") for name in headers) or "origin" in headers:
        return "it came from a web page"
    if facts.run is not None or facts.source != "reverse":
        return None if facts.run is not None or token is None else _token_refusal(headers, token)
    return _token_refusal(headers, token) if token is not None else None


def _token_refusal(headers: Headers, token: str) -> str | None:
    import hmac

    given = headers.get(TOKEN_HEADER) or ""
    if hmac.compare_digest(given.encode(), token.encode()):
        return None
    return f"proxy.token is set, and the request does not hold it in the header {TOKEN_HEADER}"


def is_foreign_host(host_header: str | None) -> bool:
    """Whether a request to our own address names another machine: a name that was rebound to this one."""
    if not host_header:
        return False
    host = (urlsplit(f"//{host_header}").hostname or "").rstrip(".").lower()
    return not (host in ("localhost", "127.0.0.1", "::1") or host.endswith(".localhost"))
