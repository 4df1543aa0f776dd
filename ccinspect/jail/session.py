"""What the daemon tells `run` about one jailed run: the tunnel to use, and the rules of the jail.

Both arrive as JSON in the answer to `run.start` (docs/architecture.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

HostPorts = Literal["auto", "none"] | tuple[int, ...]

CAPTURING = "127.86.0.1"
"""Where the daemon listens for what single jails may reach. No bridge opens anything there or brings it inside; only
the daemon's settings lead there: who came from another jail would pass for this one's command."""


@dataclass(frozen=True)
class Tunnel:
    """One WireGuard listener of the daemon and the key pair made for this run. Keys are base64."""

    endpoint_port: int
    """UDP port on the host's 127.0.0.1."""
    server_public_key: str
    client_private_key: str
    address: str = "10.0.0.1"
    """IPv4 address of `wg0`."""
    dns: str = "10.0.0.53"
    """Resolver inside the tunnel."""
    ipv6: bool = False
    """Whether the host has an IPv6 default route, so that the jail gets one too."""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Tunnel:
        return cls(
            endpoint_port=int(data["endpoint_port"]),
            server_public_key=data["server_public_key"],
            client_private_key=data["client_private_key"],
            address=data.get("address", cls.address),
            dns=data.get("dns", cls.dns),
            ipv6=bool(data.get("ipv6", False)),
        )


@dataclass(frozen=True)
class JailSettings:
    """The rules of one jail; see `JailConfig` in `config.py` for what the user can say."""

    uplink: str = "auto"
    wireguard: str = "auto"
    host_ports: HostPorts = "auto"
    mask_sockets: bool = False
    captured_ports: Mapping[int, int] = field(default_factory=dict)
    """Port inside the jail -> port of the daemon's listener for it, at `CAPTURING` on the host."""
    blocked_ports: frozenset[int] = frozenset()
    """Host ports that are never reachable from inside."""
    granted_ports: frozenset[int] = frozenset()
    """Host ports that this run was given by name: reachable from inside whatever else is said."""
    hide: tuple[Path, ...] = ()
    hide_files: tuple[Path, ...] = ()
    """Files that are empty inside."""
    """Directories covered by an empty file system."""
    host_bundle: Path | None = None
    """PEM file with the host's own roots; None looks in the well-known places."""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> JailSettings:
        ports = data.get("host_ports", "auto")
        return cls(
            uplink=data.get("uplink", "auto"),
            wireguard=data.get("wireguard", "auto"),
            host_ports=ports if isinstance(ports, str) else tuple(int(port) for port in ports),  # type: ignore[arg-type]
            mask_sockets=bool(data.get("mask_sockets", False)),
            captured_ports={int(inside): int(host) for inside, host in data.get("captured_ports", {}).items()},
            blocked_ports=frozenset(int(port) for port in data.get("blocked_ports", ())),
            granted_ports=frozenset(int(port) for port in data.get("granted_ports", ())),
            hide=tuple(Path(entry) for entry in data.get("hide", ())),
            hide_files=tuple(Path(entry) for entry in data.get("hide_files", ())),
            host_bundle=Path(data["host_bundle"]) if data.get("host_bundle") else None,
        )
