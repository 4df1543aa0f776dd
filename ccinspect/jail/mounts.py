"""What the jail covers: our own directories, resolvers beside the tunnel, trust stores, the host's interfaces in /sys.

All of it happens in the jail's own mount namespace, which no process on the host is in.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ccinspect.jail import syscalls
from ccinspect.jail.service_sockets import reachable_resolvers, reachable_services
from ccinspect.jail.session import JailSettings, Tunnel
from ccinspect.jail.syscalls import MS_BIND, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY, MS_REC, MS_REMOUNT, MS_SLAVE
from ccinspect.jail.trust import TrustStore

_RESOLV_CONF = "/etc/resolv.conf"
_SYSFS_NETWORK = ("class/net", "devices/virtual/net")


@dataclass(frozen=True)
class _Mount:
    target: str
    source: str | None
    """None: an empty file system."""

    def apply(self) -> None:
        if self.source is None:
            syscalls.mount("tmpfs", self.target, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0755,size=32m")
        else:
            syscalls.mount(self.source, self.target, "", MS_BIND)


class JailMounts:
    """The mounts of one jail; made once, and kept: the host can take a mount away by replacing the file below it."""

    def __init__(self, ca_cert: Path, settings: JailSettings, tunnel: Tunnel, environ: Mapping[str, str]) -> None:
        """Gather what is needed from places that will be covered. Raises OSError for an unreadable `ca_cert`."""
        self.trust_directory = Path(os.path.realpath(ca_cert.parent))
        self._trust = TrustStore(ca_cert, environ, settings.host_bundle)
        self._resolver = resolver_configuration(_read(_RESOLV_CONF), tunnel.dns)
        self._hidden = _outermost([*map(str, settings.hide), str(self.trust_directory)])
        self._hidden_files = {os.path.realpath(path) for path in settings.hide_files if os.path.isfile(path)}
        self._sockets = [*reachable_resolvers(environ), *(reachable_services(environ) if settings.mask_sockets else ())]
        self._kept: list[_Mount] = []
        self.environment = self._trust.environment(self.trust_directory)
        """Variables to set inside."""

    def apply(self) -> None:
        """Cover everything. Call in a fresh mount namespace, inside the inner network namespace. Raises OSError."""
        syscalls.mount("none", "/", "", MS_REC | MS_SLAVE)
        for directory in self._hidden:
            self._keep(directory, None)
        self.trust_directory.mkdir(parents=True, exist_ok=True)
        sources = self._trust.write(self.trust_directory)
        resolver, nothing = self.trust_directory / "resolv.conf", self.trust_directory / "nothing"
        resolver.write_text(self._resolver)
        # Nobody listens on it: whoever connects is refused, as if the service did not run.
        with socket.socket(socket.AF_UNIX) as dead:
            os.chdir(self.trust_directory)
            dead.bind(nothing.name)
            os.chdir("/")
        for target, source in sources.items():
            self._keep(target, source)
        self._keep(_make_mountable(_RESOLV_CONF, self.trust_directory), str(resolver))
        for path in self._sockets:
            self._keep(path, str(nothing))
        empty = self.trust_directory / "empty"
        empty.touch()
        for path in sorted(self._hidden_files):
            self._keep(path, str(empty))
        for directory in self._hidden:
            syscalls.mount("none", directory, "", MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)
        with contextlib.suppress(OSError):
            self._show_own_interfaces()
        if os.getuid() == 0:
            _protect_kernel_settings()

    def _keep(self, target: str, source: str | None) -> None:
        mount = _Mount(target, source)
        mount.apply()
        self._kept.append(mount)

    def repair(self) -> bool:
        """Put back what the host took away by replacing a file; returns whether something is still missing."""
        present = _mount_points()
        missing = False
        for mount in self._kept:
            if mount.target not in present:
                try:
                    mount.apply()
                except OSError:
                    missing = True
        return missing

    def _show_own_interfaces(self) -> None:
        """Show the jail's interfaces in /sys, where the host's would be seen otherwise. Not every machine allows it."""
        workplace = str(self.trust_directory)
        syscalls.mount("sysfs", workplace, "sysfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)
        try:
            for part in _SYSFS_NETWORK:
                syscalls.mount(f"{workplace}/{part}", f"/sys/{part}", "", MS_BIND)
        finally:
            syscalls.unmount(workplace)


def resolver_configuration(host: str, nameserver: str) -> str:
    """The host's resolv.conf with its name servers replaced by ours; search lists and options stay."""
    kept = [line for line in host.splitlines() if re.match(r"\s*(search|domain|options|sortlist)\s", line)]
    return "\n".join([f"nameserver {nameserver}", *kept, ""])


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def _outermost(directories: list[str]) -> list[str]:
    """Existing directories by their real paths, without those that lie within another."""
    found: list[str] = []
    for path in sorted({os.path.realpath(path) for path in directories if os.path.isdir(path)}):
        if not any(path.startswith(f"{above}/") for above in found):
            found.append(path)
    return found


def _make_mountable(path: str, workplace: Path) -> str:
    """The real path of `path`, with a file to mount over; made in a copy of its directory where there is none."""
    target = os.path.realpath(path)
    if os.path.isfile(target):
        return target
    above = os.path.dirname(target)
    while not os.path.isdir(above):
        above = os.path.dirname(above)
    _replicate(above, str(workplace))
    os.makedirs(os.path.dirname(target), exist_ok=True)
    Path(target).touch()
    return target


def _replicate(directory: str, workplace: str) -> None:
    """Cover a directory with a writable one that shows the same entries."""
    syscalls.mount("tmpfs", workplace, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=1m")
    for entry in os.scandir(directory):
        copy = f"{workplace}/{entry.name}"
        if entry.is_symlink():
            os.symlink(os.readlink(entry.path), copy)
            continue
        if entry.is_dir():
            os.mkdir(copy)
        else:
            Path(copy).touch()
        syscalls.mount(entry.path, copy, "", MS_BIND | MS_REC)
    syscalls.mount(workplace, directory, "", MS_BIND | MS_REC)
    syscalls.unmount(workplace)


def _mount_points() -> set[str]:
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
        points = {line.split(" ", 5)[4] for line in table}
    return {re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), point) for point in points}


def _protect_kernel_settings() -> None:
    """Make kernel settings read-only: the files belong to root, and root inside is still root to their owner checks."""
    for path in ("/proc/sys", "/proc/sysrq-trigger", "/sys"):
        with contextlib.suppress(OSError):
            syscalls.mount(path, path, "", MS_BIND | MS_REC)
            syscalls.mount("none", path, "", MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)
