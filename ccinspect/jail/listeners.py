"""Which TCP ports are listened on in a network namespace, asked from the kernel (sock_diag(7)), without privileges."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

from ccinspect.jail import netlink
from ccinspect.jail.netlink import Netlink

_DIAG_BY_FAMILY = 20
_LISTEN_STATE = 1 << 10
_SKV6ONLY = 11
_REQUEST = struct.Struct("=BBBxI48x")
_PORT = struct.Struct("!H")
_OWNER = struct.Struct("=II")
_MESSAGE_SIZE = 72


@dataclass(frozen=True)
class Listener:
    """A listening TCP socket."""

    address: str
    """Local address; `0.0.0.0` and `::` are all of them."""
    port: int
    uid: int
    inode: int
    both_families: bool = False
    """An IPv6 wildcard that takes IPv4 connections too."""


def listeners(diag: Netlink) -> list[Listener]:
    """All listening TCP sockets of the namespace in which `diag` (a SOCK_DIAG socket) was created. Raises OSError."""
    found = []
    for family in (socket.AF_INET, socket.AF_INET6):
        request = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, _LISTEN_STATE)
        found += [_parse(message) for message in diag.dump(_DIAG_BY_FAMILY, request)]
    return found


def _parse(message: bytes) -> Listener:
    family = message[0]
    (port,) = _PORT.unpack_from(message, 4)
    uid, inode = _OWNER.unpack_from(message, 64)
    if family == socket.AF_INET:
        return Listener(socket.inet_ntop(socket.AF_INET, message[8:12]), port, uid, inode)
    address = socket.inet_ntop(socket.AF_INET6, message[8:24])
    only = any(kind == _SKV6ONLY and value[:1] == b"\1" for kind, value in netlink.attributes(message[_MESSAGE_SIZE:]))
    return Listener(address, port, uid, inode, address == "::" and not only)
