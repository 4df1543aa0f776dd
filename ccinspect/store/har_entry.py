"""One side of a flow as an entry of a HAR 1.2 archive. Pure: bodies and messages are put in by the caller.

The format: http://www.softwareishard.com/blog/har-12-spec/. What is not of the format begins with an underscore, as it
asks: `_error`, `_transferSize`, `_connectionId`, `_resourceType` and `_webSocketMessages` are those of Chromium's
DevTools, whose importer looks at them; the rest is ours.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from ccinspect.store.record import Record, bytes_of, part

Json = dict[str, Any]
Pair = dict[str, str]

_EVENTS = "text/event-stream"


def page(record: Record) -> Json:
    """The page of a flow: its id is the flow's."""
    request = part(record, "request")
    title = f"{request.get('method', '')} {url_of(request)}".strip()
    return {
        "startedDateTime": iso(_started(record)),
        "id": record["id"],
        "title": plain(title),
        "pageTimings": {"onContentLoad": -1, "onLoad": -1},
        "_run": record.get("run"),
        "_source": record.get("source"),
    }


def entry(record: Record, request: Json, response: Json) -> Json:
    """An entry of two messages; `request.postData` and `response.content` are still without text."""
    timings = _timings(record, request, response)
    server = part(record, "server_conn")
    made: Json = {
        "pageref": record["id"],
        "startedDateTime": iso(_started(record)),
        "time": sum(value for name, value in timings.items() if value > 0 and name != "ssl"),
        "request": _request(record, request),
        "response": _response(record, response),
        "cache": {},
        "timings": timings,
        # Else DevTools takes the first entry of each page for a document, and JSON for a script.
        "_resourceType": "fetch",
    }
    if server.get("peername"):
        address, port, *_ = server["peername"]
        made["serverIPAddress"] = str(address)
        # DevTools shows it as the server's port, and 80 where it is no number.
        made["connection"] = str(port)
    if server.get("id"):
        made["_connectionId"] = str(server["id"])
    if record.get("hint"):
        made["comment"] = plain(record["hint"])
    return made


def _request(record: Record, request: Json) -> Json:
    headers = pairs(request.get("headers"))
    made: Json = {
        "method": plain(request.get("method")),
        "url": url_of(request),
        "httpVersion": plain(request.get("http_version")),
        "cookies": _cookies(headers),
        "headers": headers,
        "queryString": _query(request),
        "headersSize": -1,
        "bodySize": _size(record, request, "request"),
    }
    if request.get("trailers"):
        made["_trailers"] = pairs(request["trailers"])
    return made


def _response(record: Record, response: Json) -> Json:
    headers = pairs(response.get("headers"))
    size = _size(record, response, "response") if response else -1
    made: Json = {
        "status": response.get("status_code") or 0,
        "statusText": plain(response.get("reason")),
        "httpVersion": plain(response.get("http_version")),
        "cookies": _set_cookies(headers),
        "headers": headers,
        "content": {"size": 0, "mimeType": _mime_type(headers)},
        "redirectURL": find(headers, "location"),
        "headersSize": -1,
        "bodySize": size,
        # Of the head nobody knows the size: with HTTP/2 it depends on what was sent before.
        "_transferSize": max(0, size),
    }
    if response.get("trailers"):
        made["_trailers"] = pairs(response["trailers"])
    if record.get("error"):
        made["_error"] = plain(part(record, "error").get("msg"))
    return made


def url_of(request: Json) -> str:
    """The absolute URL of a request; of CONNECT and `OPTIONS *` as much as there is."""
    path = plain(request.get("path"))
    if path.startswith(("http://", "https://")):
        return path
    host = plain(request.get("pretty_host") or request.get("host"))
    host = f"[{host}]" if ":" in host and not host.startswith("[") else host
    scheme = plain(request.get("scheme")) or "http"
    port = request.get("port")
    usual = {"http": 80, "https": 443}.get(scheme)
    authority = host if port in (None, usual) else f"{host}:{port}"
    return f"{scheme}://{authority}{path if path.startswith('/') else f'/{path}' if path else '/'}"


