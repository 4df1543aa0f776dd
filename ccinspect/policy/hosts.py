"""Names of hosts in one spelling, so that no other spelling of a name slips past a rule.

A normal host is lower-case ASCII without a dot at its end, an IPv4 address in four decimal numbers, or an IPv6 address
in its shortest form without brackets. What a resolver could take for an address is one (`127.1`, `0x7f000001`).
Whatever cannot be read in exactly one way is None: the caller decides what that means, and it should mean no.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from urllib.parse import unquote

MAX_HOST = 253

_LABEL = re.compile(r"[a-z0-9_*](?:[a-z0-9_*-]{0,61}[a-z0-9_*])?")
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*")
_USERINFO = re.compile(r"[A-Za-z0-9._~%!$&'()*+,;=:-]*")
_PORT = re.compile(r"[0-9]{0,5}")
_ABSOLUTE = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)(.*)", re.DOTALL)
# The addresses behind which a translator puts all of IPv4 (RFC 6052).
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

DEFAULT_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}


def normal_host(text: str, wildcards: bool = False) -> str | None:
    """The host in its normal spelling; None when it is none. `wildcards`: a pattern, where labels may hold `*`."""
    host = text.removesuffix("]").removeprefix("[") if text[:1] == "[" and text[-1:] == "]" else text
    if len(host) > 4 * MAX_HOST or not host:
        return None
    if ":" in host:
        return _ipv6(host)
    if text is not host:
        return None
    if "%" in host:
        host = unquote(host, errors="strict") if _decodes(host) else "%"
    ascii_host = host.lower() if host.isascii() else _to_ascii(host)
    if ascii_host is None:
        return None
    labels = ascii_host.removesuffix(".").split(".")
    joined = ".".join(labels)
    if len(joined) > MAX_HOST or not all(_LABEL.fullmatch(label) for label in labels):
        return None
    if "*" in joined:
        return joined if wildcards else None
    return _ipv4(joined) if _NUMBER.fullmatch(labels[-1]) else joined


def _decodes(host: str) -> bool:
    try:
        unquote(host, errors="strict")
    except UnicodeDecodeError:
        return False
    return True


def _to_ascii(host: str) -> str | None:
    # Only here: most programs never see a name outside of ASCII.
    import idna

    try:
        mapped = idna.uts46_remap(host, std3_rules=False)
        return ".".join(label if label.isascii() else idna.alabel(label).decode() for label in mapped.split("."))
    except (idna.IDNAError, UnicodeError):
        return None


def _ipv4(text: str) -> str | None:
    try:
        return socket.inet_ntoa(socket.inet_aton(text))
    except OSError:
        return None


def _ipv6(text: str) -> str | None:
    try:
        address = ipaddress.IPv6Address(text.split("%", 1)[0])
    except ValueError:
        return None
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    if address in _NAT64:
        return str(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return str(address)


def is_address(host: str) -> bool:
    """Whether a normal host is an IP address."""
    return ":" in host or _NUMBER.fullmatch(host.rpartition(".")[2]) is not None


def is_loopback(host: str) -> bool:
    """Whether a normal host always means this machine (RFC 6761 for the names)."""
    if is_address(host):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost" or host.endswith(".localhost")


def split_authority(text: str) -> tuple[str, int | None] | None:
    """`[user@]host[:port]` as (normal host, port or None); None when it cannot be read in exactly one way."""
    user, at, place = text.rpartition("@")
    if at and not _USERINFO.fullmatch(user):
        return None
    host, port = place, ""
    if place[:1] == "[":
        host, bracket, rest = place.partition("]")
        if not bracket or (rest and rest[0] != ":"):
            return None
        host, port = host + bracket, rest[1:]
    elif place.count(":") == 1:
        host, port = place.split(":")
    if not _PORT.fullmatch(port) or int(port or 0) > 65535:
        return None
    normal = normal_host(host)
    return None if normal is None else (normal, int(port) if port else None)


def split_absolute(target: str) -> tuple[str, int | None, str] | None:
    """A request target in absolute form (`http://host/path`) as (authority, default port, rest); None for others."""
    match = _ABSOLUTE.match(target)
    return (match[2], DEFAULT_PORTS.get(match[1].lower()), match[3] or "/") if match else None
