"""Whether a flow was changed on its way: what `flows compare` looks for when nobody names a flow.

Pure. What only takes a request to its upstream (a base URL's prefix, the `Host` header, headers for us and for a
proxy) is no change: every flow of a reverse listener would be one.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from ccinspect.store.record import Record, part, text_of

PREFIX = re.compile(r"^/r/[0-9a-z]+/[a-z0-9-]+(?=[/?]|$)")
"""What a run's base URL puts before the path (`addons/reverse_routing.py`)."""
UNROUTED = (None, "none", "passthrough")
"""Values of `changes.route.action` that leave a request where it goes by itself."""
_ADDRESSING = ("host", "proxy-authorization", "proxy-connection")
_OURS = "x-ccinspect-"


def is_changed(record: Record) -> bool:
    """Whether the upstream got something else than the client sent, or the client than the upstream answered."""
    if part(record, "client_response"):
        return True
    asked, forwarded = part(record, "client_request"), part(record, "request")
    if asked and (_essence(asked) != _essence(forwarded)):
        return True
    return _says_so(part(record, "changes"))


def own_path(message: dict[str, Any]) -> str:
    """The path of a client's request without the prefix of a run's base URL."""
    path = _text(message.get("path"))
    rest = PREFIX.sub("", path)
    return rest if rest.startswith("/") or rest == path else f"/{rest}"


def routed_path(message: dict[str, Any], host: object) -> str:
    """`own_path` as the reverse listener sends it to `host`, with the `/v1` that clients of Anthropic may leave out."""
    path = own_path(message)
    return f"/v1{path}" if host == "api.anthropic.com" and path.startswith("/messages") else path


def asked_origin(record: Record) -> dict[str, Any] | None:
    """{scheme, host, pretty_host, port} of where a request that was sent elsewhere would have gone; else None."""
    route = part(record, "changes").get("route")
    asked = urlsplit(route["asked"]) if isinstance(route, dict) and isinstance(route.get("asked"), str) else None
    if asked is None or not asked.hostname:
        return None
    port = asked.port or (80 if asked.scheme == "http" else 443)
    return {"scheme": asked.scheme, "host": asked.hostname, "pretty_host": asked.hostname, "port": port}


def _says_so(changes: dict[str, Any]) -> bool:
    route = changes.get("route")
    if isinstance(route, dict) and route.get("action") not in UNROUTED:
        return True
    hooks, attempts = changes.get("hooks"), changes.get("attempts")
    if any(isinstance(hook, dict) and hook.get("changed") for hook in (hooks if isinstance(hooks, list) else ())):
        return True
    return bool(changes.get("credentials")) or (isinstance(attempts, list) and len(attempts) > 1)


def _essence(message: dict[str, Any]) -> tuple[Any, ...]:
    headers = [(_text(name).lower(), _text(value)) for name, value in message.get("headers") or ()]
    kept = [header for header in headers if header[0] not in _ADDRESSING and not header[0].startswith(_OURS)]
    # Clients of Anthropic's API that leave `/v1` out get it put in.
    path = own_path(message).removeprefix("/v1")
    return _text(message.get("method")), path, kept, message.get("contentHash"), message.get("contentLength")


def _text(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else text_of(value)
