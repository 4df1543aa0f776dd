"""Which process opened a connection: real processes, real sockets, real namespaces."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from ccinspect.identity.processes import MAX_ARGUMENT, MAX_ARGUMENTS, ProcessFinder

REPOSITORY = Path(__file__).parents[2]

Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts programs, and ends those still there at the end."""
    with ExitStack() as stack:

        def run(*argv: str, **options: Any) -> subprocess.Popen[bytes]:
            process = stack.enter_context(subprocess.Popen(argv, stdin=subprocess.PIPE, **options))
            stack.callback(process.kill)
            return process

        yield run


def connect(port: int) -> str:
    """bash that connects and waits for the server to close."""
    return f"exec 3<>/dev/tcp/127.0.0.1/{port}; read -r -u 3"


def test_the_opener_and_its_chain_of_parents(server: socket.socket, start: Start) -> None:
    inner = connect(server.getsockname()[1])
    # The `true` keeps the outer bash from becoming the inner one.
    outer = start("bash", "-c", f"bash -c '{inner}' the-name; true")
    connection, (address, port) = server.accept()
    with connection:
        opener = ProcessFinder(os.getpid()).find(address, port)
    assert opener is not None
    assert opener.process.name == "bash"
    assert opener.process.exe is not None
    assert opener.process.exe.endswith("bash")
    assert opener.process.argv == ("bash", "-c", inner, "the-name")
    assert [parent.pid for parent in opener.parents] == [outer.pid]
    assert not opener.inferred
    record = opener.as_record()
    assert json.loads(json.dumps(record)) == record
    assert set(record) == {"pid", "name", "exe", "argv", "parents", "inferred"}


def test_siblings_are_told_apart(server: socket.socket, start: Start) -> None:
    script = connect(server.getsockname()[1])
    finder = ProcessFinder(os.getpid())
    for _ in range(3):
        process = start("bash", "-c", script)
        connection, (address, port) = server.accept()
        with connection:
            opener = finder.find(address, port)
            assert opener is not None
            assert opener.process.pid == process.pid


def test_a_socket_that_children_inherited_belongs_to_the_one_that_opened_it(
    server: socket.socket, start: Start
) -> None:
    process = start(
        "bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{server.getsockname()[1]}; cat <&3; true", stdout=subprocess.PIPE
    )
    connection, (address, port) = server.accept()
    with connection:
        connection.sendall(b"here\n")
        # What cat says proves that it has the socket too.
        assert process.stdout is not None
        assert process.stdout.readline() == b"here\n"
        opener = ProcessFinder(os.getpid()).find(address, port)
        assert opener is not None
        assert opener.process.pid == process.pid


def test_a_long_command_line_is_cut(server: socket.socket, start: Start) -> None:
    start("bash", "-c", connect(server.getsockname()[1]), "x" * 100_000, *["y"] * 1_000)
    connection, (address, port) = server.accept()
    with connection:
        opener = ProcessFinder(os.getpid()).find(address, port)
    assert opener is not None
    assert len(opener.process.argv) <= MAX_ARGUMENTS
    assert max(map(len, opener.process.argv)) == MAX_ARGUMENT


def test_ipv6_and_mapped_addresses() -> None:
    with (
        socket.create_server(("::1", 0), family=socket.AF_INET6) as server,
        socket.create_connection(server.getsockname()[:2]) as client,
    ):
        assert _pid_of("::1", client.getsockname()[1]) == os.getpid()
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_INET6) as client:
        client.connect(("::ffff:127.0.0.1", server.getsockname()[1]))
        assert _pid_of("127.0.0.1", client.getsockname()[1]) == os.getpid()
        assert _pid_of("::ffff:127.0.0.1", client.getsockname()[1]) == os.getpid()


@pytest.mark.parametrize("connected", [True, False])
def test_udp_connected_or_not(connected: bool) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server, socket.socket(type=socket.SOCK_DGRAM) as client:
        server.bind(("127.0.0.1", 0))
        if connected:
            client.connect(server.getsockname())
            client.send(b"x")
        else:
            client.sendto(b"x", server.getsockname())
        _, (address, port) = server.recvfrom(10)
        opener = ProcessFinder(os.getppid()).find(address, port, "udp")
        assert opener is not None
        assert opener.process.pid == os.getpid()


def test_nothing_is_found_where_nothing_is(server: socket.socket) -> None:
    finder = ProcessFinder(os.getppid())
    with socket.create_connection(server.getsockname()) as client:
        gone = client.getsockname()
    server.accept()[0].close()
    assert finder.find(*gone) is None
    # A listening socket is not a connection.
    assert finder.find(*server.getsockname()) is None
    with pytest.raises(ValueError, match="does not appear to be"):
        finder.find("localhost", 1)


def test_a_run_that_is_gone_has_no_openers(server: socket.socket, start: Start) -> None:
    process = start("true")
    process.wait()
    with socket.create_connection(server.getsockname()) as client:
        assert ProcessFinder(process.pid).find(*client.getsockname()) is None
    server.accept()[0].close()


def test_what_the_supervisor_relays_is_nobodys(server: socket.socket) -> None:
    with socket.create_connection(server.getsockname()) as client:
        assert ProcessFinder(os.getpid()).find(*client.getsockname()) is None
        assert ProcessFinder(os.getppid()).find(*client.getsockname()) is not None
    server.accept()[0].close()


def test_connections_of_other_runs_are_not_this_runs(server: socket.socket, start: Start) -> None:
    other = start("sleep", "60")
    with socket.create_connection(server.getsockname()) as client:
        assert ProcessFinder(other.pid).find(*client.getsockname()) is None
    server.accept()[0].close()


def _pid_of(address: str, port: int) -> int | None:
    opener = ProcessFinder(os.getppid()).find(address, port)
    return opener.process.pid if opener else None


def probe(kind: str) -> dict[str, Any]:
    done = subprocess.run(
        # The `true` keeps bash from becoming the probe.
        ["bash", "-c", f"{sys.executable} -m tests.identity.namespace_probe {kind}; true"],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.stdout, done.stderr.decode()
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.mark.jail
class TestInNamespaces:
    """As an unprivileged user, from outside of the user namespace that the same user made."""

    def test_a_program_is_found(self) -> None:
        result = probe("program")
        assert result["uid"] != 0
        found = result["found"]
        assert found["pid"] == result["client"]
        assert found["argv"][:2] == ["bash", "-c"]
        assert found["exe"].endswith("bash")
        assert not found["inferred"]
        # Its parents are the supervisor's own machinery, forks that never became a program.
        assert found["parents"] == []

    def test_a_process_that_hides_is_found_by_elimination(self) -> None:
        result = probe("undumpable")
        assert result["uid"] != 0
        found = result["found"]
        assert found["pid"] == result["client"]
        assert found["inferred"]
        assert found["exe"] is None
        assert found["argv"]

    def test_a_daemon_that_init_adopted_is_found_by_its_namespace(self) -> None:
        result = probe("adopted")
        found = result["found"]
        # The client is the grandchild of the process that was told of.
        assert found["pid"] != result["client"]
        assert found["argv"][:2] == ["bash", "-c"]
        assert not found["inferred"]
