"""Refreshing an access token (RFC 6749, section 6) that lives in a JSON file, which other programs may use too."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ccinspect.auth.settings import OAuth2Source

# Refreshed this long before it expires.
_MARGIN = 60.0
_MILLISECONDS = 10**11
_MAX_ANSWER = 1 << 20


class OAuth2Error(Exception):
    """Says what went wrong, without any token."""


def access_token(source: OAuth2Source, *, force: bool = False) -> tuple[str, float | None]:
    """(token, seconds it is still good for, or None when that is not said). Blocking. Raises OAuth2Error.

    `force`: the one in the file was refused.
    """
    path = source.file.expanduser()
    with _locked(path):
        tokens = _load(path)
        token = _get(tokens, source.access_field)
        expires = _expiry(_get(tokens, source.expires_field))
        good_for = expires - time.time() if expires is not None else None
        if isinstance(token, str) and token and not force and (good_for is None or good_for > _MARGIN):
            return token, good_for
        return _refresh(source, path, tokens)


def _refresh(source: OAuth2Source, path: Path, tokens: dict[str, Any]) -> tuple[str, float | None]:
    refresh = _get(tokens, source.refresh_field)
    if not isinstance(refresh, str) or not refresh:
        raise OAuth2Error(f"{path} has no refresh token at `{source.refresh_field}`")
    form = {
        "grant_type": "refresh_token",
        "refresh_token": refresh,
        "client_id": source.client_id,
        "client_secret": source.client_secret,
        "scope": source.scope,
    }
    answer = _post(source, {key: value for key, value in form.items() if value is not None})
    token = answer.get("access_token")
    if not isinstance(token, str) or not token:
        raise OAuth2Error(f"{source.token_url} answered without an access_token")
    _set(tokens, source.access_field, token)
    if isinstance(answer.get("refresh_token"), str):
        _set(tokens, source.refresh_field, answer["refresh_token"])
    lifetime = answer.get("expires_in")
    good_for = float(lifetime) if isinstance(lifetime, int | float) and not isinstance(lifetime, bool) else None
    if good_for is not None:
        old = _get(tokens, source.expires_field)
        in_milliseconds = isinstance(old, int | float) and old > _MILLISECONDS
        _set(tokens, source.expires_field, int((time.time() + good_for) * (1000 if in_milliseconds else 1)))
    _write(path, tokens)
    return token, good_for


def _post(source: OAuth2Source, form: dict[str, str]) -> dict[str, Any]:
    request = urllib.request.Request(
        source.token_url,
        urllib.parse.urlencode(form).encode(),
        {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=source.timeout) as response:
            answer = json.loads(response.read(_MAX_ANSWER))
    except urllib.error.HTTPError as error:
        raise OAuth2Error(f"{source.token_url} answered {error.code}{_reason(error)}") from error
    except (OSError, ValueError) as error:
        raise OAuth2Error(f"{source.token_url}: {error}") from error
    if not isinstance(answer, dict):
        raise OAuth2Error(f"{source.token_url} answered with no JSON object")
    return answer


def _reason(error: urllib.error.HTTPError) -> str:
    """The error code of RFC 6749, section 5.2; nothing else of the answer is repeated."""
    try:
        code = json.loads(error.read(_MAX_ANSWER)).get("error")
    except (OSError, ValueError, AttributeError):
        return ""
    return f" ({code[:60]})" if isinstance(code, str) and code.isprintable() else ""


def _load(path: Path) -> dict[str, Any]:
    try:
        tokens = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not JSON"
        raise OAuth2Error(f"{path} cannot be read: {reason}") from error
    if not isinstance(tokens, dict):
        raise OAuth2Error(f"{path} holds no JSON object")
    return tokens


def _write(path: Path, tokens: dict[str, Any]) -> None:
    """Replace the file in one step, readable by its owner only."""
    target = path.resolve()
    try:
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(descriptor, "w") as stream:
                json.dump(tokens, stream, indent=2)
                stream.write("\n")
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(name, target)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise OAuth2Error(f"the new tokens cannot be written to {path}: {error.strerror}") from error


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One refresh at a time, also of several daemons: most servers take a refresh token once."""
    try:
        descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise OAuth2Error(f"{path}.lock cannot be opened: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _get(tokens: dict[str, Any], field: str) -> Any:
    value: Any = tokens
    for key in field.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _set(tokens: dict[str, Any], field: str, value: Any) -> None:
    *way, last = field.split(".")
    for key in way:
        inner = tokens.get(key)
        if not isinstance(inner, dict):
            inner = tokens[key] = {}
        tokens = inner
    tokens[last] = value


def _expiry(value: Any) -> float | None:
    """Seconds since 1970 of a number in seconds or milliseconds."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value / 1000 if value > _MILLISECONDS else float(value)
