"""Secrets are taken out of records before anything reaches the disk.

What is left of a secret is `REDACTED~last4~fingerprint`: its last four characters where it is long enough for them to give
nothing away, and a keyed fingerprint, by which the same key is seen to be the same. The key is a random file in the
store's directory; without it a fingerprint cannot be searched for, with it only tried.

Records only: bodies are kept byte for byte. What is taken for a secret is said in docs/store.md.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

from ccinspect.store import secret_names as names

KEY_FILE = "fingerprint.key"
MARK = "REDACTED~"

_SCHEME = re.compile(r"\s*([A-Za-z][A-Za-z0-9_-]{0,30})[ \t]+(?=\S)(.*)", re.DOTALL)
_PARAMETER = re.compile(
    r"([?&;#]|%3[fF]|%26|^)([^=&;#?\s\"'<>%]+(?:%[0-9A-Fa-f]{2}[^=&;#?\s\"'<>%]*)*)(=|%3[dD])([^&;#\s\"'<>]*)"
)
_USERINFO = re.compile(r"(?<=://)([^/?#\s\"'<>@]+)@")
# Keys that are known by their form, wherever they stand.
_SHAPES = re.compile(
    r"""(?<![A-Za-z0-9])(?:
      sk-[A-Za-z0-9_-]{12,} | sk_(?:live|test)_[A-Za-z0-9]{12,} | rk_(?:live|test)_[A-Za-z0-9]{12,}
    | gh[pousr]_[A-Za-z0-9]{16,} | github_pat_[A-Za-z0-9_]{20,} | glpat-[A-Za-z0-9_-]{16,}
    | AIza[A-Za-z0-9_-]{30,} | ya29\.[A-Za-z0-9._-]{20,} | xox[abeoprs]-[A-Za-z0-9-]{10,} | xapp-[A-Za-z0-9-]{10,}
    | (?:AKIA|ASIA)[A-Z0-9]{16} | hf_[A-Za-z0-9]{20,} | gsk_[A-Za-z0-9]{20,} | xai-[A-Za-z0-9]{20,}
    | pplx-[A-Za-z0-9]{20,} | r8_[A-Za-z0-9]{20,} | npm_[A-Za-z0-9]{20,} | pypi-[A-Za-z0-9_-]{20,} | tgp_v1_[A-Za-z0-9_-]{20,}
    | eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*
    )""",
    re.VERBOSE,
)
_ASSIGNMENT = re.compile(
    r"""(?<![A-Za-z0-9_-])(-{0,2}[A-Za-z_][A-Za-z0-9_.-]*)(\s*[=:]\s*|\s+)("[^"]*"|'[^']*'|[^\s"';&|]+)"""
)
_HEADER_LINE = re.compile(r"^\s*([A-Za-z0-9_-]+)(\s*:\s*)(.+)$", re.DOTALL)
_USER_FLAGS = ("-u", "--user", "--proxy-user", "-U")


def load_key(store_dir: Path) -> bytes:
    """The fingerprint key of this store; made (0600) when there is none. Raises OSError."""
    path = store_dir / KEY_FILE
    try:
        key = path.read_bytes()
        if len(key) >= 16:
            return key
        path.unlink()
    except FileNotFoundError:
        pass
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    key = secrets.token_bytes(32)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key)
    return key


