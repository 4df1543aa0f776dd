"""Which machine this is, so that flows of several machines can live in one store."""

from __future__ import annotations

import hashlib
import hmac
import platform
import socket
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

# Names our use of the machine id; machine-id(5) asks programs never to show the id itself.
_PURPOSE = b"ccinspect machine"


@dataclass(frozen=True, slots=True)
class Machine:
    host: str
    """Its name, which two machines may share."""
    os: str
    """As the system calls itself: `Debian GNU/Linux 12 (bookworm)`."""
    kernel: str
    arch: str
    id: str | None
    """The same for as long as the installation lives, and different on every machine; None where there is none."""

    def as_record(self) -> dict[str, str | None]:
        return asdict(self)


@cache
def this_machine() -> Machine:
    """Describe this machine; asked once per process."""
    uname = platform.uname()
    return Machine(socket.gethostname(), _system_name(uname.system), uname.release, uname.machine, machine_id())


def machine_id(path: Path = Path("/etc/machine-id")) -> str | None:
    """A keyed hash of systemd's machine id, 16 hex digits; None when the file is missing or not filled in yet."""
    try:
        content = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    if not content or content == "uninitialized":
        return None
    return hmac.new(content.encode(), _PURPOSE, hashlib.sha256).hexdigest()[:16]


def _system_name(fallback: str) -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME") or fallback
    except OSError:
        return fallback
