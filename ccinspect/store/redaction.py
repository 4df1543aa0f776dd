"""Secrets are taken out of records before anything reaches the disk.

What is left of a secret is `REDACTED~last4~fingerprint`: its last four characters where it is long enough for them to
give nothing away, and a keyed fingerprint, by which the same key is seen to be the same. The fingerprint's key is a
random file in the store's directory: without it a guess at a secret cannot even be checked.

Records only: bodies are kept byte for byte. docs/store.md says what is taken for a secret.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, unquote_plus

from ccinspect.identity.arguments import HIDDEN
from ccinspect.store import secret_names as names

KEY_FILE = "fingerprint.key"
MARK = "REDACTED~"
_SHOW_LAST_FROM = 20

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9-]{1,40})[ \t]+(\S.*)", re.DOTALL)
_KNOWN_SCHEMES = {"bearer", "basic", "token", "digest", "apikey", "api-key", "key", "oauth", "negotiate", "dpop"}
# In headers too: `;` and `,` part parameters there. A name may hold percent escapes (`api%5Fkey`). Values are matched
# only where the name is a secret's: else each would be read to its end once for every `=` before it.
_PARAMETER = (
    re.compile(
        r"((?:[?&;#,{=]|^)[ \t]*)"
        r"([^=&;#?,\s\"'<>%{]+(?:%[0-9A-Fa-f]{2}[^=&;#?,\s\"'<>%{]*)*)="
    ),
    re.compile(r"\"[^\"]*\"|[^&;#\s\"'<>]*"),
)
# The same in a URL that is itself a parameter (`?next=https%3A%2F%2Fhost%3Ftoken%3Dx`).
_ENCODED_PARAMETER = (
    re.compile(r"(%3[fF]|%26|%23)((?:(?!%26|%3[dDfF])[^&=;#?\s]){1,100})%3[dD]"),
    re.compile(r"(?:(?!%26|%23)[^&;#\s\"'<>])*"),
)
_USERINFO = re.compile(r"(?<=://)([^/?#\s\"'<>]+)@")
# A name and what parts it from its value: `NAME=`, `name: `, `"name": `, `--name `.
_NAME = re.compile(r"(?<![A-Za-z0-9_-])(-{0,2}[A-Za-z_][A-Za-z0-9_.-]*)([\"']?\s*[=:]\s*|\s+)")
_VALUE = re.compile(r"\"[^\"]*\"|'[^']*'|(?:(?:bearer|basic|token|digest)\s+)?[^\s\"';&|,]+", re.IGNORECASE)
_CREDENTIALS = re.compile(r"\b(bearer|basic)(\s+)([A-Za-z0-9._~+/=-]{8,})", re.IGNORECASE)
# Keys that are known by their form, wherever they stand.
_SHAPES = re.compile(
    r"""(?<![A-Za-z0-9])(?:
      sk-[A-Za-z0-9_-]{12,} | [rs]k_(?:live|test)_[A-Za-z0-9]{12,} | whsec_[A-Za-z0-9+/=]{16,}
    | gh[pousr]_[A-Za-z0-9]{16,} | github_pat_[A-Za-z0-9_]{20,} | glpat-[A-Za-z0-9_-]{16,}
    | AIza[A-Za-z0-9_-]{30,} | ya29\.[A-Za-z0-9._-]{20,} | (?:AKIA|ASIA)[A-Z0-9]{16}
    | xox[abeoprs]-[A-Za-z0-9-]{10,} | xapp-[A-Za-z0-9-]{10,} | services/T[A-Z0-9]+/B[A-Z0-9]+/[A-Za-z0-9]{16,}
    | hf_[A-Za-z0-9]{20,} | gsk_[A-Za-z0-9]{20,} | xai-[A-Za-z0-9]{20,} | pplx-[A-Za-z0-9]{20,} | r8_[A-Za-z0-9]{20,}
    | npm_[A-Za-z0-9]{20,} | pypi-[A-Za-z0-9_-]{20,} | tgp_v1_[A-Za-z0-9_-]{20,} | bot[0-9]{6,}:[A-Za-z0-9_-]{30,}
    | eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*
    )""",
    re.VERBOSE,
)
# Flags whose value is `user:password`, alone and inside of a shell's string. `-u https://...` is an address.
_USER_FLAGS = re.compile(r"-[A-Za-z]{0,9}[uU]|--(?:proxy-)?user")
_USER_AND_PASSWORD = re.compile(r"[^\s:/]*:(?!//).+", re.DOTALL)
_USER_FLAG = re.compile(
    r"(?<![^\s\"'])((?:-[A-Za-z]{0,9}[uU]|--(?:proxy-)?user(?=[\s=]))(?:\s{1,9}|=)?[\"']?)([^\s:/\"'-][^\s:/\"']{0,99}:(?!//)[^\s\"']+)"
)
_COOKIE_FLAGS = {"-b", "--cookie"}
_COOKIE_LINE = re.compile(r"[^\"'\n]*")


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
    key = secrets.token_bytes(32)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(key)
    return key


class Redactor:
    """Takes the secrets out of flow and run records; the same key gives the same result."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        # A process opens many connections.
        self._known_command = lru_cache(maxsize=256)(lambda words: tuple(self.command(list(words))))

    def flow(self, record: dict[str, Any]) -> dict[str, Any]:
        """A copy of a flow record without its secrets."""
        clean = dict(record)
        for name in ("request", "client_request", "response", "client_response"):
            if isinstance(clean.get(name), dict):
                clean[name] = self._message(clean[name])
        if isinstance(clean.get("error"), dict):
            clean["error"] = {**clean["error"], "msg": self.text(_str(clean["error"].get("msg")))}
        if clean.get("hint"):
            clean["hint"] = self.text(_str(clean["hint"]))
        if clean.get("changes"):
            clean["changes"] = self._texts(clean["changes"])
        if isinstance(clean.get("process"), dict):
            clean["process"] = self._process(clean["process"])
        return clean

    def run(self, record: dict[str, Any]) -> dict[str, Any]:
        """A copy of a run record without the secrets of its command line, name, project and tags."""
        clean = dict(record)
        if isinstance(clean.get("command"), list | tuple):
            clean["command"] = self.command([_str(word) for word in clean["command"]])
        for name in ("name", "project"):
            if clean.get(name):
                clean[name] = self.text(_str(clean[name]))
        if isinstance(clean.get("tags"), dict):
            clean["tags"] = {_str(name): self._tag(_str(name), _str(value)) for name, value in clean["tags"].items()}
        return clean

    def header(self, name: str, value: str) -> str:
        """A header's value without its secret, or the secrets in it."""
        if names.is_cookie_header(name):
            return self._cookies(value, only_first=names.normal(name).startswith("set_"))
        if names.is_secret_header(name):
            return self._credential(value, any_scheme="authorization" in name.lower())
        return self.url(value)

    def url(self, text: str) -> str:
        """A URL, or text with URLs, without user and password, secret parameters, and keys known by their form."""
        if "=" in text:
            text = self._parameters(_PARAMETER, text)
        if "%3" in text:
            text = self._parameters(_ENCODED_PARAMETER, text)
        if "@" in text:
            text = _USERINFO.sub(self._userinfo, text)
        return _SHAPES.sub(self._matched, text)

    def command(self, words: list[str]) -> list[str]:
        """A command line without the values of secret flags, assignments and headers, and without known keys."""
        clean: list[str] = []
        before = ""
        for word in words:
            if _USER_FLAGS.fullmatch(before) and _USER_AND_PASSWORD.fullmatch(word):
                clean.append(self._userinfo_text(word))
            elif before in _COOKIE_FLAGS and "=" in word:
                clean.append(self._cookies(word, only_first=False))
            elif _is_secret_flag(before) and not word.startswith("--"):
                clean.append(self._credential(word))
            else:
                clean.append(self.text(word))
            before = word
        return clean

    def text(self, text: str) -> str:
        """Free text without assignments to secret names (`KEY=x`, `x-api-key: x`, `--token x`), and as `url`."""
        text = _USER_FLAG.sub(lambda match: match[1] + self._userinfo_text(match[2]), text)
        parts: list[str] = []
        at = 0
        while match := _NAME.search(text, at):
            parts.append(text[at : match.end()])
            at = match.end()
            clean, at = self._assigned(match[1], match[2], text, at)
            parts.append(clean)
        parts.append(text[at:])
        return self.url(_CREDENTIALS.sub(lambda m: f"{m[1]}{m[2]}{self.secret(m[3])}", "".join(parts)))

    def secret(self, value: str) -> str:
        """What is left of a secret."""
        if not value or value.startswith(MARK) or value == HIDDEN:
            return value
        digest = hmac.new(self._key, value.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:12]
        last = re.sub(r"[^A-Za-z0-9]", "_", value[-4:]) if len(value) >= _SHOW_LAST_FROM else ""
        return f"{MARK}{last}~{digest}"

    def _texts(self, value: Any) -> Any:
        """JSON with each of its texts cleaned: what hooks, routes and attempts said of themselves."""
        if isinstance(value, dict):
            return {name: self._texts(item) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._texts(item) for item in value]
        return self.text(_str(value)) if isinstance(value, str | bytes) else value

    def _process(self, process: dict[str, Any]) -> dict[str, Any]:
        """A process, and those that it was started by, without the secrets of their command lines."""
        clean = dict(process)
        if isinstance(clean.get("argv"), list | tuple):
            clean["argv"] = list(self._known_command(tuple(_str(word) for word in clean["argv"])))
        if isinstance(clean.get("parents"), list | tuple):
            clean["parents"] = [self._process(parent) for parent in clean["parents"]]
        return clean

    def _message(self, block: dict[str, Any]) -> dict[str, Any]:
        clean = dict(block)
        for name in ("headers", "trailers"):
            if clean.get(name):
                clean[name] = [[key, self.header(_str(key), _str(value))] for key, value in clean[name]]
        if clean.get("path"):
            clean["path"] = self.url(_str(clean["path"]))
        if "@" in _str(clean.get("authority") or ""):
            clean["authority"] = self.url("//:" + "//" + _str(clean["authority"])).removeprefix("//://")
        return clean

    def _assigned(self, name: str, between: str, text: str, at: int) -> tuple[str, int]:
        """What is left of the value that begins at `at`, and where it ends; nothing if `name` names no secret."""
        if between.isspace() and not name.startswith("-"):
            return "", at
        if names.is_cookie_header(name) and ":" in between:
            line = _COOKIE_LINE.match(text, at)
            return (self._cookies(line[0], only_first=False), line.end()) if line else ("", at)
        value = _VALUE.match(text, at) if names.is_secret_variable(name.lstrip("-")) else None
        return (self._quoted(value[0]), value.end()) if value else ("", at)

    def _credential(self, value: str, any_scheme: bool = False) -> str:
        value = value.strip()
        scheme = _SCHEME.fullmatch(value)
        if scheme and (any_scheme or scheme[1].lower() in _KNOWN_SCHEMES):
            return f"{scheme[1]} {self.secret(scheme[2])}"
        return self.secret(value)

    def _cookies(self, value: str, only_first: bool) -> str:
        first, *rest = value.split(";")
        return ";".join([self._cookie(first), *(rest if only_first else map(self._cookie, rest))])

    def _cookie(self, text: str) -> str:
        name, equals, value = text.partition("=")
        return f"{name}={self.secret(value.strip())}" if equals else self.secret(text.strip())

    def _parameters(self, patterns: tuple[re.Pattern[str], re.Pattern[str]], text: str) -> str:
        parameter, assigned = patterns
        parts: list[str] = []
        at = 0
        # From one character before: the `=` of a parameter may part the next one off, as in `?q=token=x`.
        while match := parameter.search(text, max(0, at - 1)):
            parts.append(text[at : match.end()])
            at = match.end()
            name = unquote_plus(match[2])
            value = assigned.match(text, at) if names.is_secret_parameter(name, long_value=True) else None
            if value and names.is_secret_parameter(name, long_value=len(value[0]) >= names.LONG_VALUE):
                parts.append(self._quoted(value[0]))
                at = value.end()
        return "".join(parts) + text[at:]

    def _quoted(self, value: str) -> str:
        quote = value[0] if value[:1] in ("'", '"') else ""
        inner = value.strip(quote) if quote else value
        return f"{quote}{self._credential(unquote(inner) if '%' in inner else inner)}{quote}"

    def _userinfo(self, match: re.Match[str]) -> str:
        return self._userinfo_text(match[1]) + "@"

    def _userinfo_text(self, text: str) -> str:
        """`user:password`: some services take a key for either."""
        user, _, password = text.partition(":")
        if not password:
            return text if user == "git" else self.secret(user) + text[len(user) :]
        return f"{_SHAPES.sub(self._matched, user)}:{self.secret(password)}"

    def _matched(self, match: re.Match[str]) -> str:
        return self.secret(match[0])

    def _tag(self, name: str, value: str) -> str:
        return self._credential(value) if names.is_secret_variable(name) else self.text(value)


def known_keys(text: str) -> Iterator[tuple[int, int]]:
    """Where keys stand in `text` that are known by their form: (start, end) of each."""
    return (match.span() for match in _SHAPES.finditer(text))


def _is_secret_flag(word: str) -> bool:
    return word.startswith("-") and "=" not in word and names.is_secret_variable(word.lstrip("-"))


def _str(value: object) -> str:
    if isinstance(value, bytes | bytearray):
        return bytes(value).decode("utf-8", "surrogateescape")
    return value if isinstance(value, str) else str(value)