class Redactor:
    """Takes the secrets out of flow and run records; deterministic for one key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def flow(self, record: dict[str, Any]) -> dict[str, Any]:
        """A copy of a flow record without its secrets."""
        clean = dict(record)
        for name in ("request", "client_request", "response", "client_response"):
            block = clean.get(name)
            if isinstance(block, dict):
                clean[name] = self._head(block)
        if isinstance(clean.get("error"), dict):
            clean["error"] = {**clean["error"], "msg": self.text(_str(clean["error"].get("msg")))}
        if clean.get("hint"):
            clean["hint"] = self.text(_str(clean["hint"]))
        return clean

    def run(self, record: dict[str, Any]) -> dict[str, Any]:
        """A copy of a run record without the secrets of its command line, name and tags."""
        clean = dict(record)
        if isinstance(clean.get("command"), list | tuple):
            clean["command"] = self.command([_str(word) for word in clean["command"]])
        for name in ("name", "project"):
            if clean.get(name):
                clean[name] = self.text(_str(clean[name]))
        if isinstance(clean.get("tags"), dict):
            clean["tags"] = {key: self._tag(_str(key), _str(value)) for key, value in clean["tags"].items()}
        return clean

    def header(self, name: str, value: str) -> str:
        if names.is_cookie_header(name):
            return self._cookie(value, first_only=names.normal(name).startswith("set_"))
        if names.is_secret_header(name):
            return self._credential(value)
        return self.url(value)

    def url(self, text: str) -> str:
        """Take user and password, secret parameters and keys known by their form out of a URL, or of text that holds some."""
        if "=" in text or "%3" in text:
            text = _PARAMETER.sub(self._parameter, text)
        if "@" in text:
            text = _USERINFO.sub(self._userinfo, text)
        return self._shapes(text)

    def command(self, words: list[str]) -> list[str]:
        """A command line without secrets: flags and their values, assignments, header lines, URLs, known keys."""
        clean: list[str] = []
        expected: Callable[[str], str] | None = None
        for word in words:
            if expected is not None and not (word.startswith("--") and len(word) > 2):
                clean.append(expected(word))
                expected = None
                continue
            expected = None
            clean.append(self._word(word))
            if word in _USER_FLAGS:
                expected = self._after_colon
            elif word.startswith("-") and "=" not in word and names.is_secret_variable(word.lstrip("-")):
                expected = self._credential
        return clean

    def text(self, text: str) -> str:
        """Free text: assignments of secret names, URLs, known keys."""
        return self.url(_ASSIGNMENT.sub(self._assignment, text))

    def secret(self, value: str) -> str:
        """What is left of a secret."""
        if not value or value.startswith(MARK):
            return value
        digest = hmac.new(self._key, value.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:12]
        last = re.sub(r"[^A-Za-z0-9]", "_", value[-4:]) if len(value) >= 20 else ""
        return f"{MARK}{last}~{digest}"

    def _head(self, block: dict[str, Any]) -> dict[str, Any]:
        clean = dict(block)
        for name in ("headers", "trailers"):
            if clean.get(name):
                clean[name] = [[key, self._header_value(key, value)] for key, value in clean[name]]
        for name in ("path", "authority"):
            if clean.get(name):
                clean[name] = self.url(_str(clean[name]))
        if isinstance(clean.get("authority"), str) and "@" in clean["authority"]:
            clean["authority"] = self.url("//" + clean["authority"]).removeprefix("//")
        return clean

    def _header_value(self, name: Any, value: Any) -> str:
        return self.header(_str(name), _str(value))

    def _credential(self, value: str) -> str:
        scheme = _SCHEME.fullmatch(value)
        if scheme and scheme[1].isascii() and len(scheme[1]) < len(value.strip()) - 1:
            return f"{scheme[1]} {self.secret(scheme[2].strip())}"
        return self.secret(value.strip())

    def _cookie(self, value: str, first_only: bool) -> str:
        parts = value.split(";")
        for index, part in enumerate(parts):
            if first_only and index > 0:
                break
            name, equals, content = part.partition("=")
            if equals:
                parts[index] = f"{name}={self.secret(content.strip())}"
            elif part.strip():
                parts[index] = self.secret(part.strip())
        return ";".join(parts)

    def _parameter(self, match: re.Match[str]) -> str:
        mark, name, equals, value = match.groups()
        plain = unquote_plus(name)
        if names.is_secret_parameter(plain) or (
            names.normal(plain) in names.LONG_VALUE_PARAMETERS and len(value) >= names.LONG_VALUE
        ):
            return f"{mark}{name}{equals}{self.secret(value)}"
        return match[0]

    def _userinfo(self, match: re.Match[str]) -> str:
        user, colon, password = match[1].partition(":")
        return f"{user}:{self.secret(password)}@" if colon else f"{self.secret(user)}@"

    def _shapes(self, text: str) -> str:
        return _SHAPES.sub(lambda match: self.secret(match[0]), text) if len(text) >= 12 else text

    def _assignment(self, match: re.Match[str]) -> str:
        name, between, value = match.groups()
        spaced = between.isspace()
        if spaced and not name.startswith("-"):
            return match[0]
        if not names.is_secret_variable(name.lstrip("-")):
            return match[0]
        quote = value[0] if value[0] in "\"'" else ""
        return f"{name}{between}{quote}{self._credential(value.strip(quote) if quote else value)}{quote}"

    def _word(self, word: str) -> str:
        header = _HEADER_LINE.match(word)
        if header and (names.is_secret_header(header[1]) or names.is_cookie_header(header[1])):
            return f"{header[1]}{header[2]}{self.header(header[1], header[3])}"
        return self.text(word)

    def _after_colon(self, word: str) -> str:
        user, colon, password = word.partition(":")
        return f"{user}:{self.secret(password)}" if colon else self.text(word)

    def _tag(self, name: str, value: str) -> str:
        return self._credential(value) if names.is_secret_variable(name) else self.text(value)


def _str(value: object) -> str:
    if isinstance(value, bytes | bytearray):
        return bytes(value).decode("utf-8", "surrogateescape")
    return value if isinstance(value, str) else str(value)
