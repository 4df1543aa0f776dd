"""Which names of headers, query parameters, flags and variables stand for a secret: tables and one pattern.

Names are compared in lower case with `_` for `-`.
"""

from __future__ import annotations

import re
from functools import lru_cache

_SECRET_HEADERS = frozenset(
    """
    authorization proxy_authorization authentication authentication_info proxy_authentication_info x_authorization
    x_api_key x_goog_api_key api_key apikey x_auth x_auth_key x_auth_token x_access_token x_amz_security_token
    x_amz_credential x_ms_token_aad_access_token x_csrftoken x_xsrf_token x_vault_token private_token job_token
    ocp_apim_subscription_key x_functions_key x_rapidapi_key dpop x_goog_iam_authorization_token
    x_forwarded_access_token x_forwarded_authorization x_original_authorization x_serverless_authorization
    """.split()
)
_COOKIE_HEADERS = frozenset(("cookie", "set_cookie", "cookie2", "set_cookie2"))

# In a URL shorter names are common than anyone would give a header.
_SECRET_PARAMETERS = frozenset(
    """
    key api_key apikey access_token accesstoken refresh_token id_token token auth authorization auth_token authtoken
    sig signature secret client_secret password passwd pwd pass credential credentials jwt assertion client_assertion
    samlresponse code_verifier x_amz_signature x_amz_security_token x_amz_credential x_goog_signature
    x_goog_credential awsaccesskeyid googleaccessid se_sig sas_token session_token sessiontoken subscription_key
    private_token bearer bearer_token oauth_token oauth_verifier
    """.split()
)
# A one-time code in an OAuth redirect is a secret, `?code=404` is not: these count only with a long value.
LONG_VALUE_PARAMETERS = frozenset(("code", "state", "ticket", "nonce"))
LONG_VALUE = 16

_OBVIOUS = re.compile(
    r"(?:^|_)(?:(?:access_?|auth_?|api_?|bearer_?|id_?|refresh_?|session_?|security_?|csrf_?|xsrf_?|oauth_?)?token"
    r"|(?:client_?)?secret|(?:api|access|private|secret|auth|signing|encryption|master|account|service|subscription|ssh"
    r"|license)_?key|passwd|password|passphrase|credentials?|bearer|jwt|authorization)(?:_|$)"
)
# Names that look like a secret's and are none: counts, cursors, limits, what a server asks for.
_HARMLESS = re.compile(
    r"tokens|(?:^|_)(?:(?:next_?|prev_?|previous_?)?page|continuation|next|cursor|sync|max|min|num|cache)_?token(?:_|$)"
    r"|token_?(?:count|counts|limit|limits|usage|type|budget|budgets|name|id|cost|rate|length|expiry|expires|expiration)"
    r"|(?:secret|key|password|passwd|token|credential|credentials)_?(?:id|name|type|version|policy|status|length|file|path"
    r"|dir|helper|command)(?:_|$)"
    r"|^access_control_|^www_authenticate$|^proxy_authenticate$|^sec_websocket_|ratelimit|rate_limit"
)
# A file's or a command's name is no secret, but `--password-file=x` must not hide the header `x-secret-key-id` either:
# names in the tables above are secret whatever the patterns say.
_VARIABLE = re.compile(r"(?:^|_)(?:key|token|secret|pwd|passwd|password|passphrase|pass|auth|credentials?|pat)(?:_|$)")


def normal(name: str) -> str:
    return name.strip().lower().replace("-", "_").replace(".", "_").lstrip("_")


@lru_cache(maxsize=2048)
def is_secret_header(name: str) -> bool:
    key = normal(name)
    return key in _SECRET_HEADERS or _obviously_secret(key)


@lru_cache(maxsize=2048)
def is_cookie_header(name: str) -> bool:
    return normal(name) in _COOKIE_HEADERS


@lru_cache(maxsize=2048)
def is_secret_parameter(name: str) -> bool:
    key = normal(name)
    return key in _SECRET_PARAMETERS or _obviously_secret(key)


@lru_cache(maxsize=2048)
def is_secret_variable(name: str) -> bool:
    """For `NAME=value` and `--name value` of a command line, `NAME` being an environment variable or a flag."""
    key = normal(name)
    if _HARMLESS.search(key):
        return False
    return bool(_VARIABLE.search(key)) or key in _SECRET_PARAMETERS or _obviously_secret(key)


def _obviously_secret(key: str) -> bool:
    return bool(_OBVIOUS.search(key)) and not _HARMLESS.search(key)
