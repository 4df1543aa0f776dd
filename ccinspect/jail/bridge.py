"""The loopback bridge: the jail's 127.0.0.1 and the host's look the same, port by port.

A socket keeps the network namespace it was made in. The warden makes sockets inside and passes them out; everything
else happens here, on the host. What the command listens on appears on the host's loopback, and what the host's
loopback offers (as far as the settings allow) appears inside. A port that the bridge itself opened is known by its
inode and never bridged back, so that nothing goes round in circles.
"""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ccinspect.jail import netlink
from ccinspect.jail.channel import MAX_FDS, Channel
from ccinspect.jail.listeners import Listener, listeners
from ccinspect.jail.netlink import Netlink
from ccinspect.jail.relay import Relay
from ccinspect.jail.session import CAPTURING, JailSettings

Endpoint = tuple[str, int]
"""Address and port on a loopback interface."""

INSIDE_INTERVAL = 0.05
"""Seconds between two looks at what the command listens on."""
_HOST_INTERVAL = 0.2


def loopback_endpoints(listener: Listener) -> list[Endpoint]:
    """Where on the loopback interface a listening socket can be reached."""
    address = listener.address.removeprefix("::ffff:")
    if address == CAPTURING:
        return []
    if address == "0.0.0.0":  # noqa: S104 (what somebody else bound, not what we bind)
        return [("127.0.0.1", listener.port)]
    if address == "::":
        ipv4: list[Endpoint] = [("127.0.0.1", listener.port)] if listener.both_families else []
        return [("::1", listener.port), *ipv4]
    if address == "::1" or address.startswith("127."):
        return [(address, listener.port)]
    return []


def wanted_on_host(inside: Iterable[Listener], ours: set[int]) -> set[Endpoint]:
    """What to open on the host for the jail's listeners; `ours` are the inodes of the bridge's own sockets."""
    return {endpoint for item in inside if item.inode not in ours for endpoint in loopback_endpoints(item)}


def wanted_inside(
    host: Iterable[Listener], settings: JailSettings, ours: set[int], uid: int
) -> dict[Endpoint, Endpoint]:
    """What to open inside for the host's listeners, and where on the host each leads."""
    wanted: dict[Endpoint, Endpoint] = {}
    for item in host:
        if item.port in settings.granted_ports and item.inode not in ours:
            wanted |= {endpoint: endpoint for endpoint in loopback_endpoints(item)}
            continue
        captured = settings.captured_ports.get(item.port)
        if item.inode in ours or not (captured or _is_offered(item, settings, uid)):
            continue
        for endpoint in loopback_endpoints(item):
            wanted[endpoint] = (CAPTURING, captured) if captured else endpoint
    return wanted


def _is_offered(item: Listener, settings: JailSettings, uid: int) -> bool:
    """Whether the user's settings bring a host's port inside."""
    if settings.host_ports == "none" or item.port in settings.blocked_ports:
        return False
    return item.uid == uid if settings.host_ports == "auto" else item.port in settings.host_ports


