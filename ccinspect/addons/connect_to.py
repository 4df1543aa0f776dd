"""Where connections really go: the `connect_to` map, and the addresses a jailed program must not reach.

Names in the map are also answered to DNS queries that come through a tunnel, with borrowed addresses, so that a jailed
program needs no working resolver to reach them. So are names that only the upstream proxy may be able to resolve.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from mitmproxy import connection, dns
from mitmproxy.proxy import server_hooks

from ccinspect.addons import hints
from ccinspect.addons.borrowed_addresses import BorrowedAddresses
from ccinspect.addons.sources import Sources
from ccinspect.outward.exceptions import is_loopback

_ANSWER_TTL = 60
# Types that say where a service is; others are none of our business.
_PLACES = (dns.types.A, dns.types.AAAA, dns.types.HTTPS, dns.types.SVCB)
_HANDSHAKE_SECONDS = 0.1
_LED_TO = "ccinspect_led_to"
"""Attribute of a client's connection: own addresses to which the settings lead its requests, (host, port) of each."""


@dataclass(frozen=True)
class Target:
    """One entry of `connect_to`; a missing part means "any" on the left and "the same" on the right."""

    host: str
    port: int | None
    to_host: str
    to_port: int | None


def parse_connect_to(entries: dict[str, str]) -> list[Target]:
    """Read `HOST[:PORT]: HOST[:PORT]` entries. Raises ValueError naming the entry."""
    targets = []
    for left, right in entries.items():
        try:
            host, port = _split(left)
            to_host, to_port = _split(right)
        except ValueError as error:
            raise ValueError(f"connect_to `{left}: {right}`: {error}") from error
        targets.append(Target(host.lower().rstrip("."), port, to_host or host, to_port))
    return targets


def _split(text: str) -> tuple[str, int | None]:
    host, colon, port = text.strip().rpartition(":")
    if not colon or port.endswith("]"):
        return text.strip().strip("[]"), None
    if port and not (port.isdigit() and int(port) < 65536):
        raise ValueError(f"{port!r} is not a port")
    return host.strip("[]"), int(port) if port else None


class ConnectTo:
    """Addon: redirects connections by name, answers DNS for those names, guards the host's own addresses."""

    name = "ccinspect_connect_to"

    def __init__(
        self,
        sources: Sources,
        targets: list[Target],
        borrowed: BorrowedAddresses,
        resolved_elsewhere: Callable[[str], bool] = lambda name: False,
    ) -> None:
        """`resolved_elsewhere` says of a name whether it is for the upstream proxy to resolve."""
        self.sources = sources
        self.targets = targets
        self.borrowed = borrowed
        self.resolved_elsewhere = resolved_elsewhere
        self.names = frozenset(target.host for target in targets if target.host)
        for name in sorted(self.names):
            borrowed.lend(name)
        self.asked_for: dict[str, tuple[str, int]] = {}
        """Where connections that are being opened were meant to go, by connection id."""

    def dns_request(self, flow: dns.DNSFlow) -> None:
        question = flow.request.question
        if question is None or flow.response is not None or self.sources.of(flow.client_conn).kind != "wireguard":
            return
        name = question.name.lower().rstrip(".")
        if name not in self.names and not (question.type in _PLACES and name and self.resolved_elsewhere(name)):
            return
        answers = []
        if question.type == dns.types.A:
            packed = ipaddress.IPv4Address(self.borrowed.lend(name)).packed
            answers = [dns.ResourceRecord(question.name, question.type, question.class_, _ANSWER_TTL, packed)]
        # Other types (AAAA, HTTPS) get an empty answer: the name exists, but only with an IPv4 address.
        flow.response = flow.request.succeed(answers)

    def server_connect(self, data: server_hooks.ServerConnectionHookData) -> None:
        if not data.server.address:
            return
        host, port = data.server.address[:2]
        name = self.borrowed.name_of(host) or host
        for target in self.targets:
            if target.host in ("", name.lower().rstrip(".")) and target.port in (None, port):
                self.asked_for[data.server.id] = (name, port)
                data.server.address = (target.to_host, target.to_port or port)
                return
        if name != host:
            data.server.address = (name, port)
        elif (
            self.sources.of(data.client).kind == "wireguard"
            and _stays_here(host)
            and (host, port) not in getattr(data.client, _LED_TO, ())
        ):
            data.server.error = f"refused: {hints.OWN_ADDRESS}"

    def server_connected(self, data: server_hooks.ServerConnectionHookData) -> None:
        # From here on the connection stands for the place that was asked for: mitmproxy shows that address, and
        # looks for it when the next request could use the same connection. `peername` tells the truth.
        asked = self.asked_for.pop(data.server.id, None)
        if asked is not None:
            # mitmproxy forbids this on an open connection, lest somebody believes that it goes elsewhere now.
            object.__setattr__(data.server, "address", asked)

    async def server_connect_error(self, data: server_hooks.ServerConnectionHookData) -> None:
        self.server_connected(data)
        if self.sources.of(data.client).kind == "wireguard":
            # The tunnel's own TCP stack loses a close that comes before its handshake is over: the client would wait
            # for an answer until it loses patience.
            await asyncio.sleep(max(0.0, _HANDSHAKE_SECONDS - (time.time() - data.client.timestamp_start)))


def lead(client: connection.Client, host: str, port: int) -> None:
    """Let a jailed client's requests be sent to one of this machine's own addresses: a rule leads them there, as to a
    model server. The client has not asked for it, and cannot."""
    if _stays_here(host):
        vars(client).setdefault(_LED_TO, set()).add((host, port))


def _stays_here(host: str) -> bool:
    return is_own_address(host) or is_loopback(host.lower().rstrip("."))


def is_own_address(host: str) -> bool:
    """Say whether packets to this IP address would stay on this machine; names are not resolved."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    if address.is_loopback or address.is_unspecified or address.is_multicast:
        return True
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        # The kernel lets a socket be bound to the machine's own addresses only.
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True
