"""A filter for the system calls by which a process leaves a network namespace without breaking any rule of it.

Virtual machine sockets (vsock(7)) know no namespaces: they reach the hypervisor, and every listener on this machine.
io_uring opens sockets past any filter, so it goes too, as container engines have it; programs fall back. TIOCSTI types
into the terminal, whose next reader is the shell outside. Anything else is allowed.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

from ccinspect.jail import syscalls

_MODE_FILTER = 2
_LOAD = 0x20
_EQUAL = 0x15
_RETURN = 0x06
_ALLOW = 0x7FFF0000
_REFUSE = 0x00050000
_NUMBER, _ARCHITECTURE, _FIRST, _SECOND = 0, 4, 16, 24
_AF_VSOCK = 40
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C

# By machine: for each of its system call tables, the audit architecture and the numbers of socket, ioctl,
# io_uring_setup and socketcall (None where there is none). Only a 32-bit program calls socketcall, whose arguments a
# filter cannot read.
_Numbers = tuple[int, int, int, int, int | None]
_TABLES: dict[str, list[_Numbers]] = {
    "x86_64": [(0xC000003E, 41, 16, 425, None), (0x40000003, 359, 54, 425, 102)],
    "aarch64": [(0xC00000B7, 198, 29, 425, None), (0x40000028, 281, 54, 425, 102)],
}
_X32_BIT = 0x40000000


def supported() -> bool:
    """Whether there is a filter for this machine."""
    return os.uname().machine in _TABLES


def install() -> None:
    """Put the filter on this process for good. It needs no_new_privs. Raises OSError."""
    tables = _TABLES.get(os.uname().machine)
    if not tables:
        return
    code = program(tables)
    text = ctypes.create_string_buffer(code, len(code))
    # struct sock_fprog: the count of instructions, padding to the alignment of a pointer, the pointer.
    head = ctypes.create_string_buffer(struct.pack("@HP", len(code) // 8, ctypes.addressof(text)))
    syscalls.prctl(syscalls.PR_SET_SECCOMP, _MODE_FILTER, ctypes.addressof(head))


def program(tables: list[_Numbers]) -> bytes:
    """The filter as classic BPF instructions, 8 bytes each; architectures without a table may do nothing but exit."""
    sections = [(architecture, _section(numbers)) for architecture, *numbers in tables]
    code = [_op(_LOAD, _ARCHITECTURE)]
    for architecture, section in sections:
        code += [_op(_EQUAL, architecture, 0, len(section)), *section]
    return b"".join([*code, _refuse(errno.ENOSYS)])


def _section(numbers: list[int | None]) -> list[bytes]:
    socket, ioctl, io_uring_setup, socketcall = numbers
    code = [_op(_LOAD, _NUMBER)]
    for number in (io_uring_setup, socketcall):
        code += _when(number, [_refuse(errno.ENOSYS)])
    if socketcall is None:
        # The x32 table of x86_64 shares the architecture and sets a bit in the number.
        code += [_op(0x45, _X32_BIT, 0, 1), _refuse(errno.ENOSYS)]
    code += _when(socket, [_op(_LOAD, _FIRST), _op(_EQUAL, _AF_VSOCK, 0, 1), _refuse(errno.EAFNOSUPPORT), _allow()])
    injections = [*_when(_TIOCSTI, [_refuse(errno.EPERM)]), *_when(_TIOCLINUX, [_refuse(errno.EPERM)])]
    code += _when(ioctl, [_op(_LOAD, _SECOND), *injections, _allow()])
    return [*code, _allow()]


def _when(value: int | None, then: list[bytes]) -> list[bytes]:
    return [] if value is None else [_op(_EQUAL, value, 0, len(then)), *then]


def _op(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _allow() -> bytes:
    return _op(_RETURN, _ALLOW)


def _refuse(error: int) -> bytes:
    return _op(_RETURN, _REFUSE | error)
