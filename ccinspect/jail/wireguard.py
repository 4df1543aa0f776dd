"""The tunnel's end inside: the kernel's WireGuard, or wireguard-go where the kernel has none.

`wg0` is made in the transit namespace and then moved to the inner one; its UDP socket stays where it was made. That is
how WireGuard itself recommends to containerise a tunnel.
"""

from __future__ import annotations

import binascii
import errno
import os
import socket
import struct
import time
from collections.abc import Sequence

from ccinspect.jail import links, netlink, syscalls
from ccinspect.jail.helpers import Helper, HelperFailed
from ccinspect.jail.netlink import Netlink
from ccinspect.jail.session import Tunnel

INTERFACE = "wg0"
# Payload of the largest datagram that every link below can carry, less WireGuard's own 60 bytes and its padding.
MTU = 65376
# The uplink forgets an idle UDP flow after minutes; an answer that comes later would be lost.
_KEEPALIVE = 25
_READY_WITHIN = 5.0

_GENL_CONTROLLER = 0x10
_GENL_GET_FAMILY = 3
_GENL_FAMILY_ID = 1
_GENL_FAMILY_NAME = 2
_GENL_HEADER = struct.Struct("=BBxx")
_SET_DEVICE = 1
_DEVICE_NAME, _DEVICE_KEY, _DEVICE_PEERS = 2, 3, 8
_PEER_KEY, _PEER_ENDPOINT, _PEER_KEEPALIVE, _PEER_ALLOWED = 1, 4, 5, 9
_ALLOWED_FAMILY, _ALLOWED_ADDRESS, _ALLOWED_PREFIX = 1, 2, 3


class TunnelFailed(Exception):
    """`wg0` could not be made; the text says why."""


class KernelWireGuard:
    """`wg0` by the kernel's own module."""

    implementation = "kernel"
    helper: Helper | None = None

    def __init__(self, transit: Netlink) -> None:
        """Make the interface. Raises OSError, with EOPNOTSUPP when the kernel has no WireGuard."""
        links.create(transit, INTERFACE, "wireguard")

    def make_movable(self, transit: Netlink) -> None:
        """Nothing to do: whenever the interface comes up, the kernel binds its socket where it was made."""

    def configure(self, tunnel: Tunnel, gateway: str) -> None:
        """Set keys and peer of the interface, which must be in the present network namespace by now. Raises OSError."""
        peer = netlink.nested(
            0,
            netlink.attribute(_PEER_KEY, binascii.a2b_base64(tunnel.server_public_key)),
            netlink.attribute(_PEER_ENDPOINT, _socket_address(gateway, tunnel.endpoint_port)),
            netlink.attribute(_PEER_KEEPALIVE, struct.pack("=H", _KEEPALIVE)),
            netlink.nested(_PEER_ALLOWED, _allowed(socket.AF_INET), _allowed(socket.AF_INET6)),
        )
        device = (
            netlink.text(_DEVICE_NAME, INTERFACE)
            + netlink.attribute(_DEVICE_KEY, binascii.a2b_base64(tunnel.client_private_key))
            + netlink.nested(_DEVICE_PEERS, peer)
        )
        control = Netlink(netlink.GENERIC)
        control.request(_family(control), _GENL_HEADER.pack(_SET_DEVICE, 1) + device)
        control.close()


