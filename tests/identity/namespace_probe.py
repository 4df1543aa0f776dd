"""Run by test_processes.py as a process of its own: finds openers inside namespaces, without any privilege.

    python -m tests.identity.namespace_probe KIND

Started as root it becomes `nobody` first. It makes a user and a network namespace as the jail does, lets a client of
the given kind connect to a server in there, looks for the opener from outside, and prints what it found as JSON:
{"client": its pid, "found": the opener's record or null, "uid": who looked, "seconds": how long it took}.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable

from ccinspect.identity.processes import ProcessFinder

NOBODY = 65_534
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
PR_SET_DUMPABLE = 4

_libc = ctypes.CDLL(None, use_errno=True)


def set_dumpable(value: int) -> None:
    assert _libc.prctl(PR_SET_DUMPABLE, value, 0, 0, 0) == 0


def become_nobody() -> None:
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)


def enter_namespaces() -> None:
    """A user namespace with our own ids, and a network namespace with nothing but `lo`."""
    uid, gid = os.getuid(), os.getgid()
    os.unshare(os.CLONE_NEWUSER | os.CLONE_NEWNET)
    for name, content in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(content)
    with socket.socket() as sock:
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sh", b"lo", IFF_UP))


def exec_client(port: int) -> None:
    """Become a program that connects and holds on until the server closes."""
    os.execvp("bash", ["bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{port}; read -r -u 3"])


def undumpable_client(port: int) -> None:
    """What Codex does: connect, and show nothing of itself to anybody but root."""
    set_dumpable(0)
    # create_connection would import a codec, which `nobody` may not be able to read.
    with socket.socket() as connection:
        connection.connect(("127.0.0.1", port))
        connection.recv(1)


def adopted_client(port: int) -> None:
    """A daemon: its parent is gone, and it is no longer below the run."""
    if os.fork() == 0:
        exec_client(port)
    os._exit(0)


CLIENTS: dict[str, Callable[[int], None]] = {
    "program": exec_client,
    "undumpable": undumpable_client,
    "adopted": adopted_client,
}


def inside(client: Callable[[int], None], report: int, release: int) -> None:
    """The jailed half: serve, let the client connect, tell its port, wait to be released."""
    enter_namespaces()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        child = os.fork()
        if child == 0:
            # Left open, the server's socket would outlive the server in a client that waits for its end.
            port = server.getsockname()[1]
            server.close()
            client(port)
            os._exit(0)
        connection, peer = server.accept()
        with connection:
            os.write(report, f"{child} {peer[1]}\n".encode())
            os.read(release, 1)
    os.waitpid(child, 0)


def main() -> None:
    if os.getuid() == 0:
        become_nobody()
        # The kernel hid us when we changed our ids; an ordinary user's processes are not hidden.
        set_dumpable(1)
    report_reader, report = os.pipe()
    release, release_writer = os.pipe()
    supervisor = os.fork()
    if supervisor == 0:
        os.close(release_writer)
        try:
            inside(CLIENTS[sys.argv[1]], report, release)
        finally:
            os._exit(0)
    os.close(report)
    os.close(release)
    try:
        with os.fdopen(report_reader) as lines:
            client, port = map(int, lines.readline().split())
        # What hides must not be taken for the supervisor's own machinery, which a fork of ours would be.
        finder = ProcessFinder(os.getppid() if sys.argv[1] == "undumpable" else os.getpid())
        started = time.perf_counter()
        found = finder.find("127.0.0.1", port)
        seconds = time.perf_counter() - started
        record = found.as_record() if found else None
        print(json.dumps({"client": client, "found": record, "uid": os.getuid(), "seconds": seconds}))
    finally:
        os.close(release_writer)
        os.waitpid(supervisor, 0)


if __name__ == "__main__":
    signal.alarm(60)
    main()
