"""Which names of headers, query parameters, flags and variables stand for a secret: tables and patterns.

Names are compared in lower case, their words apart by `_`: `X-Api-Key`, `apiKey` and `API_KEY` are one.
When in doubt a name is secret; what is known to be harmless is listed.
"""

from __future__ import annotations

import re
from functools import lru_cache

_SECRET_HEADERS = {
    *("authorization", "proxy_authorization", "authentication", "authentication_info", "proxy_authentication_info"),
    *("api_key", "apikey", "x_apikey", "dpop", "x_auth", "x_csrftoken", "x_xsrftoken", "x_aws_ec2_metadata_token"),
    *("x_forwarded_client_cert", "x_goog_authenticated_user_jwt", "x_amz_credential", "x_amz_signature"),
}
_COOKIE_HEADERS = {"cookie", "set_cookie", "cookie2", "set_cookie2"}

# In a URL shorter names are usual than anyone would give a header.
_SECRET_PARAMETERS = {
    *("key", "apikey", "token", "auth", "authorization", "sig", "signature", "secret", "password", "passwd", "pwd"),
    *("pass", "credential", "jwt", "assertion", "client_assertion", "saml_response", "samlresponse", "code_verifier"),
    *("x_amz_signature", "x_amz_credential", "x_goog_signature", "x_goog_credential", "bearer", "oauth_verifier"),
    *("awsaccess_key_id", "google_access_id", "access_key_id", "sas", "session", "sid"),
}
# A one-time code in an OAuth redirect is a secret, `?code=404` is not: these count only with a long value.
_LONG_VALUE_PARAMETERS = {"code", "state", "ticket", "nonce"}
LONG_VALUE = 16

_OBVIOUS = re.compile(
    r"(?:^|_)(?:[a-z0-9]*token|[a-z0-9]*secret|(?:api|access|private|auth)key|passwd|password|passphrase"
    r"|credentials?|bearer|jwt|authorization)(?:_|$)"
    r"|(?:^|_)(?:api|access|private|secret|auth|signing|encryption|master|license|subscription)_key(?:_|$)"
    r"|_key$|_auth$|_pwd$"
)
_VARIABLE = re.compile(r"(?:^|_)(?:key|token|secret|pwd|passwd|password|passphrase|pass|auth|credentials?|pat)(?:_|$)")
# They look like a secret's name and are none: counts, cursors, names and places of things, nonces of a protocol.
_HARMLESS = re.compile(
    r"tokens|(?:^|_)(?:page|continuation|next|prev|previous|cursor|sync|max|min|num|cache|stop|start|end)_?token(?:_|$)"
    r"|token_?(?:count|counts|limit|limits|usage|type|budget|name|cost|rate|length|expiry|expires|expiration)(?:_|$)"
    r"|(?:secret|key|password|passwd|token|credentials?|auth)_?(?:name|type|mode|method|version|policy|status|length|file|path|dir"
    r"|helper|command|algorithm|format|size|env|vault_uri)(?:_|$)"
    r"|(?:^|_)(?:public|cache|primary|foreign|sort|partition|surrogate|idempotency|routing|web_socket|websocket|hot|row|object|dedup"
    r"|deduplication|shortcut)_key$"
    r"|^access_control_|^(?:www|proxy)_authenticate$|ratelimit|rate_limit|(?:^|_)(?:no|oauth|use)_auth$"
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def normal(name: str) -> str:
    return _CAMEL.sub("_", name.strip()).lower().replace("-", "_").replace(".", "_").strip("_")


@lru_cache(maxsize=2048)
def is_secret_header(name: str) -> bool:
    key = normal(name)
    return key in _SECRET_HEADERS or _obviously_secret(key)


@lru_cache(maxsize=2048)
def is_cookie_header(name: str) -> bool:
    return normal(name) in _COOKIE_HEADERS


@lru_cache(maxsize=2048)
def is_secret_parameter(name: str, long_value: bool) -> bool:
    """`long_value`: the value has LONG_VALUE characters or more."""
    key = normal(name)
    return key in _SECRET_PARAMETERS or (long_value and key in _LONG_VALUE_PARAMETERS) or _obviously_secret(key)


@lru_cache(maxsize=2048)
def is_secret_variable(name: str) -> bool:
    """Of `NAME=value`, `name: value` and `--name value` in a command line."""
    key = normal(name)
    return key in _SECRET_HEADERS or key in _COOKIE_HEADERS or _obviously_secret(key) or _secret_variable(key)


def _secret_variable(key: str) -> bool:
    return bool(_VARIABLE.search(key)) and not _HARMLESS.search(key)


def _obviously_secret(key: str) -> bool:
    return bool(_OBVIOUS.search(key)) and not _HARMLESS.search(key)
