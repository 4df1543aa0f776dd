"""What `doctor` looks at on the machine: Python, room on the disk, the clock, systemd."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from ccinspect import __version__
from ccinspect.cli import text
from ccinspect.cli.machine import service
from ccinspect.errors import ServiceError
from ccinspect.jail.doctor import Check
from ccinspect.paths import Paths

_LEAST_BYTES, _FEW_BYTES = 50_000_000, 1_000_000_000
# The year this was begun: no clock is right that shows an earlier one.
_EARLIEST = 1_735_689_600
_LEEWAY = 120.0


def checks(paths: Paths) -> Iterator[Check]:
    """Starts nothing."""
    yield Check("ccinspect", "ok", f"{__version__}, {platform.python_implementation()} {platform.python_version()}")
    if sys.version_info >= (3, 15):
        yield Check(
            "python", "warn", f"{platform.python_version()} is newer than what was tested", "use Python 3.12 to 3.14"
        )
    yield _disk(paths.data_dir)
    yield _clock(paths)
    yield _systemd()


def _disk(data_dir: Path) -> Check:
    there = next(path for path in (data_dir, *data_dir.parents) if path.exists())
    free = shutil.disk_usage(there).free
    said = f"{text.size(free)} free for {data_dir}"
    if free >= _FEW_BYTES:
        return Check("disk", "ok", said)
    fix = "free some space; `ccinspect db stats` and `ccinspect flows clear` help, `store.max_bytes` bounds the store"
    return Check("disk", "warn" if free >= _LEAST_BYTES else "fail", said, fix)


def _clock(paths: Paths) -> Check:
    now = time.time()
    fix = "set the clock: TLS certificates and the times of flows depend on it"
    if now < _EARLIEST:
        return Check("clock", "fail", f"shows {time.strftime('%Y-%m-%d')}, which is long gone", fix)
    newest = max((_changed(path) for path in (paths.ca_cert, paths.log_file, paths.lock_file)), default=0.0)
    if newest > now + _LEEWAY:
        return Check("clock", "warn", f"our files were written {text.duration(newest - now)} from now", fix)
    return Check("clock", "ok", time.strftime("%Y-%m-%d %H:%M:%S %z"))


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _systemd() -> Check:
    problem = service.systemd_problem()
    if problem is not None:
        # Everything works without it, unless somebody counts on the service.
        relied_on = service.unit_file().exists()
        return Check("systemd", "warn" if relied_on else "absent", problem[0], problem[1] if relied_on else "")
    try:
        found = service.state()
    except ServiceError as error:
        return Check("systemd", "warn", error.message, error.hint)
    if not found.installed:
        return Check("systemd", "absent", "here; the service is not installed (ccinspect service install)")
    program = service.started_program()
    if program is not None and not os.access(program, os.X_OK):
        detail = f"the service starts {program}, which is not there any more"
        return Check("systemd", "fail", detail, "write its unit anew: ccinspect service install")
    if not found.active and found.result not in ("", "success"):
        return Check("systemd", "fail", f"the service failed: {found.result}", "see why: ccinspect service logs")
    return Check("systemd", "ok", f"the service is {found.state}" + ("" if found.enabled else ", and not enabled"))


def is_private(path: Path) -> bool:
    """Whether nobody else gets at it."""
    info = path.stat()
    return info.st_uid == os.getuid() and not info.st_mode & 0o077