def pairs(headers: Iterable[Any] | None) -> list[Pair]:
    """[[name, value], ...] as HAR has it."""
    return [{"name": plain(name), "value": plain(value)} for name, value in headers or ()]


def find(headers: list[Pair], name: str) -> str:
    """The first value of a header, or nothing."""
    return next((pair["value"] for pair in headers if pair["name"].lower() == name), "")


def _mime_type(headers: list[Pair]) -> str:
    """The content type as it was sent; that of events without parameters, for only so does DevTools take them apart."""
    sent = find(headers, "content-type")
    return _EVENTS if sent.split(";")[0].strip().lower() == _EVENTS else sent


def plain(value: object) -> str:
    """Text that every JSON parser takes: bytes that were not UTF-8 are read as Latin-1, as browsers do."""
    text = "" if value is None else str(value)
    try:
        text.encode()
    except UnicodeEncodeError:
        return bytes_of(text).decode("latin-1") if _escaped(text) else text.encode("utf-8", "replace").decode()
    return text


def iso(seconds: float | None) -> str:
    """ISO 8601 with milliseconds, in UTC."""
    return datetime.fromtimestamp(seconds or 0.0, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _escaped(text: str) -> bool:
    return not any("\ud800" <= letter < "\udc80" or "\udcff" < letter <= "\udfff" for letter in text)


def _started(record: Record) -> float | None:
    value: float | None = part(record, "timing").get("started_at")
    return value


def _size(record: Record, message: Json, name: str) -> int:
    length = message.get("contentLength")
    if length is None:
        length = part(record, "sizes").get(name)
    return -1 if length is None else int(length)


def _query(request: Json) -> list[Pair]:
    query = urlsplit(url_of(request)).query
    return [{"name": name, "value": value} for name, value in parse_qsl(query, keep_blank_values=True)]


def _cookies(headers: list[Pair]) -> list[Pair]:
    found = []
    for header in headers:
        if header["name"].lower() == "cookie":
            for crumb in header["value"].split(";"):
                name, _, value = crumb.strip().partition("=")
                if name:
                    found.append({"name": name, "value": value})
    return found


def _set_cookies(headers: list[Pair]) -> list[Json]:
    found = []
    for header in headers:
        if header["name"].lower() == "set-cookie":
            first, *attributes = header["value"].split(";")
            name, _, value = first.strip().partition("=")
            found.append({"name": name, "value": value} | _attributes(attributes))
    return found


def _attributes(attributes: list[str]) -> Json:
    made: Json = {}
    for attribute in attributes:
        name, _, value = attribute.strip().partition("=")
        key = name.lower()
        if key in ("path", "domain"):
            made[key] = value
        elif key == "expires":
            try:
                made["expires"] = parsedate_to_datetime(value.replace("-", " ")).astimezone(UTC).isoformat()
            except (ValueError, OverflowError):
                continue
        elif key == "httponly":
            made["httpOnly"] = True
        elif key == "secure":
            made["secure"] = True
        elif key == "samesite":
            made["sameSite"] = value
    return made


def _timings(record: Record, request: Json, response: Json) -> Json:
    """Milliseconds; -1 where there is no such phase. `connect` counts only if this flow opened the connection."""
    server = part(record, "server_conn")
    started, connected = server.get("timestamp_start"), server.get("timestamp_tcp_setup")
    secured = server.get("timestamp_tls_setup")
    begun, sent = request.get("timestamp_start"), request.get("timestamp_end")
    first, last = response.get("timestamp_start"), response.get("timestamp_end")
    own = started is not None and connected is not None and begun is not None and started >= begun
    ssl = _span(connected, secured) if own else -1.0
    connect = _span(started, connected) if own else -1.0
    if connect >= 0 and ssl > 0:
        connect += ssl
    wait = max(0.0, _span(sent if sent is not None else begun, first))
    return {
        "blocked": -1,
        "dns": -1,
        "connect": connect,
        "ssl": ssl,
        "send": max(0.0, _span(begun, sent)),
        "wait": max(0.0, wait - max(0.0, connect)),
        "receive": max(0.0, _span(first, last)),
    }


def _span(start: float | None, end: float | None) -> float:
    return -1.0 if start is None or end is None else round(max(0.0, end - start) * 1000, 3)
