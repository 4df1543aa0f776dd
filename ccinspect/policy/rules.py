"""One rule about where requests may go: `host[:port][/path]`, and for whom it holds.

Standard library only: `ccinspect run` checks its options with it before anything heavy is imported.
"""

from __future__ import annotations

import enum
import ipaddress
import re
from dataclasses import dataclass, field, replace
from urllib.parse import unquote

from ccinspect.policy.hosts import is_address, normal_host

SYNTAX = "a rule is HOST, HOST:PORT, HOST/PATH or an address like 10.0.0.0/8, where `*` stands for any part"
_MAX_RULE = 2_000
_MAX_STARS = 20


class Fit(enum.Enum):
    NO = 0
    PERHAPS = 1
    """It depends on a path or method that is not known (yet)."""
    YES = 2


@dataclass(frozen=True, slots=True)
class Wildcards:
    """A text where `*` stands for anything; matching takes linear time whatever the pattern."""

    pieces: tuple[str, ...]

    @classmethod
    def of(cls, pattern: str) -> Wildcards:
        return cls(tuple(re.sub(r"\*+", "*", pattern).split("*")))

    def fits(self, text: str) -> bool:
        first, *rest = self.pieces
        if not rest:
            return text == first
        last = rest.pop()
        if not text.startswith(first) or len(text) < len(first) + len(last):
            return False
        at, end = len(first), len(text) - len(last)
        for piece in rest:
            at = text.find(piece, at, end)
            if at < 0:
                return False
            at += len(piece)
        return text.endswith(last)


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Rule:
    """What is None holds for all."""

    text: str
    """As it was written, for people."""
    host: Wildcards | None = None
    network: Network | None = None
    port: int | None = None
    path: str | None = None
    methods: frozenset[str] | None = None
    run: str | None = None
    project: str | None = None
    origin: str = field(default="", compare=False)
    """Where it stands: `policy.deny[0]`, `--deny`."""

    def __str__(self) -> str:
        return f"{self.text} ({self.origin})" if self.origin else self.text

    @property
    def whole_host(self) -> bool:
        """Whether it holds for every port, path and method."""
        return self.port is None and self.path is None and self.methods is None

    def fits_host(self, host: str) -> bool:
        """`host` is normal, see `hosts`."""
        if self.network is not None:
            return is_address(host) and ipaddress.ip_address(host) in self.network
        return self.host is None or self.host.fits(host)

    def fits_who(self, project: str | None, run: str | None, run_name: str | None) -> bool:
        if self.project is not None and (project is None or not Wildcards.of(self.project).fits(project)):
            return False
        return self.run is None or _is_run(self.run, run, run_name)

    def fits(self, host: str, port: int, path: str | None, method: str | None, any_case: bool = False) -> Fit:
        """`path` is one reading of it, see `paths`; None for a path or method that is not known."""
        if not self.fits_host(host) or (self.port is not None and self.port != port):
            return Fit.NO
        unknown = False
        if self.methods is not None:
            if method is not None and method.upper() not in self.methods:
                return Fit.NO
            unknown = method is None
        if self.path is not None:
            if path is not None and not _is_below(self.path, path, any_case):
                return Fit.NO
            unknown = unknown or path is None
        return Fit.PERHAPS if unknown else Fit.YES


def _is_run(pattern: str, run: str | None, name: str | None) -> bool:
    if name is not None and Wildcards.of(pattern).fits(name):
        return True
    # As everywhere, a run is also named by the first characters of its id.
    return run is not None and len(pattern) >= 4 and "*" not in pattern and run.startswith(pattern.lower())


def _is_below(pattern: str, path: str, any_case: bool) -> bool:
    if any_case:
        pattern, path = pattern.casefold(), path.casefold()
    return Wildcards.of(pattern).fits(path) or Wildcards.of(f"{pattern}/*").fits(path)


def parse(text: str, origin: str = "") -> Rule:
    """Read `host[:port][/path]`. Raises ValueError with a text for people."""
    written = text.strip()
    if not written or len(written) > _MAX_RULE or written.count("*") > _MAX_STARS:
        raise ValueError(SYNTAX)
    if "://" in written:
        raise ValueError(f"leave out `{written.partition('://')[0]}://`: {SYNTAX}")
    if any(character in written for character in "@?#\\ \t\r\n"):
        raise ValueError(f"`{written}` has a character that no rule may hold: {SYNTAX}")
    network = _network(written)
    if network is not None:
        return Rule(written, network=network, origin=origin)
    place, slash, rest = written.partition("/")
    host, port = _host_and_port(place, written)
    return Rule(written, Wildcards.of(host), port=port, path=parse_path(slash + rest) if slash else None, origin=origin)


def parse_path(text: str) -> str | None:
    """The path of a rule, in the spelling it is compared in; None for `/`, below which everything is.

    Raises ValueError."""
    if not text.startswith("/"):
        raise ValueError(f"a path begins with a slash: `/{text}`")
    if any(segment in (".", "..") for segment in text.split("/")):
        raise ValueError("a path of a rule holds no `.` or `..`")
    return unquote(text).rstrip("/") or None


def _network(text: str) -> Network | None:
    address, slash, length = text.partition("/")
    address = address.removeprefix("[").removesuffix("]")
    if not slash or not length.isdecimal() or not length.isascii():
        return None
    try:
        return ipaddress.ip_network(f"{address}/{length}", strict=False)
    except ValueError:
        return None


def _host_and_port(place: str, written: str) -> tuple[str, int | None]:
    host, port = place, ""
    if place.startswith("["):
        host, bracket, rest = place.partition("]")
        host += bracket
        if rest and not rest.startswith(":"):
            raise ValueError(f"`{written}`: after `]` comes a port or nothing: {SYNTAX}")
        port = rest[1:]
    elif place.count(":") == 1:
        host, port = place.split(":")
    normal = normal_host(host, wildcards=True)
    if normal is None:
        raise ValueError(f"`{host}` is no host name or address: {SYNTAX}")
    if port in ("", "*"):
        if place.endswith(":"):
            raise ValueError(f"`{written}`: the port is missing")
        return normal, None
    if not (port.isascii() and port.isdecimal()) or not 1 <= int(port) <= 65535:
        raise ValueError(f"`{port}` is no port: it is a number from 1 to 65535, or `*`")
    return normal, int(port)


def restricted_to(
    rule: Rule, path: str | None, methods: frozenset[str] | None, run: str | None, project: str | None
) -> Rule:
    """The same rule with what its long form in the configuration says besides."""
    if path is not None and rule.path is not None:
        raise ValueError("the path is said twice: in `host` and in `path`")
    written = rule.text + (path or "")
    told = [*sorted(methods or ()), written, *(f"{k} {v}" for k, v in (("run", run), ("project", project)) if v)]
    return replace(
        rule,
        text=" ".join(told),
        path=rule.path if path is None else parse_path(path),
        methods=methods,
        run=run,
        project=project,
    )
