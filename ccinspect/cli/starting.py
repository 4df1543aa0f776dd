"""`ccinspect start`, in the foreground and in the background, and `ccinspect stop`."""

from __future__ import annotations

import os
import select
from typing import Any

from ccinspect.cli.instance import Instance
from ccinspect.control import protocol
from ccinspect.control.client import ControlClient
from ccinspect.control.ready import ReadyPipe
from ccinspect.errors import CcinspectError, DaemonError, DaemonNotRunning

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

    Raises DaemonError when it does not go away.
    """
    try:
        client = ControlClient.connect(instance.paths.control_socket, STOP_TIMEOUT)
    except DaemonNotRunning:
        return False
    with client:
        pid = int(client.call(protocol.STATUS)["pid"])
        try:
            process = os.pidfd_open(pid)
        except ProcessLookupError:
            return True
        try:
            client.call(protocol.SHUTDOWN)
            if not select.select([process], [], [], STOP_TIMEOUT)[0]:
                raise DaemonError(
                    f"the daemon (process {pid}) did not end within {STOP_TIMEOUT:g} seconds",
                    f"its log says what it waits for: ccinspect logs; `kill -9 {pid}` loses no completed flow",
                )
        finally:
            os.close(process)
    return True
