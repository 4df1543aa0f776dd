"""Ports on 127.0.0.1: which are free, which are taken."""

from __future__ import annotations

import errno
import random
import socket

from ccinspect.errors import PortBusy

# The kernel hands out ports from 32768 on by default (ip(7), ip_local_port_range).
_QUIET_PORTS = (20_000, 32_768)
_ATTEMPTS = 100
_reserved: list[socket.socket] = []


def claim_port(port: int, setting: str) -> int:
    """Check that `port` can be listened on; 0 finds a free one. Raises PortBusy naming the setting to change."""
    if port == 0:
        return _free_port()
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                reason = "is already in use by another program"
            else:
                reason = f"cannot be used: {error.strerror}"
            raise PortBusy(
                f"port {port} on 127.0.0.1 {reason}; the daemon was not started",
                f"stop that program, or set {setting} to another port",
            ) from error
        number: int = probe.getsockname()[1]
        return number


def release_ports() -> None:
    """Give up what keeps others from free ports that were claimed: they are listened on."""
    while _reserved:
        _reserved.pop().close()


def _free_port() -> int:
    """Find a port below those the kernel hands out, and keep it from other daemons until `release_ports`.

    It is free on all addresses, for listeners of ours are told apart by their port. Nothing listens on the probe.
    """
    for _ in range(_ATTEMPTS):
        port = random.randrange(*_QUIET_PORTS)
        probe = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            probe.bind(("0.0.0.0", port))  # noqa: S104
        except OSError:
            probe.close()
            continue
        # Set after the port was taken, this lets our own listener in, which sets it too, and no other probe.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _reserved.append(probe)
        return port
    raise PortBusy("no free port was found on 127.0.0.1; the daemon was not started", "set the ports by hand")


def free_udp_port() -> int:
    """Find a UDP port of 127.0.0.1 that nobody uses right now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number
