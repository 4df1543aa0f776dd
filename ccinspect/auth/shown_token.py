"""Where a client may show `proxy.token`, and how it is taken off before anybody else sees the request.

* the header `x-ccinspect-token`
* `Proxy-Authorization`, as the password of Basic (whatever the user) or as Bearer: what proxy variables can say
* the beginning of the path, `/t/TOKEN/...`: what a base URL can say
* `Authorization`, as the password of Basic: what a base URL with `user:password@` becomes

Never the query: that is what ends up in logs of others.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Iterator
from urllib.parse import unquote

from ccinspect.auth.permission import TOKEN_HEADER
from ccinspect.pipeline.message import Headers

_PATH = "/t/"
_LONGEST = 4096


def takes_token(required: str | None, headers: Headers, path: str, *, proxy_only: bool = False) -> str | None:
    """The path without the token when the right one is shown in any place, else None. Takes it off `headers` too,
    but for TOKEN_HEADER, which is asked for again where a sentinel is used.

    `required` of None is shown by nobody. With `proxy_only` (CONNECT) only `Proxy-Authorization` and TOKEN_HEADER
    count.
    """
    found = None
    if any(is_right(value, required) for value in headers.get_all(TOKEN_HEADER)):
        found = path
    for name in ("proxy-authorization",) if proxy_only else ("proxy-authorization", "authorization"):
        bearer = name == "proxy-authorization"
        values = headers.get_all(name)
        if any(is_right(secret, required) for value in values for secret in _secrets(value, bearer)):
            headers.remove(name)
            found = path
    if not proxy_only and path.startswith(_PATH):
        shown, _, rest = path[len(_PATH) :].partition("/")
        query = shown.partition("?")[1:]
        if is_right(unquote(shown.partition("?")[0]), required):
            found = "/" + rest + "".join(query)
    return found


def is_right(shown: str | None, required: str | None) -> bool:
    """Compare in constant time; nothing and the empty text are never right."""
    if not required or not shown or len(shown) > _LONGEST:
        return False
    wanted = required.encode()
    # What a header holds is read as Latin-1, what a path or Basic holds as UTF-8.
    return any([hmac.compare_digest(shown.encode(coding, "replace"), wanted) for coding in ("utf-8", "latin-1")])


def _secrets(value: str, bearer: bool) -> Iterator[str]:
    scheme, _, rest = value.strip().partition(" ")
    if scheme.lower() == "bearer" and bearer:
        yield rest.strip()
    elif scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(rest.strip(), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return
        # Tools that know of no password put it in the user's place.
        yield password or user
