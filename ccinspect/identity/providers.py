"""Which provider a request goes to, and in which dialect it speaks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from ccinspect.errors import ConfigError
from ccinspect.identity.lookalike import looks_like
from ccinspect.identity.settings import ProviderSettings
from ccinspect.identity.table import AMAZON_Q_TARGETS, BUILT_IN, Entry, Routes

UNKNOWN = "unknown"
"""The provider of what looks like a model call to a host that nobody named."""

Headers = Iterable[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class ProviderMatch:
    """What a request's address says."""

    provider: str
    dialect: str | None = None
    """Codec that reads the call; None for other traffic to the same host, and where `declared` or `opaque`."""
    declared: bool = False
    """The call is read by the expressions of `providers.NAME`."""
    opaque: bool = False
    """A model call in a form nobody here reads."""
    guessed: bool = False
    """The host is not in the table; path and shape decided."""
    prices: str | None = None
    """The provider's name in genai-prices."""

    @property
    def is_call(self) -> bool:
        """A model call, and not other traffic to the same host."""
        return self.dialect is not None or self.declared or self.opaque


@dataclass(frozen=True, slots=True)
class ProviderInfo:
    """One line of `providers list`."""

    name: str
    title: str
    source: str
    """`built in`, `config`, or `built in + config`."""
    hosts: tuple[str, ...]
    dialects: tuple[str, ...]
    """Those spoken there; `expressions` where the configuration reads it, `opaque` where nobody can."""


class Providers:
    """The table: the built-in one, and over it what the configuration says. Made anew on `reload`."""

    def __init__(self, settings: Mapping[str, ProviderSettings] | None = None) -> None:
        """Raises ConfigError when an entry of `providers` says neither what to match nor how to read it."""
        settings = settings or {}
        built_in = {entry.name: entry for entry in BUILT_IN}
        declared = [_declared(name, values, built_in.get(name)) for name, values in settings.items()]
        self._places = [_Place(entry, values) for entry, values in declared]
        self._places += [_Place(entry, None) for entry in BUILT_IN]
        self._find = lru_cache(maxsize=4096)(self._find_uncached)

    def match(
        self, host: str, path: str, *, port: int | None = None, method: str = "POST", headers: Headers = ()
    ) -> ProviderMatch | None:
        """Tell the provider of a request by its address; None for a host that is in no table.

        `host` is the name asked for (or an IP address); `path` may hold a query. `headers` are needed for Amazon Q
        (`x-amz-target`) and for WebSocket upgrades.
        """
        places = self._find(host.lower().rstrip(".").strip("[]")[:255], port)
        if not places:
            return None
        bare = path.split("?", 1)[0][:2_000]
        said = {name.lower(): value for name, value in headers}
        # A WebSocket starts with a GET; over HTTP/2 with an extended CONNECT (RFC 8441).
        opens = said.get(b"upgrade", b"").lower() == b"websocket" or (method == "CONNECT" and b":protocol" in said)
        if method == "POST" or opens:
            for place in places:
                if call := place.call(bare, said):
                    return call
        return next((place.other for place in places if not place.entry.only_calls), None)

    def identify(
        self,
        host: str,
        path: str,
        *,
        port: int | None = None,
        method: str = "POST",
        headers: Headers = (),
        body: bytes = b"",
    ) -> ProviderMatch | None:
        """As `match`, and for hosts in no table a look at the body (without content encoding, or its start)."""
        headers = list(headers)
        known = self.match(host, path, port=port, method=method, headers=headers)
        if known is not None:
            return known
        dialect = looks_like(path, body, method, headers)
        return ProviderMatch(UNKNOWN, dialect, guessed=True) if dialect else None

    def listing(self) -> list[ProviderInfo]:
        """All providers, those of the configuration first."""
        rows: dict[str, ProviderInfo] = {}
        for place in self._places:
            row = place.info()
            earlier = rows.get(row.name)
            if earlier is not None:
                hosts = tuple(dict.fromkeys(earlier.hosts + row.hosts))
                dialects = tuple(dict.fromkeys(earlier.dialects + row.dialects))
                row = ProviderInfo(row.name, row.title, "built in + config", hosts, dialects)
            rows[row.name] = row
        return list(rows.values())

    def _find_uncached(self, host: str, port: int | None) -> tuple[_Place, ...]:
        return tuple(place for place in self._places if place.is_at(host, port))


