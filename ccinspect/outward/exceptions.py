"""Which places are reached without the upstream proxy, in the manner of `NO_PROXY`.

Every tool reads that variable in its own way; what all agree on means the same here.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class _Entry:
    """One exception: exactly one of `suffix` and `network` is set, or neither for `*`."""

    suffix: str | None
    network: _Network | None
    port: int | None
    exact: bool = False
    """The suffix is a whole name: names below it are no exception."""

    def covers(self, name: str, address: _Address | None, port: int | None) -> bool:
        if self.port is not None and port != self.port:
            return False
        if self.network is not None:
            return address is not None and address.version == self.network.version and address in self.network
        if self.suffix is None:
            return True
        if address is not None:
            return False
        return name.endswith(f".{self.suffix}") or (not self.exact and name == self.suffix)


class Exceptions:
    """A list of exceptions. The loopback always is one: no proxy could reach ours."""

    def __init__(self, entries: Iterable[_Entry]) -> None:
        self._entries = tuple(entries)

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Exceptions:
        """Each text is `*`, a name (with all names below it), `.name` or `*.name` (only those below it), an address or
        a network (`10.0.0.0/8`), and may end in `:PORT`. Raises ValueError naming the text."""
        return cls([_parse(text) for text in texts])

    def match(self, host: str, port: int | None) -> bool:
        """Whether `host` (a name or an address) is reached directly; names are not resolved.

        With a port of None only exceptions without a port are asked.
        """
        name = host.strip("[]").rstrip(".").lower()
        address = _address(name)
        if is_loopback(name, address):
            return True
        return any(entry.covers(name, address, port) for entry in self._entries)


def is_loopback(name: str, address: _Address | None = None) -> bool:
    """Whether a name or address never leaves this machine."""
    address = address or _address(name)
    if address is not None:
        return address.is_loopback or address.is_unspecified
    return name == "localhost" or name.endswith(".localhost")


def _address(text: str) -> _Address | None:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _parse(text: str) -> _Entry:
    whole = text.strip().lower()
    rest, port = _split_port(text, whole)
    if rest == "*":
        return _Entry(None, None, port)
    try:
        return _Entry(None, ipaddress.ip_network(rest.strip("[]"), strict=False), port)
    except ValueError:
        pass
    below = rest.startswith((".", "*."))
    name = rest.removeprefix("*").removeprefix(".").rstrip(".")
    if not name or not all(c.isalnum() or c in "-_." for c in name) or ".." in name:
        raise ValueError(f"{text!r} is no host name, address, network or `*`, with or without a port")
    return _Entry(_ascii(name), None, port, exact=below)


def _split_port(text: str, whole: str) -> tuple[str, int | None]:
    before, colon, after = whole.rpartition(":")
    # An IPv6 address has colons of its own, and a port only behind brackets.
    if not colon or after.endswith("]") or (":" in before and not before.endswith("]")):
        return whole, None
    if not (after.isdigit() and 0 < int(after) < 65536):
        raise ValueError(f"{text!r}: {after!r} is not a port")
    return before, int(after)


def _ascii(name: str) -> str:
    try:
        return name.encode("idna").decode()
    except UnicodeError:
        return name
