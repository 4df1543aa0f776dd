"""Giving up every privilege for good, just before the command starts."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ccinspect.jail import seccomp, syscalls

# NOROOT, NO_SETUID_FIXUP, KEEP_CAPS off, NO_CAP_AMBIENT_RAISE, each with its lock: user id 0 means nothing any more.
_SECUREBITS = 0b11101111


def drop_all() -> None:
    """Leave this process without a capability in any set and with no way to get one, uid 0 or not. Raises OSError."""
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    for capability in range(last + 1):
        syscalls.prctl(syscalls.PR_CAPBSET_DROP, capability)
    syscalls.prctl(syscalls.PR_SET_SECUREBITS, _SECUREBITS)
    syscalls.prctl(syscalls.PR_CAP_AMBIENT, syscalls.PR_CAP_AMBIENT_CLEAR_ALL)
    syscalls.set_capabilities(0, 0, 0)
    syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    seccomp.install()


def open_files_to_keep() -> list[int]:
    """Descriptors above standard error that a command may inherit from whoever called us: pipes and plain files.

    A shell's `<(command)` is such a pipe. A directory or a namespace would be a way around the jail's mounts, and a
    socket a way around its network; neither is kept.
    """
    return [fd for fd in map(int, os.listdir("/proc/self/fd")) if fd > 2 and _is_harmless(fd)]


def _is_harmless(fd: int) -> bool:
    try:
        info = os.fstat(fd)
        if not os.get_inheritable(fd):
            return False
        # A namespace and a process's memory are plain files too, by their mode.
        special = {os.stat(path).st_dev for path in ("/proc/self/ns/net", "/proc/self")}
        plain = stat.S_ISREG(info.st_mode) and info.st_dev not in special
        return stat.S_ISFIFO(info.st_mode) or (plain and os.readlink(f"/proc/self/fd/{fd}").startswith("/"))
    except OSError:
        return False


def close_all_but(kept: list[int]) -> None:
    """Close every descriptor above standard error but these."""
    low = 3
    for fd in [*sorted(kept), 1 << 20]:
        os.closerange(low, fd)
        low = fd + 1
