"""`namespace doctor`: builds a real jail, runs the probe in it, and plays the host's side of the loopback trial."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from ccinspect.jail.doctor import Check
from ccinspect.jail.probe import LOOPBACK_GREETING
from ccinspect.jail.session import JailSettings, Tunnel
from ccinspect.jail.supervisor import Report, run_jailed


def live_checks(
    tunnel: Tunnel, settings: JailSettings, ca_cert: Path, environ: dict[str, str], url: str, report: Report
) -> list[Check]:
    """Build a jail and try everything in it.

    `url` is an https URL that the daemon can make something of; any answer will do, for it is the handshake that
    counts. The other arguments are those of `run_jailed`, which says what is raised.
    """
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    with _partner() as port:
        request = {"url": url, "partner_port": None if settings.host_ports == "none" else port, "report_fd": writing}
        rules = settings
        if isinstance(settings.host_ports, tuple):
            rules = JailSettings(**(vars(settings) | {"host_ports": (*settings.host_ports, port)}))
        command = [sys.executable, "-P", "-m", "ccinspect.jail.probe", json.dumps(request)]
        status = run_jailed(command, tunnel, rules, ca_cert, environ, report=report)
    os.close(writing)
    with os.fdopen(reading) as answer:
        text = answer.read()
    if not text:
        return [Check("probe", "fail", f"it ended with {status} and without findings", "run it again with --verbose")]
    return [Check(**entry) for entry in json.loads(text)]


@contextlib.contextmanager
def _partner() -> Iterator[int]:
    """A process on the host's loopback that greets, reads a port, and greets there; yields its own port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        pid = os.fork()
        if pid == 0:
            try:
                _serve(listening)
            finally:
                os._exit(0)
        port: int = listening.getsockname()[1]
    try:
        yield port
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _serve(listening: socket.socket) -> None:
    while True:
        connection, _address = listening.accept()
        with connection, contextlib.suppress(OSError, ValueError):
            connection.settimeout(10)
            connection.sendall(LOOPBACK_GREETING)
            port = int(connection.recv(16) or b"0")
            # The bridge shows a new port after a moment, and the one inside waits for us for some seconds.
            for _attempt in range(40):
                with contextlib.suppress(ConnectionRefusedError):
                    with socket.create_connection(("127.0.0.1", port), timeout=5) as back:
                        back.sendall(LOOPBACK_GREETING)
                    break
                signal.sigtimedwait([], 0.1)