class Bridge:
    """Both directions of one jail's bridge, run by the supervisor's loop."""

    def __init__(
        self,
        selector: selectors.BaseSelector,
        channel: Channel,
        settings: JailSettings,
        report: Callable[[str], None],
    ) -> None:
        self._selector = selector
        self._channel = channel
        self._settings = settings
        self._report = report
        self._host_diag = Netlink(netlink.SOCK_DIAG)
        self._inside_diag: Netlink | None = None
        self._opened_on_host: dict[Endpoint, socket.socket] = {}
        self._opened_inside: dict[Endpoint, socket.socket] = {}
        self._targets: dict[Endpoint, Endpoint] = {}
        self._asked: set[Endpoint] = set()
        self._clashes: set[tuple[str, Endpoint]] = set()
        self._waiting: dict[int, list[tuple[socket.socket, Endpoint]]] = {socket.AF_INET: [], socket.AF_INET6: []}
        self._next_host_look = 0.0

    def first_ports(self) -> list[Endpoint]:
        """The host's ports to open inside before the command starts."""
        self._targets = self._wanted_inside()
        self._next_host_look = time.monotonic() + _HOST_INTERVAL
        self._asked = set(self._targets)
        return list(self._targets)

    def watch(self, inside_diag: Netlink) -> None:
        """Begin to look inside, through a SOCK_DIAG socket made there."""
        self._inside_diag = inside_diag

    def look(self) -> None:
        """Compare what is listened on with what is open, and mend the difference. Call every `INSIDE_INTERVAL`."""
        if self._inside_diag is not None:
            ours = {os.fstat(item.fileno()).st_ino for item in self._opened_inside.values()}
            self._update_host(wanted_on_host(listeners(self._inside_diag), ours))
        if time.monotonic() >= self._next_host_look:
            self._next_host_look = time.monotonic() + _HOST_INTERVAL
            self._update_inside(self._wanted_inside())

    def _wanted_inside(self) -> dict[Endpoint, Endpoint]:
        if self._settings.host_ports == "none" and not (self._settings.granted_ports or self._settings.captured_ports):
            return {}
        ours = {os.fstat(item.fileno()).st_ino for item in self._opened_on_host.values()}
        return wanted_inside(listeners(self._host_diag), self._settings, ours, os.getuid())

    def _update_host(self, wanted: set[Endpoint]) -> None:
        for endpoint in self._opened_on_host.keys() - wanted:
            listening = self._opened_on_host.pop(endpoint)
            self._selector.unregister(listening)
            listening.close()
        self._clashes -= {clash for clash in self._clashes if clash[0] == "host" and clash[1] not in wanted}
        for endpoint in wanted - self._opened_on_host.keys():
            self._open_on_host(endpoint)

    def _open_on_host(self, endpoint: Endpoint) -> None:
        try:
            listening = listen(endpoint)
        except OSError as error:
            self._clash("host", endpoint, error.errno or 0)
            return
        self._opened_on_host[endpoint] = listening
        self._selector.register(
            listening, selectors.EVENT_READ, lambda _mask: self._accept_on_host(endpoint, listening)
        )

    def _accept_on_host(self, endpoint: Endpoint, listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection, _address = listening.accept()
            family = listening.family
            self._waiting[family].append((connection, endpoint))
            self._channel.send({"do": "socket", "family": int(family)})

    def on_socket(self, family: int, fd: int) -> None:
        """The warden has made a socket inside, for the connection that has waited longest."""
        far = socket.socket(fileno=fd)
        if not self._waiting[family]:
            far.close()
            return
        near, endpoint = self._waiting[family].pop(0)
        Relay(self._selector, near, far, endpoint)

    def _update_inside(self, wanted: Mapping[Endpoint, Endpoint]) -> None:
        self._targets = dict(wanted)
        for endpoint in self._opened_inside.keys() - wanted.keys():
            listening = self._opened_inside.pop(endpoint)
            self._selector.unregister(listening)
            listening.close()
        self._clashes -= {clash for clash in self._clashes if clash[0] == "inside" and clash[1] not in wanted}
        missing = list(wanted.keys() - self._opened_inside.keys() - self._asked)
        for start in range(0, len(missing), MAX_FDS):
            part = missing[start : start + MAX_FDS]
            self._asked |= set(part)
            self._channel.send({"do": "listen", "on": part})

    def on_listening(self, message: Mapping[str, Any], fds: list[int]) -> None:
        """The warden has opened ports inside, as far as it could."""
        for (address, port), fd in zip(message["listening"], fds, strict=True):
            endpoint, listening = (address, port), socket.socket(fileno=fd)
            self._asked.discard(endpoint)
            self._opened_inside[endpoint] = listening
            listening.setblocking(False)
            self._selector.register(
                listening, selectors.EVENT_READ, lambda _mask, at=endpoint, on=listening: self._accept_inside(at, on)
            )
        for address, port, code in message["failed"]:
            self._asked.discard((address, port))
            self._clash("inside", (address, port), code)

    def _accept_inside(self, endpoint: Endpoint, listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection, _address = listening.accept()
            target = self._targets[endpoint]
            Relay(self._selector, connection, socket.socket(_family(target)), target)

    def _clash(self, where: str, endpoint: Endpoint, code: int) -> None:
        if (where, endpoint) in self._clashes:
            return
        self._clashes.add((where, endpoint))
        address, port = endpoint
        reason = "it is in use there already" if code == errno.EADDRINUSE else os.strerror(code).lower()
        if where == "host":
            self._report(f"port {port} of the command cannot be reached on the host's {address}: {reason}")
        else:
            self._report(f"the host's port {port} cannot be reached inside at {address}: {reason}")

    def close(self) -> None:
        """Close every listener at once; joined connections end with the process."""
        for item in (*self._opened_on_host.values(), *self._opened_inside.values()):
            self._selector.unregister(item)
            item.close()
        for queue in self._waiting.values():
            for connection, _endpoint in queue:
                connection.close()
        self._host_diag.close()
        if self._inside_diag is not None:
            self._inside_diag.close()


def _family(endpoint: Endpoint) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in endpoint[0] else socket.AF_INET


def listen(endpoint: Endpoint) -> socket.socket:
    """Listen on exactly this loopback address, in the present network namespace. Raises OSError."""
    listening = socket.socket(_family(endpoint), socket.SOCK_STREAM)
    try:
        if listening.family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(endpoint)
        listening.listen(128)
        listening.setblocking(False)
    except OSError:
        listening.close()
        raise
    return listening
