"""What a jail on this machine would be made of, what is missing, and how to mend it."""

from __future__ import annotations

import errno
import os
import platform
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from ccinspect.jail import links, seccomp
from ccinspect.jail.netlink import Netlink
from ccinspect.jail.service_sockets import reachable_services
from ccinspect.jail.uplink import UPLINKS

Status = Literal["ok", "warn", "fail", "absent"]

_TUN = "/dev/net/tun"
_ANOTHER_WAY = "or use `ccinspect run --proxy`, which needs no namespaces"


@dataclass(frozen=True)
class Check:
    """One finding. `absent` is something not here and not needed; `fix` is empty unless something can be done."""

    name: str
    status: Status
    detail: str
    fix: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def checks() -> list[Check]:
    """What can be found out without building a jail. A `fail` among them means that none can be built."""
    if platform.system() != "Linux":
        return [Check("system", "fail", f"{platform.system()} has no namespaces", f"use Linux, {_ANOTHER_WAY}")]
    return [user_namespaces(), _tun_device(), _uplink(), _wireguard(), _filter(), _sockets()]


def user_namespaces() -> Check:
    """Whether this user may create a user and a network namespace with capabilities in them, tried in a child."""
    code = _in_child(_try_namespaces)
    if code == 0:
        return Check("user namespaces", "ok", "this user may create them")
    detail = f"creating one fails: {os.strerror(code).lower()}"
    return Check("user namespaces", "fail", detail, _namespaces_fix())


def _try_namespaces() -> None:
    os.unshare(os.CLONE_NEWUSER | os.CLONE_NEWNET)
    # AppArmor lets the namespace be created, and withholds its capabilities.
    with_capabilities = Netlink()
    links.set_up(with_capabilities, "lo")


def _namespaces_fix() -> str:
    if _sysctl("kernel/apparmor_restrict_unprivileged_userns") == "1":
        return (
            "AppArmor forbids them (Ubuntu since 23.10). Allow them: `sudo sysctl -w "
            "kernel.apparmor_restrict_unprivileged_userns=0`, and for good: `echo "
            "kernel.apparmor_restrict_unprivileged_userns=0 | sudo tee /etc/sysctl.d/60-userns.conf`; " + _ANOTHER_WAY
        )
    if _sysctl("kernel/unprivileged_userns_clone") == "0":
        return f"`sudo sysctl -w kernel.unprivileged_userns_clone=1`; {_ANOTHER_WAY}"
    for name in ("max_user_namespaces", "max_net_namespaces"):
        if _sysctl(f"user/{name}") == "0":
            return f"`sudo sysctl -w user.{name}=10000`; {_ANOTHER_WAY}"
    return (
        "no setting of the kernel forbids them, so a container's profile does: start the container with "
        f"`--security-opt seccomp=unconfined --device /dev/net/tun`; {_ANOTHER_WAY}"
    )


def _sysctl(path: str) -> str:
    try:
        return Path("/proc/sys", path).read_text().strip()
    except OSError:
        return ""


def _tun_device() -> Check:
    if not os.path.exists(_TUN):
        fix = "`sudo modprobe tun`; in a container, pass `--device /dev/net/tun`"
        return Check("tunnel device", "fail", f"{_TUN} does not exist", fix)
    try:
        os.close(os.open(_TUN, os.O_RDWR))
    except OSError as error:
        detail = f"{_TUN} cannot be opened: {os.strerror(error.errno or 0).lower()}"
        return Check("tunnel device", "fail", detail, f"`sudo chmod 666 {_TUN}`")
    return Check("tunnel device", "ok", f"{_TUN} can be opened")


def _uplink() -> Check:
    found = [name for name in UPLINKS if shutil.which(name)]
    if not found:
        packages = " or ".join(uplink.package for uplink in UPLINKS.values())
        fix = f"install {packages}: `sudo apt-get install slirp4netns`"
        return Check("uplink", "fail", "neither slirp4netns nor pasta is installed", fix)
    others = f" ({', '.join(found[1:])} is here too)" if found[1:] else ""
    return Check("uplink", "ok", f"{found[0]}{others}")


def wireguard_kind() -> Literal["kernel", "userspace", "none"]:
    """Which WireGuard a jail would use here with `jail.wireguard: auto`."""
    if _in_child(_try_kernel_wireguard) == 0:
        return "kernel"
    return "userspace" if shutil.which("wireguard-go") else "none"


def _wireguard() -> Check:
    match wireguard_kind():
        case "kernel":
            return Check("wireguard", "ok", "the kernel's")
        case "userspace":
            return Check("wireguard", "ok", "wireguard-go (the kernel offers none)")
    fix = "`sudo apt-get install wireguard-go`, or a kernel with the wireguard module"
    return Check("wireguard", "fail", "the kernel offers none, and wireguard-go is not installed", fix)


def _try_kernel_wireguard() -> None:
    _try_namespaces()
    links.create(Netlink(), "wg0", "wireguard")


def _filter() -> Check:
    if seccomp.supported():
        return Check("system call filter", "ok", "refuses hypervisor sockets, io_uring and terminal injection")
    return Check("system call filter", "warn", f"none for {platform.machine()}; see what the jail does not stop")


def _sockets() -> Check:
    found = reachable_services(os.environ)
    if not found:
        return Check("service sockets", "ok", "no well-known one is here")
    shown = ", ".join(found[:6]) + (f" and {len(found) - 6} more" if len(found) > 6 else "")
    fix = "`jail.mask_sockets: true` hides them, if the command does not need them"
    return Check("service sockets", "warn", f"a command inside can reach {shown}", fix)


def _in_child(attempt: Callable[[], None]) -> int:
    """Run something that changes the process for good in a child; returns 0 or the error number."""
    pid = os.fork()
    if pid == 0:
        code = errno.EPROTO
        try:
            attempt()
            code = 0
        except OSError as error:
            code = error.errno or errno.EPROTO
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
