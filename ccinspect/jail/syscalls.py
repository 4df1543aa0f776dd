"""The few system calls that the standard library does not offer."""

from __future__ import annotations

import ctypes
import os

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_REC = 0x4000
MS_SLAVE = 0x80000
MNT_DETACH = 0x2

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_SECCOMP = 22
PR_CAPBSET_DROP = 24
PR_SET_SECUREBITS = 28
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
PR_CAP_AMBIENT_CLEAR_ALL = 4

CAP_NET_ADMIN = 12
_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p]
_libc.umount2.argtypes = [ctypes.c_char_p, ctypes.c_int]
_libc.prctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong]


def _check(result: int, what: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), what)


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """mount(2). Raises OSError with the target as its file name."""
    _check(
        _libc.mount(os.fsencode(source), os.fsencode(target), kind.encode() or None, flags, options.encode() or None),
        target,
    )


def unmount(target: str) -> None:
    """Take the topmost mount at `target` away, lazily. Raises OSError."""
    _check(_libc.umount2(os.fsencode(target), MNT_DETACH), target)


def prctl(option: int, argument: int = 0, second: int = 0) -> None:
    """prctl(2) with up to two arguments, numbers or addresses. Raises OSError."""
    _check(_libc.prctl(option, argument, second, 0, 0), f"prctl {option}")


def set_capabilities(effective: int, permitted: int, inheritable: int) -> None:
    """capset(2) for this thread; each set is a bit mask. Raises OSError."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    low, high = 0xFFFFFFFF, 32
    sets = (effective, permitted, inheritable)
    data = (ctypes.c_uint32 * 6)(*(s & low for s in sets), *(s >> high for s in sets))
    _check(_libc.capset(header, data), "capset")


def die_with_parent(parent: int, signal: int = 9) -> None:
    """Have the kernel send `signal` when the parent dies; raises ProcessLookupError if `parent` is gone already."""
    prctl(PR_SET_PDEATHSIG, signal)
    if os.getppid() != parent:
        raise ProcessLookupError("the parent is gone")
