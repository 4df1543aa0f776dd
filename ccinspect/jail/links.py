"""Network interfaces, addresses and routes, over rtnetlink."""

from __future__ import annotations

import socket
import struct
import time

from ccinspect.jail import netlink
from ccinspect.jail.netlink import Netlink

_NEWLINK = 16
_GETLINK = 18
_NEWADDR = 20
_NEWROUTE = 24

_IFINFO = struct.Struct("=BxHiII")
_IFADDR = struct.Struct("=BBBBi")
_ROUTE = struct.Struct("=BBBBBBBBI")

_IFF_UP = 1
_IFLA_IFNAME = 3
_IFLA_MTU = 4
_IFLA_LINKINFO = 18
_IFLA_NET_NS_FD = 28
_INFO_KIND = 1
_IFA_ADDRESS = 1
_IFA_LOCAL = 2
_IFA_F_NODAD = 2
_RTA_OIF = 4
_ROUTE_CHANGES = 0x40
_MAIN_TABLE = 254
_PROTO_BOOT = 3
_SCOPE_LINK = 253
_UNICAST = 1


def create(control: Netlink, name: str, kind: str) -> None:
    """Make an interface of a kind. Raises OSError: EOPNOTSUPP when the kernel does not know the kind."""
    info = netlink.nested(_IFLA_LINKINFO, netlink.text(_INFO_KIND, kind))
    flags = netlink.CREATE | netlink.EXCLUSIVE
    control.request(_NEWLINK, _IFINFO.pack(0, 0, 0, 0, 0) + netlink.text(_IFLA_IFNAME, name) + info, flags)


def index(control: Netlink, name: str) -> int:
    """The number of an interface. Raises OSError: ENODEV."""
    answers = control.request(_GETLINK, _IFINFO.pack(0, 0, 0, 0, 0) + netlink.text(_IFLA_IFNAME, name))
    number: int = _IFINFO.unpack_from(answers[0])[2]
    return number


def set_up(control: Netlink, name: str, mtu: int | None = None) -> None:
    """Bring an interface up. Raises OSError."""
    size = b"" if mtu is None else netlink.attribute(_IFLA_MTU, struct.pack("=I", mtu))
    control.request(_NEWLINK, _IFINFO.pack(0, 0, 0, _IFF_UP, _IFF_UP) + netlink.text(_IFLA_IFNAME, name) + size)


def move(control: Netlink, name: str, namespace: int) -> None:
    """Move an interface to the network namespace behind the descriptor `namespace`. Raises OSError."""
    target = netlink.attribute(_IFLA_NET_NS_FD, struct.pack("=I", namespace))
    control.request(_NEWLINK, _IFINFO.pack(0, 0, 0, 0, 0) + netlink.text(_IFLA_IFNAME, name) + target)


def add_address(control: Netlink, link: int, address: str) -> None:
    """Give an interface a single address, without a network around it. Raises OSError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    packed = socket.inet_pton(family, address)
    # Duplicate address detection would keep the address unusable for a second, on a link with no neighbours.
    flags = _IFA_F_NODAD if family == socket.AF_INET6 else 0
    head = _IFADDR.pack(family, len(packed) * 8, flags, 0, link)
    body = netlink.attribute(_IFA_LOCAL, packed) + netlink.attribute(_IFA_ADDRESS, packed)
    control.request(_NEWADDR, head + body, netlink.CREATE | netlink.EXCLUSIVE)


def add_default_route(control: Netlink, link: int, family: int) -> None:
    """Send everything of an address family out of an interface. Raises OSError."""
    scope = _SCOPE_LINK if family == socket.AF_INET else 0
    head = _ROUTE.pack(family, 0, 0, 0, _MAIN_TABLE, _PROTO_BOOT, scope, _UNICAST, 0)
    output = netlink.attribute(_RTA_OIF, struct.pack("=i", link))
    control.request(_NEWROUTE, head + output, netlink.CREATE | netlink.EXCLUSIVE)


def route_changes() -> Netlink:
    """A socket that hears of IPv4 routes, for `await_default_route`."""
    return Netlink(groups=_ROUTE_CHANGES)


def await_default_route(changes: Netlink, seconds: float) -> None:
    """Wait for an IPv4 default route to be added since `changes` was made. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while True:
        for kind, body in changes.next_change(max(0.001, deadline - time.monotonic())):
            if kind == _NEWROUTE and body[1] == 0:
                return
