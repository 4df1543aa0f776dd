"""A captured request as it could be sent by somebody else: without its secrets, and without what belonged to the
connection. Pure.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from ccinspect.errors import CcinspectError
from ccinspect.identity.providers import Providers
from ccinspect.store.har_entry import url_of
from ccinspect.store.redaction import Redactor

_REDACTED = re.compile(r"REDACTED~\w{0,4}~[0-9a-f]{12}")
_OF_THE_CONNECTION = {
    *("host", "content-length", "transfer-encoding", "connection", "keep-alive", "te", "trailer", "upgrade", "expect"),
    *("proxy-connection", "proxy-authorization", "http2-settings", "accept-encoding"),
}
_OURS = "x-ccinspect-"
_AUTH = ("authorization", "x-api-key", "x-goog-api-key", "api-key")


@dataclass(frozen=True, slots=True)
class Variable:
    """The place of a secret: the name of the environment variable that is to hold it."""

    name: str


type Template = tuple[str | Variable, ...]
"""Text with places for secrets. Bytes that were not UTF-8 are lone surrogates (PEP 383)."""


@dataclass(frozen=True, slots=True)
class Sendable:
    """`body` is as it was on the wire, with the content encoding that `headers` name. `accepts_encodings`: the client
    took compressed answers."""

    method: str
    scheme: str
    host: str
    port: int
    path: Template
    headers: tuple[tuple[str, Template], ...]
    body: bytes
    accepts_encodings: bool

    def variables(self) -> list[str]:
        """The environment variables that it needs, in the order they are used."""
        templates = [self.path, *(value for _, value in self.headers)]
        found = [part.name for template in templates for part in template if isinstance(part, Variable)]
        return list(dict.fromkeys(found))

    @property
    def url(self) -> Template:
        return join((f"{self.scheme}://{self.authority}", *self.path))

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == {"http": 80, "https": 443}.get(self.scheme) else f"{host}:{self.port}"


def check_sendable(record: dict[str, Any], role: str) -> dict[str, Any]:
    """The message of a flow that can be sent again. Raises CcinspectError with the reason why it cannot."""
    ident = str(record.get("id"))[:8]
    message = record.get(role) or record.get("request") or {}
    if record.get("type") != "http" or not message.get("method"):
        raise CcinspectError(
            f"flow {ident} is no HTTP request: there is nothing to send", "see: ccinspect flows list --type http"
        )
    if message["method"] == "CONNECT" or (record.get("response") or {}).get("status_code") == 101:
        raise CcinspectError(
            f"flow {ident} is a tunnel or a WebSocket: what went over it is more than one request",
            "its messages are shown by: ccinspect flows show ID",
        )
    if message.get("contentState") in ("lost", "none"):
        raise CcinspectError(
            f"the body of flow {ident} was not kept, so the request is not whole",
            "capture it with `store.bodies: full`",
        )
    if record.get("state") == "started":
        raise CcinspectError(f"flow {ident} is still going on", "wait until it has ended")
    return dict(message)


def sendable(message: dict[str, Any], body: bytes, providers: Providers | None = None) -> Sendable:
    """The request `message` (a block of a flow record) with its body as on the wire; `providers` name its key."""
    host = str(message.get("pretty_host") or message.get("host") or "").strip("[]")
    scheme = str(message.get("scheme") or "http")
    maker = _Templates(_key_variable(host, message, providers or Providers()))
    headers = [(str(name), str(value)) for name, value in message.get("headers") or ()]
    if str(message.get("http_version") or "").startswith(("HTTP/2", "HTTP/3")):
        headers = _with_one_cookie(headers)
    return Sendable(
        method=str(message["method"]),
        scheme=scheme,
        host=host,
        port=int(message.get("port") or (443 if scheme == "https" else 80)),
        path=maker.path(_path(message)),
        headers=tuple((name, maker.header(name, value)) for name, value in _kept(headers)),
        body=body,
        accepts_encodings=any(name.lower() == "accept-encoding" for name, _ in headers),
    )


def _with_one_cookie(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """HTTP/1 has one header of all the crumbs that HTTP/2 may send for themselves (RFC 9113, section 8.2.3)."""
    crumbs = [value for name, value in headers if name.lower() == "cookie"]
    if len(crumbs) < 2:
        return headers
    first = next(at for at, (name, _) in enumerate(headers) if name.lower() == "cookie")
    rest = [header for header in headers[first + 1 :] if header[0].lower() != "cookie"]
    return [*headers[:first], (headers[first][0], "; ".join(crumbs)), *rest]


def _key_variable(host: str, message: dict[str, Any], providers: Providers) -> str:
    """The environment variable in which programs look for the key of the provider at `host`: `OPENAI_API_KEY`."""
    match = providers.match(host, str(message.get("path") or ""), port=message.get("port"))
    name = re.sub(r"[^A-Z0-9]+", "_", match.provider.upper()) if match else ""
    return f"{name}_API_KEY".removeprefix("_")


def join(parts: Template) -> Template:
    """The same template with neighbouring texts made one, and empty ones left out."""
    made: list[str | Variable] = []
    for part in parts:
        if isinstance(part, str) and made and isinstance(made[-1], str):
            made[-1] += part
        elif part != "":
            made.append(part)
    return tuple(made)


def ascii_path(path: str) -> str:
    """A path as Python's http.client takes it: what is no printable ASCII, percent-encoded."""
    return quote(path.encode("utf-8", "surrogateescape"), safe="".join(map(chr, range(0x21, 0x7F))))


def _path(message: dict[str, Any]) -> str:
    path = str(message.get("path") or "/")
    if path.startswith(("http://", "https://")):
        # A proxy was asked in the absolute form.
        whole = url_of(message).split("/", 3)
        return f"/{whole[3]}" if len(whole) > 3 else "/"
    return path if path.startswith("/") else f"/{path}"


def _kept(headers: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    for name, value in headers:
        low = name.lower()
        if low not in _OF_THE_CONNECTION and not low.startswith((":", _OURS)):
            yield name, value


class _Templates:
    """Makes templates; a secret that comes twice gets one variable."""

    def __init__(self, key: str) -> None:
        self._key = key
        # What was kept in clear (`store.keep_secrets`) is a secret all the same.
        self._redactor = Redactor(secrets.token_bytes(32))
        self._variables: dict[str, str] = {}

    def header(self, name: str, value: str) -> Template:
        clean = self._redactor.header(name, value)
        hint = self._key if name.lower() in _AUTH else _variable_name(name)
        if name.lower() == "authorization" and self._key == "ANTHROPIC_API_KEY":
            hint = "ANTHROPIC_AUTH_TOKEN"
        return self._template(clean, hint)

    def path(self, path: str) -> Template:
        return self._template(self._redactor.url(path), self._key)

    def _template(self, clean: str, hint: str) -> Template:
        parts: list[str | Variable] = []
        at = 0
        for match in _REDACTED.finditer(clean):
            parts += [clean[at : match.start()], Variable(self._variable(match[0], hint))]
            at = match.end()
        return join((*parts, clean[at:]))

    def _variable(self, secret: str, hint: str) -> str:
        if secret not in self._variables:
            taken = set(self._variables.values())
            number, name = 1, hint
            while name in taken:
                number += 1
                name = f"{hint}_{number}"
            self._variables[secret] = name
        return self._variables[secret]


def _variable_name(header: str) -> str:
    name = re.sub(r"[^A-Z0-9]+", "_", header.upper()).strip("_")
    return name if name and not name[0].isdigit() else f"H_{name}"
