"""Which machine a client connection comes from."""

from __future__ import annotations

from mitmproxy import connection

from ccinspect.auth.permission import is_loopback


def address_of(client: connection.Client) -> str:
    """A client's IP address as text; that of IPv4 also where it came over a socket for IPv6."""
    return str(client.peername[0]).removeprefix("::ffff:").partition("%")[0] if client.peername else ""


def is_here(client: connection.Client) -> bool:
    """Whether a client is on this machine, by its loopback."""
    return is_loopback(address_of(client))
