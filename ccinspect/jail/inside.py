"""Building the jail, from the inside: two network namespaces, the tunnel between them, and the mounts.

    host                      transit namespace              inner namespace
    daemon, 127.0.0.1:UDP <-- uplink's tap0 <-- wg0's socket | wg0, lo; nothing else

The process that does this is the warden. It never leaves the jail's user namespace again, keeps its capabilities
there, so that the command (which has none) can neither trace it nor look into it, and can make sockets in the inner
namespace.
"""

from __future__ import annotations

import contextlib
import os
import socket
from dataclasses import dataclass
from pathlib import Path

from ccinspect.errors import JailUnavailable
from ccinspect.jail import links, netlink, syscalls, wireguard
from ccinspect.jail.channel import Channel
from ccinspect.jail.helpers import Helper
from ccinspect.jail.mounts import JailMounts
from ccinspect.jail.netlink import Netlink
from ccinspect.jail.session import JailSettings, Tunnel

IPV6_ADDRESS = "fd00:cc1:75ec::1"
"""Address of `wg0` where the host has IPv6: a unique local one, so that programs prefer IPv4 where both work."""

_UPLINK_WITHIN = 10.0
_SETTINGS = Path("/proc/sys/net")
_UNPRIVILEGED_PORTS = _SETTINGS / "ipv4/ip_unprivileged_port_start"


@dataclass(frozen=True)
class JailRequest:
    """What it takes to build a jail."""

    tunnel: Tunnel
    settings: JailSettings
    ca_cert: Path
    environ: dict[str, str]
    gateway: str
    """The uplink's name for the host's loopback."""


@dataclass(frozen=True)
class Inside:
    """A finished jail."""

    implementation: str
    """`kernel` or `userspace`."""
    helper: Helper | None
    mounts: JailMounts
    transit: int
    """Keeps the transit namespace alive."""
    diag: Netlink
    """A SOCK_DIAG socket of the inner namespace."""


def build(channel: Channel, request: JailRequest) -> Inside:
    """Build the jail around this process, in step with `supervisor.py` at the other end. Raises JailUnavailable."""
    try:
        os.unshare(os.CLONE_NEWUSER | os.CLONE_NEWNET)
    except OSError as error:
        raise JailUnavailable(
            f"cannot create a user namespace: {_reason(error)}; the command was not started", _namespaces_hint()
        ) from error
    step = "create the tunnel"
    try:
        uplink_routes = links.route_changes()
        transit_namespace = os.open("/proc/self/ns/net", os.O_RDONLY)
        channel.send({"unshared": transit_namespace})
        channel.receive()
        transit = Netlink()
        tunnel = wireguard.create(request.settings.wireguard, transit)
        step = "create the inner network namespace"
        inner, inner_namespace = _enter_inner(request.tunnel.ipv6)
        moving = _begin_move(tunnel, transit, inner_namespace)
        step = "cover files"
        mounts = JailMounts(request.ca_cert, request.settings, request.tunnel, request.environ)
        os.unshare(os.CLONE_NEWNS)
        mounts.apply()
        step = "configure the tunnel"
        _finish_move(moving)
        _configure_inner(inner, request.tunnel)
        step = "reach the host through the uplink"
        links.await_default_route(uplink_routes, _UPLINK_WITHIN)
        uplink_routes.close()
        tunnel.configure(request.tunnel, request.gateway)
    except (OSError, wireguard.TunnelFailed) as error:
        raise JailUnavailable(
            f"cannot {step}: {_reason(error)}; the command was not started",
            _namespaces_hint(),
        ) from error
    transit.close()
    inner.close()
    os.close(inner_namespace)
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
    return Inside(tunnel.implementation, tunnel.helper, mounts, transit_namespace, Netlink(netlink.SOCK_DIAG))


def _enter_inner(ipv6: bool) -> tuple[Netlink, int]:
    first_port = "0" if os.getuid() == 0 else _UNPRIVILEGED_PORTS.read_text()
    os.unshare(os.CLONE_NEWNET)
    inner = Netlink()
    links.set_up(inner, "lo")
    # A read-only /proc forbids to say these; the jail is as tight without them.
    with contextlib.suppress(OSError):
        # Where the caller may open low ports on the host, the command may here.
        _UNPRIVILEGED_PORTS.write_text(first_port)
        # Interfaces that come later get no link-local address, and no IPv6 at all where the host has none.
        (_SETTINGS / "ipv6/conf/default/addr_gen_mode").write_text("1")
        (_SETTINGS / "ipv6/conf/default/disable_ipv6").write_text("0" if ipv6 else "1")
    return inner, os.open("/proc/self/ns/net", os.O_RDONLY)


def _begin_move(tunnel: wireguard.WireGuard, transit: Netlink, target: int) -> tuple[int, int]:
    """Move `wg0` in a child of this process: the kernel takes tens of milliseconds, in which files can be covered.

    Returns the child's process id, and a descriptor from which its problem can be read.
    """
    answer, report = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            tunnel.make_movable(transit)
            links.move(transit, wireguard.INTERFACE, target)
        except BaseException as error:
            os.write(report, _reason(error).encode()[:4000])
        finally:
            os._exit(0)
    os.close(report)
    return pid, answer


def _finish_move(moving: tuple[int, int]) -> None:
    """Wait for the end of the move. Raises TunnelFailed."""
    pid, answer = moving
    with os.fdopen(answer, "rb") as problem:
        text = problem.read().decode(errors="replace")
    os.waitpid(pid, 0)
    if text:
        raise wireguard.TunnelFailed(text)


def _configure_inner(inner: Netlink, tunnel: Tunnel) -> None:
    link = links.index(inner, wireguard.INTERFACE)
    links.set_up(inner, wireguard.INTERFACE, wireguard.MTU)
    links.add_address(inner, link, tunnel.address)
    links.add_default_route(inner, link, socket.AF_INET)
    if tunnel.ipv6:
        links.add_address(inner, link, IPV6_ADDRESS)
        links.add_default_route(inner, link, socket.AF_INET6)


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno:
        text = os.strerror(error.errno).lower()
        return f"{text} ({error.filename})" if error.filename else text
    return str(error) or type(error).__name__


def _namespaces_hint() -> str:
    # Only now, for it is dear to import and hardly ever needed.
    from ccinspect.jail.doctor import user_namespaces

    return user_namespaces().fix or "run `ccinspect namespace doctor`; `ccinspect run --proxy` needs no namespaces"
