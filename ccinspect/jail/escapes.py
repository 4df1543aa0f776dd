"""Attempts to get out of a jail, made from inside by `namespace doctor`. The tests try many more."""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from ccinspect.jail import links
from ccinspect.jail.doctor import Check
from ccinspect.jail.netlink import Netlink

# Unlike PTRACE_ATTACH it does not stop the process, should it succeed.
_PTRACE_SEIZE = 0x4206
_VSOCK = 40
_REPORT = "a way out of the jail: please report this, and do not rely on the jail on this machine"


def attempts() -> Iterator[Check]:
    """One check for each attempt: `ok` when it was refused. Call inside a jail."""
    yield _capabilities()
    for name, attempt in _ATTEMPTS.items():
        yield _refused(name, attempt)


def _capabilities() -> Check:
    fields = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines())
    held = [name for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb") if int(fields[name], 16)]
    if held or fields["NoNewPrivs"] != "1":
        return Check("escape: capabilities", "fail", f"not empty: {', '.join(held) or 'NoNewPrivs'}", _REPORT)
    return Check("escape: capabilities", "ok", "none in any set, and none to be gained")


def _refused(name: str, attempt: Callable[[], object]) -> Check:
    title = f"escape: {name}"
    try:
        result = attempt()
    except OSError as error:
        return Check(title, "ok", f"refused: {os.strerror(error.errno or 0).lower()}")
    return Check(title, "fail", f"not refused: {result!r}", _REPORT)


def _raw_socket() -> object:
    return socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)


def _packet_socket() -> object:
    return socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)


def _hypervisor_socket() -> object:
    return socket.socket(_VSOCK, socket.SOCK_STREAM)


def _add_link() -> object:
    links.create(Netlink(), "ccinspect0", "bridge")
    return "a link"


def _change_route() -> object:
    links.add_default_route(Netlink(), 1, socket.AF_INET)
    return "a route"


def _trace_the_warden() -> object:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(_PTRACE_SEIZE, os.getppid(), 0, 0) < 0:
        raise OSError(ctypes.get_errno(), "ptrace")
    return "attached"


def _enter_the_hosts_namespace() -> object:
    os.setns(os.pidfd_open(1), os.CLONE_NEWNET)
    return "entered"


def _look_through_the_warden() -> object:
    return os.listdir(f"/proc/{os.getppid()}/root/")


def _new_namespace() -> object:
    done = subprocess.run(
        ["unshare", "-Ur", "ip", "link", "set", "wg0", "down"], capture_output=True, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        raise OSError(errno.EPERM, "unshare")
    return "wg0 is down"


_ATTEMPTS: dict[str, Callable[[], object]] = {
    "raw socket": _raw_socket,
    "packet socket": _packet_socket,
    "socket to the hypervisor": _hypervisor_socket,
    "add a link": _add_link,
    "change a route": _change_route,
    "trace the warden": _trace_the_warden,
    "look through the warden": _look_through_the_warden,
    "enter the host's namespace": _enter_the_hosts_namespace,
    "change the tunnel from a new namespace": _new_namespace,
}
