"""`ccinspect start`, in the foreground and in the background, and `ccinspect stop`."""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Iterator
from typing import Any

from ccinspect.cli.instance import Instance
from ccinspect.control import protocol
from ccinspect.control.client import ControlClient
from ccinspect.control.ready import ReadyPipe
from ccinspect.errors import CcinspectError, ControlError, DaemonError, DaemonNotRunning

ANSWER_TIMEOUT = 15.0
STOP_TIMEOUT = 60.0


def start_in_foreground(instance: Instance) -> int:
    """Be the daemon until somebody stops it. Raises what keeps it from starting."""
    try:
        config = instance.config()
        from ccinspect.daemon.main import serve

        serve(instance.paths, config)
    except CcinspectError as error:
        # Whoever started us in the background waits for this; if the daemon said it already, nothing happens.
        ReadyPipe.from_environment().failed(error)
        raise
    return 0


def start_in_background(instance: Instance) -> dict[str, Any]:
    """Start the daemon and return its status once it is ready. Raises what keeps it from starting."""
    from ccinspect.cli.spawning import spawn_daemon

    spawn_daemon(instance)
    with ControlClient.connect(instance.paths.control_socket) as client:
        status: dict[str, Any] = client.call(protocol.STATUS)
    return status


def stop(instance: Instance) -> bool:
    """Stop the daemon and wait until it has drained and gone; False when none ran.

    Raises DaemonError when it does not answer or does not go away.
    """
    try:
        client = ControlClient.connect(instance.paths.control_socket, ANSWER_TIMEOUT)
    except DaemonNotRunning:
        return False
    with client:
        try:
            pid = int(client.call(protocol.STATUS)["pid"])
            with _process(pid) as process:
                client.call(protocol.SHUTDOWN)
                if select.select([process], [], [], STOP_TIMEOUT)[0]:
                    return True
        except ProcessLookupError:
            return True
        except ControlError as error:
            raise DaemonError(f"the daemon cannot be stopped: {error.message}", _by_force(instance)) from error
    raise DaemonError(f"the daemon did not end within {STOP_TIMEOUT:g} seconds", _by_force(instance))


@contextlib.contextmanager
def _process(pid: int) -> Iterator[int]:
    """A descriptor that becomes readable when the process ends. Raises ProcessLookupError."""
    descriptor = os.pidfd_open(pid)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _by_force(instance: Instance) -> str:
    try:
        pid = instance.paths.lock_file.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return "see what it does: ccinspect logs"
    return f"`ccinspect logs` says what it does; `kill -9 {pid}` loses no completed flow"
