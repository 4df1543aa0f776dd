"""Refuse a request of HTTP/2 or HTTP/3 that would be another one in HTTP/1.

There a request begins with a line of three words. A method or a path with a space in it makes more of them, and which
one the upstream takes for the path is anybody's guess: not the one that the policy has judged. RFC 9113, section 8.2.1,
calls such a request malformed; in HTTP/1 mitmproxy refuses it by itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

from mitmproxy import http
from mitmproxy.proxy.layers import http as http_layer

# A token of RFC 9110, section 5.6.2.
_METHOD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_IN_NO_TARGET = re.compile(rb"[\x00-\x20\x7f]")


@cache
def install() -> None:
    """Adjust mitmproxy in this process. Idempotent; must run before the first connection."""
    http_layer.validate_request = _validating_line(http_layer.validate_request)  # type: ignore[assignment]


def mistake_in(request: http.Request) -> str | None:
    """What of a request cannot be said in HTTP/1; None when nothing is."""
    if not (request.is_http2 or request.is_http3):
        return None
    if not _METHOD.fullmatch(request.data.method):
        return "the method is no word"
    if _IN_NO_TARGET.search(request.data.path):
        return "the path has a space or control character in it"
    return None


def _validating_line(
    validate: Callable[[http_layer.HTTPMode, http.Request, bool], str | None],
) -> Callable[[http_layer.HTTPMode, http.Request, bool], str | None]:
    def validate_line(mode: http_layer.HTTPMode, request: http.Request, validate_inbound_headers: bool) -> str | None:
        mistake = mistake_in(request)
        if mistake is not None:
            return f"malformed request: {mistake}"
        return validate(mode, request, validate_inbound_headers)

    return validate_line
