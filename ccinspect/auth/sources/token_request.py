"""Asking a token server for new tokens: one HTTP request, as RFC 6749, section 6, describes it."""

from __future__ import annotations

import base64
import http.client
import json
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, quote_plus, urlencode

from ccinspect.auth.credential import SourceFailed
from ccinspect.auth.way import Way
from ccinspect.wire.jsontext import parse
from ccinspect.wire.model import Json, JsonObject

_MAX_ANSWER = 1 << 20
_LONGEST_LIFE = 10 * 365 * 86_400
_CODE = re.compile(r"[a-z_]{1,60}")
# RFC 6749, section 5.2: what the user has to mend, not the server.
_LOG_IN_AGAIN = {"invalid_grant": "log in again with the program that made the token file"}


@dataclass(frozen=True, slots=True, repr=False)
class Client:
    """Who asks."""

    id: str | None
    secret: str | None
    shows: str
    """`body` or `basic`."""


@dataclass(frozen=True, slots=True, repr=False)
class Tokens:
    access: str
    refresh: str | None
    """None when the old one stays good."""
    lifetime: float | None
    """Seconds."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    # The refresh token was meant for one place only.
    def redirect_request(self, *args: object, **kwargs: object) -> None:
        return None


class TokenServer:
    """One token URL."""

    def __init__(self, url: str, encoding: str, ca_file: Path | None = None) -> None:
        """`encoding` is `form` or `json`; `ca_file` holds authorities to trust beside the system's."""
        self._url = url
        self._encoding = encoding
        self._ca_file = ca_file
        self.way: Way | None = None
        """The proxy that requests go through."""

    def refresh(self, token: str, client: Client, parameters: Mapping[str, str], timeout: float) -> Tokens:
        """Trade a refresh token for an access token. Blocks. Raises SourceFailed, never with a token in it."""
        values = {"grant_type": "refresh_token", "refresh_token": token, **parameters}
        headers = {"Accept": "application/json", "User-Agent": "ccinspect"}
        if client.id and client.shows == "basic":
            # Both are form-encoded first (RFC 6749, section 2.3.1).
            pair = f"{quote_plus(client.id)}:{quote_plus(client.secret or '')}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        elif client.id:
            values |= {"client_id": client.id} | ({"client_secret": client.secret} if client.secret else {})
        status, answer, told = self._post(values, headers, timeout)
        access = answer.get("access_token")
        if not 200 <= status < 300 or not isinstance(access, str) or not access:
            raise _refusal(status, answer, told)
        fresh = answer.get("refresh_token")
        return Tokens(access, fresh if isinstance(fresh, str) and fresh else None, _lifetime(answer.get("expires_in")))

    def _post(self, values: dict[str, str], headers: dict[str, str], timeout: float) -> tuple[int, JsonObject, bool]:
        """(status, the answer's values, whether it had any)."""
        if self._encoding == "json":
            body, headers["Content-Type"] = json.dumps(values).encode(), "application/json"
        else:
            body, headers["Content-Type"] = urlencode(values).encode(), "application/x-www-form-urlencoded"
        if self.way is not None:
            return self._post_through(self.way, body, headers, timeout)
        request = urllib.request.Request(self._url, body, headers, method="POST")
        try:
            with self._opener().open(request, timeout=timeout) as response:
                return response.status, *_values(response.read(_MAX_ANSWER), response.headers.get_content_type())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, *_values(error.read(_MAX_ANSWER), error.headers.get_content_type())
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise SourceFailed(
                f"the token server cannot be reached: {_plain(reason)}", "see that `token_url` is right and reachable"
            ) from error

    def _post_through(
        self, way: Way, body: bytes, headers: dict[str, str], timeout: float
    ) -> tuple[int, JsonObject, bool]:
        # The standard library speaks no TLS to proxies. Imported here, because hardly anybody needs it.
        import httpx

        shown = {} if way.authorization is None else {"Proxy-Authorization": way.authorization}
        proxy = httpx.Proxy(way.url, headers=shown, ssl_context=self._tls() if way.url.startswith("https") else None)
        try:
            with httpx.Client(proxy=proxy, verify=self._tls(), timeout=timeout, trust_env=False) as client:
                answer = client.post(self._url, content=body, headers=headers)
        except (httpx.HTTPError, OSError) as error:
            raise SourceFailed(
                f"the token server cannot be reached through the upstream proxy: {_plain(error)}",
                "see that `token_url` and inspector.upstream_proxy are right",
            ) from error
        kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        return answer.status_code, *_values(answer.content[:_MAX_ANSWER], kind)

    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if self._ca_file is not None:
            context.load_verify_locations(self._ca_file)
        return context

    def _opener(self) -> urllib.request.OpenerDirector:
        # No proxy of the environment: it may be ourselves.
        return urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self._tls()), _NoRedirect()
        )


def _values(body: bytes, content_type: str) -> tuple[JsonObject, bool]:
    if content_type == "application/x-www-form-urlencoded":
        return dict(parse_qsl(body.decode("utf-8", "replace"))), True
    value, _ = parse(body)
    return (value, True) if isinstance(value, dict) else ({}, False)


def _refusal(status: int, answer: JsonObject, told: bool) -> SourceFailed:
    code = answer.get("error")
    # Its description is free text, which could repeat what was sent.
    if isinstance(code, str) and _CODE.fullmatch(code):
        hint = _LOG_IN_AGAIN.get(code, "see `client_id`, `client_secret` and `scope` of this provider")
        return SourceFailed(f"the token server answered {status}, {code}", hint)
    if 200 <= status < 300:
        what = "without an access token" if told else "with something that is not JSON"
        return SourceFailed(f"the token server answered {status} {what}", "see that `token_url` is right")
    hint = "try again later" if status == 429 or status >= 500 else "see that `token_url` is right"
    return SourceFailed(f"the token server answered {status}", hint)


def _lifetime(value: Json) -> float | None:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        return None
    return seconds if 0 < seconds < _LONGEST_LIFE else None


def _plain(reason: object) -> str:
    text = reason.strerror if isinstance(reason, OSError) and reason.strerror else str(reason)
    return text[:200] or type(reason).__name__
