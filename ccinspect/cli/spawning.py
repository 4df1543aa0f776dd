"""Starting a daemon in the background and waiting until it is ready (standard library only)."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from ccinspect.cli.instance import Instance
from ccinspect.cli.late_progress import LateProgress
from ccinspect.control.client import ControlClient
from ccinspect.control.ready import READY_FD_ENV, wait_ready
from ccinspect.errors import DaemonNotRunning, DaemonRunning, StartFailed
from ccinspect.paths import make_private_dir

START_TIMEOUT = 60.0
_OTHER_START_TIMEOUT = 15.0
_POLL = 0.05
# What belongs to a run, or to the service in which it happens, not to a daemon that is started by one.
_NOT_INHERITED = (
    "CCINSPECT_RUN_ID", "CCINSPECT_PROJECT", "CCINSPECT_TAGS", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID",
)  # fmt: skip


def spawn_daemon(instance: Instance) -> None:
    """Start the daemon in a session of its own and return once it is ready.

    Raises what the daemon itself raised (PortBusy, ConfigError, DaemonRunning, ...) or StartFailed.
    """
    log_file = instance.paths.log_file
    make_private_dir(instance.paths.data_dir)
    make_private_dir(log_file.parent)
    reading, writing = os.pipe2(os.O_CLOEXEC)
    log = os.open(log_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        said_before = os.fstat(log).st_size
        child = _start(instance, log, writing)
        # With our copy closed, the child's death shows as end of file.
        os.close(writing)
        writing = -1
        _wait(child, reading, log_file, said_before)
    finally:
        for descriptor in (reading, writing, log):
            if descriptor >= 0:
                os.close(descriptor)


def connect_or_spawn(instance: Instance) -> ControlClient:
    """Start the daemon and connect to it; also right when somebody else starts it at the same moment."""
    try:
        spawn_daemon(instance)
    except DaemonRunning as error:
        return _connect_to_other(instance, error)
    return ControlClient.connect(instance.paths.control_socket)


def _connect_to_other(instance: Instance, refusal: DaemonRunning) -> ControlClient:
    """Connect to a daemon that owns the directory but may not listen yet."""
    deadline = time.monotonic() + _OTHER_START_TIMEOUT
    while True:
        try:
            return ControlClient.connect(instance.paths.control_socket)
        except DaemonNotRunning as error:
            if time.monotonic() > deadline:
                raise DaemonRunning(
                    f"{refusal.message}, but it does not listen at {instance.paths.control_socket}",
                    "it was started with another XDG_RUNTIME_DIR: use that, or stop it there",
                ) from error
        time.sleep(_POLL)


def _start(instance: Instance, log: int, ready: int) -> subprocess.Popen[bytes]:
    # -P: a file in the user's directory must not stand in for a module of ours.
    command = [sys.executable, "-P", "-m", "ccinspect"]
    if instance.config_option is not None or os.environ.get("CCINSPECT_CONFIG_DIR"):
        # Absolute, for the daemon's own directory is another.
        command += ["--config", str(instance.paths.config_dir)]
    environ = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
    return subprocess.Popen(
        [*command, "start"],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        cwd="/",
        env=environ | {READY_FD_ENV: str(ready)},
        pass_fds=[ready],
        start_new_session=True,
    )


def _wait(child: subprocess.Popen[bytes], reading: int, log_file: Path, said_before: int) -> None:
    try:
        with LateProgress() as progress:
            wait_ready(reading, START_TIMEOUT, progress)
    except StartFailed as error:
        # It neither became ready nor said why: leave nothing half started behind.
        child.terminate()
        last_words = _last_line(log_file, said_before)
        raise StartFailed(f"{error.message}: {last_words}" if last_words else error.message, error.hint) from error
    finally:
        # The daemon outlives us. Popen would complain of a child that nobody waited for.
        child.returncode = 0


def _last_line(path: Path, offset: int) -> str:
    """The last thing written to the log after `offset`, or nothing."""
    with path.open("rb") as stream:
        stream.seek(max(offset, os.fstat(stream.fileno()).st_size - 65536))
        lines = stream.read().decode("utf-8", "replace").strip().splitlines()
    return lines[-1].strip() if lines else ""
