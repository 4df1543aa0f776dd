"""What a network jail does not stop, said honestly."""

from __future__ import annotations

import os

from ccinspect.jail import seccomp

_ALWAYS = (
    "Files are not jailed. The command reads and writes whatever its user may; what it writes, a shell's start-up file "
    "or a scheduled job, may be executed outside later.",
    "File-system sockets reach programs outside, which may act for the command: docker.sock, D-Bus with "
    "`systemd-run --user`, tmux, an editor. `jail.mask_sockets: true` hides the well-known ones that exist when the "
    "run starts.",
    "Ports of the host's loopback that are bridged into the jail (`jail.host_ports`) are reached unrecorded, but for "
    "those in `jail.model_ports`.",
    "What the command inherits as standard input, output and error is its own to use, even if it is a socket.",
    "The command may signal its user's other processes, as ever. It can stop parts of its own jail, and then it has no "
    "network at all.",
)
_FOR_ROOT = (
    "Run by root, the command is still root to every file that root owns. It has no capabilities, so files of other "
    "users are closed to it.",
)


def limits() -> list[str]:
    """What the jail does not stop here, each in a sentence or two. Shown by `namespace status`."""
    found = [*_ALWAYS, *(_FOR_ROOT if os.getuid() == 0 else ())]
    if not seccomp.supported():
        found.append(
            f"There is no system call filter for {os.uname().machine}: sockets to the hypervisor (vsock) and input "
            "typed into the terminal (TIOCSTI) are not stopped."
        )
    return found
