"""Ports on 127.0.0.1: which are free, which are taken."""

from __future__ import annotations

import errno
import socket

from ccinspect.errors import PortBusy


def claim_port(port: int, setting: str) -> int:
    """Check that `port` can be listened on; 0 finds a free one. Raises PortBusy naming the setting to change."""
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


def free_udp_port() -> int:
    """Find a UDP port of 127.0.0.1 that nobody uses right now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number
