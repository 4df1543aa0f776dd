"""Who may talk to the server over HTTP: programs on this machine that know a token. Pure ASGI.

A web page that a person has open can send requests to the loopback too, and a name of its own may lead there (DNS
rebinding): Origin and Host are looked at before the token is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

PATH = "/mcp"
_HOST = re.compile(rb"(?:127\.0\.0\.1|localhost|\[::1\])(?::\d{1,5})?", re.IGNORECASE)
_ORIGIN = re.compile(rb"https?://" + _HOST.pattern, re.IGNORECASE)
_WRONG_TOKEN = (
    "the bearer token is missing or wrong: `ccinspect status` says which file has it; that of a run ends with the run"
)

Behind = Callable[[str], Awaitable[Callable[[Any, Any, Any], Any] | None]]
"""The application that a token opens; None when it opens none."""


class Gate:
    """Lets through what may pass to what its token opens, and answers the rest."""

    def __init__(self, behind: Behind) -> None:
        self._behind = behind

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        headers = _by_name(scope["headers"])
        refusal = _refusal(scope["path"], headers)
        if refusal is None:
            token = _bearer(headers)
            application = await self._behind(token) if token else None
            if application is not None and scope["method"] == "POST":
                await application(scope, receive, send)
                return
            refusal = (401, _WRONG_TOKEN) if application is None else (405, "nothing is said here unasked: use POST")
        status, why = refusal
        answer = [(b"content-type", b"application/json")]
        if status == 401:
            answer.append((b"www-authenticate", b'Bearer realm="ccinspect"'))
        if status == 405:
            answer.append((b"allow", b"POST"))
        await send({"type": "http.response.start", "status": status, "headers": answer})
        body = json.dumps({"error": {"message": why, "type": "refused"}}).encode() + b"\n"
        await send({"type": "http.response.body", "body": body})


def _by_name(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, list[bytes]]:
    """ASGI gives names in lower case."""
    given: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        given.setdefault(name, []).append(value)
    return given


def _refusal(path: str, given: dict[bytes, list[bytes]]) -> tuple[int, str] | None:
    """(status, reason) when a request must not pass, whatever its token."""
    hosts = given.get(b"host", [])
    if len(hosts) != 1 or not _HOST.fullmatch(hosts[0]):
        return 403, "the Host is not this machine's loopback"
    if not all(_ORIGIN.fullmatch(origin) for origin in given.get(b"origin", [])):
        return 403, "web pages may not use this server"
    if given.get(b"sec-fetch-site", [b"none"]) not in ([b"none"], [b"same-origin"]):
        return 403, "web pages may not use this server"
    if path.rstrip("/") != PATH:
        return 404, f"the MCP server is at {PATH}"
    return None


def _bearer(given: dict[bytes, list[bytes]]) -> str | None:
    words = given.get(b"authorization", [b""])
    scheme, _, token = words[0].strip().partition(b" ")
    if len(words) != 1 or scheme.lower() != b"bearer":
        return None
    return token.strip().decode("utf-8", "replace")
