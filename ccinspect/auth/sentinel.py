"""Sentinel keys: what an agent is given in the place of a credential, and what is put in their place.

A sentinel only names a provider: `sk-ant-oat-ccinspect-NAME` (for tools that look at how a key begins) and
`sk-ccinspect-NAME` mean the same.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from urllib.parse import unquote_plus

from ccinspect.auth.credential import Credential, SourceFailed
from ccinspect.auth.places import HEADERS
from ccinspect.errors import CredentialsError
from ccinspect.pipeline.message import Headers, Outgoing

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
"""Names that a sentinel may hold, which are those of `providers`."""

_RANKS = {name.encode(): rank for rank, name in enumerate(HEADERS)}
_NO_RANK = len(_RANKS)
_ranks: dict[bytes, int] = {}
# Spellings of names that were met: a client could make up any number of them.
_MOST_SPELLINGS = 1_000
_LONGEST = 64
_MARK = b"ccinspect-"
_SENTINEL = re.compile(r"sk-(?:ant-oat-)?ccinspect-(.*)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Sentinel:
    """A sentinel as it was found."""

    name: str
    """Of the provider, in lower case; may be empty or name nobody: `Credentials.resolve` says so."""
    header: str
    """Where it stood, in lower case; `?key` for the query."""


def sentinel_for(name: str, like_anthropic: bool = False) -> str:
    """The key to give an agent. Raises CredentialsError for what cannot be a provider's name."""
    if not NAME.fullmatch(name):
        raise CredentialsError(
            f"`{name[:64]}` cannot be the name of a provider", "use letters, digits, dots, dashes and underscores"
        )
    return f"sk-ant-oat-ccinspect-{name}" if like_anthropic else f"sk-ccinspect-{name}"


def find_sentinel(headers: Headers, path: str = "") -> Sentinel | None:
    """The sentinel of a request: in `x-api-key`, `x-goog-api-key`, `Authorization`, `api-key`, then `?key=`.

    Names of headers, schemes and sentinels may be in any case. Costs about a microsecond when there is none.
    """
    best: Sentinel | None = None
    best_rank = _NO_RANK
    for key, value in headers.fields:
        # Half of the time of lower-casing each name of each request.
        rank = _ranks.get(key)
        if rank is None:
            rank = _learn(key)
        if rank < best_rank and (name := _name_in_header(value)) is not None:
            best, best_rank = Sentinel(name, HEADERS[rank]), rank
    if best is None and "ccinspect" in path.lower():
        name = _name_in_query(path)
        best = None if name is None else Sentinel(name, "?key")
    return best


def _learn(key: bytes) -> int:
    if len(key) > _LONGEST:
        return _NO_RANK
    if len(_ranks) >= _MOST_SPELLINGS:
        _ranks.clear()
    rank = _ranks[key] = _RANKS.get(key.lower(), _NO_RANK)
    return rank


def _name_in_header(value: bytes) -> str | None:
    if _MARK not in value.lower() and value[:6].lower() != b"basic ":
        return None
    text = value.decode("latin-1").strip()
    scheme, *rest = text.split(None, 1)
    if not rest or scheme.lower() != "basic":
        whole = _name(text)
        return _name(rest[0]) if whole is None and rest else whole
    try:
        user, _, password = base64.b64decode(rest[0], validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    found = _name(user)
    return _name(password) if found is None else found


def _name_in_query(path: str) -> str | None:
    query = path.partition("?")[2].partition("#")[0]
    for pair in query.split("&"):
        key, _, value = pair.partition("=")
        if unquote_plus(key).lower() == "key" and (name := _name(unquote_plus(value))) is not None:
            return name
    return None


def _name(key: str) -> str | None:
    found = _SENTINEL.fullmatch(key.strip())
    return found[1].strip().lower() if found else None


def apply(outgoing: Outgoing, credential: Credential) -> None:
    """Put the credential into the request, and take every other key out of it: headers and `key=` in the query.

    Raises CredentialsError when the request cannot be signed.
    """
    outgoing.path = without_key(outgoing.path)
    fields = outgoing.headers
    fields.remove(*(name for name in HEADERS if name != credential.header))
    for name, value in credential.headers:
        fields.set(name, value)
    if credential.signer is None:
        fields.set(credential.header, credential.prefix + credential.value)
        return
    fields.remove(credential.header)
    try:
        credential.signer(outgoing)
    except SourceFailed as failure:
        raise CredentialsError(
            f"the request to provider `{credential.provider}` cannot be signed: {failure.reason}; it was not sent",
            f"{failure.hint} (providers.{credential.provider}.auth)",
        ) from None


def without_key(path: str) -> str:
    """The path without `key=` in its query; the rest keeps its spelling."""
    bare, question, query = path.partition("?")
    if not question:
        return path
    query, hash_sign, fragment = query.partition("#")
    kept = [pair for pair in query.split("&") if unquote_plus(pair.partition("=")[0]).lower() != "key"]
    if len(kept) == query.count("&") + 1:
        return path
    return bare + (question + "&".join(kept) if kept else "") + hash_sign + fragment