class _Place:
    """One entry of the table, ready to be matched."""

    def __init__(self, entry: Entry, settings: ProviderSettings | None) -> None:
        self.entry = entry
        self.settings = settings
        self.other = ProviderMatch(entry.name, prices=entry.prices)
        self._declared = settings is not None and settings.has_expressions
        self._hosts = [_host_pattern(pattern) for pattern in entry.hosts]
        self._routes = [(_path_pattern(pattern), dialect) for pattern, dialect in entry.routes]
        self._opaque = [_path_pattern(pattern) for pattern in entry.opaque_calls]
        self._paths = [_path_pattern(pattern) for pattern in settings.paths or ("**",)] if settings else []

    def is_at(self, host: str, port: int | None) -> bool:
        return any(pattern.fullmatch(host) and wanted in (None, port) for pattern, wanted in self._hosts)

    def call(self, path: str, headers: Mapping[bytes, bytes]) -> ProviderMatch | None:
        name, prices = self.entry.name, self.entry.prices
        if self._declared:
            if any(pattern.fullmatch(path) for pattern in self._paths):
                return ProviderMatch(name, declared=True, prices=prices)
            return None
        for pattern, dialect in self._routes:
            if pattern.fullmatch(path):
                return ProviderMatch(name, dialect, prices=prices)
        if name == "amazon-q":
            target = headers.get(b"x-amz-target", b"").decode("ascii", "replace").rpartition(".")[2]
            if target in AMAZON_Q_TARGETS:
                return ProviderMatch(name, "amazon_q", prices=prices)
        if any(pattern.fullmatch(path) for pattern in self._opaque):
            return ProviderMatch(name, opaque=True, prices=prices)
        return None

    def info(self) -> ProviderInfo:
        dialects = tuple(dict.fromkeys(dialect for _, dialect in self.entry.routes))
        if self._declared:
            dialects = ("expressions",)
        elif self._opaque:
            dialects = ("opaque",)
        source = "config" if self.settings else "built in"
        return ProviderInfo(self.entry.name, self.entry.title, source, self.entry.hosts, dialects)


def _declared(name: str, settings: ProviderSettings, built_in: Entry | None) -> tuple[Entry, ProviderSettings]:
    """The entry that `providers.NAME` makes, or adds to the built-in one of that name."""
    if name == UNKNOWN:
        raise ConfigError(f"providers.{name}: this name marks hosts that are in no table", "choose another name")
    prices = settings.prices or (built_in.prices if built_in else None)
    title = built_in.title if built_in else name
    routes: Routes = ()
    if settings.dialect:
        routes = tuple((path, settings.dialect) for path in settings.paths or ("**",))
    elif not settings.has_expressions:
        if built_in is None:
            raise ConfigError(
                f"providers.{name}: nothing says how its calls are read",
                "give it a `dialect`, or jq expressions under `request`, `response` and `stream`",
            )
        # More hosts for a provider we know.
        routes = built_in.routes
    return Entry(name, title, tuple(settings.hosts), routes, prices), settings


def _host_pattern(pattern: str) -> tuple[re.Pattern[str], int | None]:
    host, colon, port = pattern.lower().rpartition(":")
    if not colon or not port.isdecimal() or host.endswith(":"):
        host, port = pattern.lower(), ""
    pieces = map(re.escape, host.strip("[]").split("*"))
    return re.compile(".+".join(pieces)), int(port) if port else None


def _path_pattern(pattern: str) -> re.Pattern[str]:
    escaped = {"**": ".*", "*": "[^/]*"}
    return re.compile("".join(escaped.get(piece, re.escape(piece)) for piece in re.split(r"(\*\*|\*)", pattern)))