class UserspaceWireGuard:
    """`wg0` by wireguard-go, which makes its own TUN device and is configured over its text protocol."""

    implementation = "userspace"

    def __init__(self) -> None:
        """Start wireguard-go in the present (transit) network namespace."""
        # The launcher connects this very socket to wireguard-go's before it becomes wireguard-go, so that no path in
        # the launcher's private mount namespace has to be found from here, and nothing is waited for in a loop.
        self._control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._control.settimeout(_READY_WITHIN)
        self.helper = Helper(["wireguard-go", "-f", INTERFACE], before_exec=self._prepare)

    def _prepare(self, environ: dict[str, str]) -> Sequence[int]:
        os.unshare(os.CLONE_NEWNS)
        for path in {"/run", os.path.realpath("/var/run")}:
            syscalls.mount("tmpfs", path, "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, "mode=0700,size=1m")
        os.makedirs("/var/run/wireguard", 0o700, exist_ok=True)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listening.bind(f"/var/run/wireguard/{INTERFACE}.sock")
        listening.listen()
        self._control.connect(listening.getsockname())
        environ |= {"LOG_LEVEL": "error", "WG_PROCESS_FOREGROUND": "1", "WG_UAPI_FD": str(listening.fileno())}
        admin = 1 << syscalls.CAP_NET_ADMIN
        syscalls.set_capabilities(admin, admin, admin)
        syscalls.prctl(syscalls.PR_CAP_AMBIENT, syscalls.PR_CAP_AMBIENT_RAISE, syscalls.CAP_NET_ADMIN)
        return [listening.detach()]

    def make_movable(self, transit: Netlink) -> None:
        """Bring the interface up where it was made, and wait until wireguard-go has bound its UDP socket there.

        wireguard-go hears of a change of state at once only in its own namespace; in another it looks once a second.
        Raises TunnelFailed.
        """
        try:
            self.helper.started()
        except HelperFailed as error:
            raise TunnelFailed(str(error)) from error
        # It answers when it has made the interface, and not before.
        answer = self._ask("get=1")
        links.set_up(transit, INTERFACE, MTU)
        deadline = time.monotonic() + _READY_WITHIN
        while answer.get("listen_port", "0") == "0":
            if time.monotonic() > deadline:
                raise TunnelFailed(f"wireguard-go did not bind a socket: {self.helper.output()}")
            time.sleep(0.0005)
            answer = self._ask("get=1")

    def configure(self, tunnel: Tunnel, gateway: str) -> None:
        """Set keys and peer, which begins the handshake. Raises TunnelFailed."""
        answer = self._ask(
            "set=1",
            f"private_key={_hexadecimal(tunnel.client_private_key)}",
            f"public_key={_hexadecimal(tunnel.server_public_key)}",
            f"endpoint={gateway}:{tunnel.endpoint_port}",
            f"persistent_keepalive_interval={_KEEPALIVE}",
            "allowed_ip=0.0.0.0/0",
            "allowed_ip=::/0",
        )
        self._control.close()
        if answer.get("errno") != "0":
            raise TunnelFailed(f"wireguard-go refused its configuration (errno {answer.get('errno')})")

    def _ask(self, *lines: str) -> dict[str, str]:
        """One exchange of the text protocol (the cross-platform interface on wireguard.com)."""
        try:
            self._control.sendall(("\n".join(lines) + "\n\n").encode())
            answer = b""
            while not answer.endswith(b"\n\n"):
                data = self._control.recv(1 << 16)
                if not data:
                    raise TunnelFailed(f"wireguard-go ended: {self.helper.output()}")
                answer += data
        except OSError as error:
            raise TunnelFailed(f"wireguard-go does not answer ({error}): {self.helper.output()}") from error
        return dict(line.split("=", 1) for line in answer.decode().split() if "=" in line)


WireGuard = KernelWireGuard | UserspaceWireGuard


def create(wanted: str, transit: Netlink) -> WireGuard:
    """Make `wg0` in the transit namespace, which must be the present one. `wanted` is the setting `jail.wireguard`.

    Raises TunnelFailed.
    """
    if wanted in ("auto", "kernel"):
        try:
            return KernelWireGuard(transit)
        except OSError as error:
            if wanted == "kernel":
                raise TunnelFailed(f"this kernel gives us no WireGuard interface ({error.strerror})") from error
            if error.errno not in (errno.EOPNOTSUPP, errno.EPERM, errno.EACCES):
                raise TunnelFailed(f"cannot create {INTERFACE}: {error.strerror}") from error
    return UserspaceWireGuard()


def _hexadecimal(key: str) -> str:
    return binascii.a2b_base64(key).hex()


def _socket_address(host: str, port: int) -> bytes:
    """struct sockaddr_in."""
    return struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + socket.inet_aton(host) + bytes(8)


def _allowed(family: int) -> bytes:
    size = 4 if family == socket.AF_INET else 16
    return netlink.nested(
        0,
        netlink.attribute(_ALLOWED_FAMILY, struct.pack("=H", family)),
        netlink.attribute(_ALLOWED_ADDRESS, bytes(size)),
        netlink.attribute(_ALLOWED_PREFIX, b"\0"),
    )


def _family(control: Netlink) -> int:
    """The number that generic netlink has given to WireGuard."""
    name = netlink.text(_GENL_FAMILY_NAME, "wireguard")
    (answer,) = control.request(_GENL_CONTROLLER, _GENL_HEADER.pack(_GENL_GET_FAMILY, 1) + name)
    found = dict(netlink.attributes(answer[4:]))
    (family,) = struct.unpack_from("=H", found[_GENL_FAMILY_ID])
    return int(family)
