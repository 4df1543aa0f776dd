"""Who may talk to the server over HTTP: programs on this machine that know the token. Pure ASGI.

A web page that a person has open can send requests to the loopback too, and a name of its own may lead there (DNS
rebinding): Origin and Host are looked at before the token is.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Iterable
from typing import Any

PATH = "/mcp"
_HOST = re.compile(rb"(?:127\.0\.0\.1|localhost|\[::1\])(?::\d{1,5})?", re.IGNORECASE)
_ORIGIN = re.compile(rb"https?://" + _HOST.pattern, re.IGNORECASE)


class Gate:
    """Lets through to `app` what may pass, and answers the rest."""

    def __init__(self, app: Any, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        refusal = self.refusal(scope["path"], scope["headers"])
        if refusal is None:
            await self._app(scope, receive, send)
            return
        status, why = refusal
        headers = [(b"content-type", b"application/json")]
        if status == 401:
            headers.append((b"www-authenticate", b'Bearer realm="ccinspect"'))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        body = json.dumps({"error": {"message": why, "type": "refused"}}).encode() + b"\n"
        await send({"type": "http.response.body", "body": body})

    def refusal(self, path: str, headers: Iterable[tuple[bytes, bytes]]) -> tuple[int, str] | None:
        """(status, reason) when a request must not pass. Header names are in lower case."""
        given: dict[bytes, list[bytes]] = {}
        for name, value in headers:
            given.setdefault(name, []).append(value)
        hosts = given.get(b"host", [])
        if len(hosts) != 1 or not _HOST.fullmatch(hosts[0]):
            return 403, "the Host is not this machine's loopback"
        if not all(_ORIGIN.fullmatch(origin) for origin in given.get(b"origin", [])):
            return 403, "web pages may not use this server"
        if given.get(b"sec-fetch-site", [b"none"]) not in ([b"none"], [b"same-origin"]):
            return 403, "web pages may not use this server"
        if path.rstrip("/") != PATH:
            return 404, f"the MCP server is at {PATH}"
        words = given.get(b"authorization", [b""])
        scheme, _, token = words[0].strip().partition(b" ")
        if len(words) != 1 or scheme.lower() != b"bearer" or not hmac.compare_digest(token.strip(), self._token):
            return 401, "the bearer token is missing or wrong: `ccinspect status` says which file has it"
        return None
