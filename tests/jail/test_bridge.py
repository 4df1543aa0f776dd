"""The loopback bridge: both directions, clashes, and that nothing more than the bridged ports can be reached."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from ccinspect.jail.bridge import loopback_endpoints, wanted_inside, wanted_on_host
from ccinspect.jail.listeners import Listener
from ccinspect.jail.session import CAPTURING, JailSettings
from tests.jail.conftest import Jail
from tests.support.waiting import wait_until

ME = 1000


@pytest.mark.parametrize(
    ("listener", "endpoints"),
    [
        (Listener("127.0.0.1", 80, ME, 1), [("127.0.0.1", 80)]),
        (Listener("127.0.0.53", 53, ME, 1), [("127.0.0.53", 53)]),
        (Listener("0.0.0.0", 80, ME, 1), [("127.0.0.1", 80)]),
        (Listener("::", 80, ME, 1, both_families=True), [("::1", 80), ("127.0.0.1", 80)]),
        (Listener("::", 80, ME, 1), [("::1", 80)]),
        (Listener("::1", 80, ME, 1), [("::1", 80)]),
        (Listener("::ffff:127.0.0.1", 80, ME, 1), [("127.0.0.1", 80)]),
        (Listener("10.0.0.1", 80, ME, 1), []),
        (Listener(CAPTURING, 80, ME, 1), []),
        (Listener("192.0.2.2", 80, ME, 1), []),
    ],
)
def test_where_a_listener_can_be_reached(listener: Listener, endpoints: list[tuple[str, int]]) -> None:
    assert loopback_endpoints(listener) == endpoints


HOST = [
    Listener("127.0.0.1", 3000, ME, 11),
    Listener("127.0.0.1", 4000, ME, 12),
    Listener("127.0.0.1", 5432, 70, 13),
    Listener("127.0.0.1", 11434, 70, 14),
    Listener("127.0.0.1", 9999, ME, 15),
]


@pytest.mark.parametrize(
    ("settings", "inside"),
    [
        (JailSettings(), {3000: 3000, 4000: 4000, 9999: 9999}),
        (JailSettings(blocked_ports=frozenset({4000})), {3000: 3000, 9999: 9999}),
        (JailSettings(host_ports=(5432,)), {5432: 5432}),
        (JailSettings(host_ports=(4000,), blocked_ports=frozenset({4000})), {}),
        (JailSettings(host_ports="none", captured_ports={11434: 40001}), {11434: 40001}),
        (JailSettings(host_ports=(), captured_ports={11434: 40001, 1234: 40002}), {11434: 40001}),
        (JailSettings(captured_ports={3000: 40003}), {3000: 40003, 4000: 4000, 9999: 9999}),
        (JailSettings(host_ports="none", granted_ports=frozenset({4000})), {4000: 4000}),
        (JailSettings(host_ports=(), granted_ports=frozenset({5432}), blocked_ports=frozenset({5432})), {5432: 5432}),
    ],
)
def test_which_host_ports_appear_inside(settings: JailSettings, inside: dict[int, int]) -> None:
    wanted = wanted_inside(HOST, settings, set(), ME)
    assert {endpoint[1]: target[1] for endpoint, target in wanted.items()} == inside


def test_what_the_bridge_opened_is_never_bridged_back() -> None:
    assert 9999 not in {port for _address, port in wanted_inside(HOST, JailSettings(), {15}, ME)}
    assert wanted_on_host([Listener("127.0.0.1", 1, ME, 5), Listener("127.0.0.1", 2, ME, 6)], {5}) == {("127.0.0.1", 2)}


SERVER = """if True:
    import socket, sys, threading
    family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
    def serve(listening):
        while True:
            c, _ = listening.accept()
            threading.Thread(target=echo, args=[c], daemon=True).start()
    def echo(c):
        while data := c.recv(1 << 16): c.sendall(data)
        c.shutdown(socket.SHUT_WR); c.close()
    listening = socket.create_server((sys.argv[1], int(sys.argv[2])), family=family,
                                     dualstack_ipv6=sys.argv[1] == "::")
    print(listening.getsockname()[1], flush=True)
    threading.Thread(target=serve, args=[listening], daemon=True).start()
    for line in sys.stdin:
        if line == "close\\n": listening.shutdown(2); listening.close(); print("closed", flush=True)
"""


def reachable(address: str, port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=2) as connection:
        connection.sendall(b"ping")
        return connection.recv(10) == b"ping"
    return False


def listening(address: str, port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=2):
        return True
    return False


@contextlib.contextmanager
def inner_server(
    jail: Jail, address: str, port: int = 0, **settings: object
) -> Iterator[tuple[subprocess.Popen[str], int]]:
    argv = [sys.executable, "-c", SERVER, address, str(port)]
    with jail.popen(argv, popen={"stdin": subprocess.PIPE}, **settings) as process:
        assert process.stdout
        line = process.stdout.readline()
        if not line:
            process.wait(10)
            assert process.stderr
            raise AssertionError(process.stderr.read())
        yield process, int(line)
        assert process.stdin
        process.stdin.close()
        assert process.wait(20) == 0


@pytest.mark.jail
@pytest.mark.parametrize(
    ("bound", "open_at", "closed_at"),
    [
        ("127.0.0.1", ["127.0.0.1"], ["::1"]),
        ("0.0.0.0", ["127.0.0.1"], ["::1"]),
        ("::1", ["::1"], ["127.0.0.1"]),
        ("::", ["127.0.0.1", "::1"], []),
    ],
)
def test_what_the_command_listens_on_appears_on_the_host(
    jail: Jail, bound: str, open_at: list[str], closed_at: list[str]
) -> None:
    with inner_server(jail, bound) as (process, port):
        begun = time.monotonic()
        assert wait_until(lambda: listening(open_at[0], port), 5)
        assert time.monotonic() - begun < 0.1 + 0.05, "100 ms, and some for a busy machine"
        for address in open_at:
            assert wait_until(lambda address=address: reachable(address, port), 5)  # type: ignore[misc]
        assert not [address for address in closed_at if listening(address, port)]
        with pytest.raises(OSError, match=r"refused|unreachable|assign"):
            socket.create_connection(("192.0.2.2", port), timeout=2).close()
        assert process.stdin
        assert process.stdout
        process.stdin.write("close\n")
        process.stdin.flush()
        assert process.stdout.readline() == "closed\n"
        assert wait_until(lambda: not listening(open_at[0], port), 1)


@pytest.mark.jail
def test_bytes_pass_the_bridge_whole_and_half_closed(user_jail: Jail) -> None:
    data = os.urandom(3_000_000)
    with inner_server(user_jail, "127.0.0.1") as (_process, port):
        assert wait_until(lambda: listening("127.0.0.1", port), 5)
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            received = bytearray()

            def receive() -> None:
                while piece := connection.recv(1 << 16):
                    received.extend(piece)

            reading = threading.Thread(target=receive)
            reading.start()
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            reading.join(20)
    assert hashlib.sha256(received).digest() == hashlib.sha256(data).digest()


@pytest.mark.jail
def test_a_busy_port_on_the_host_is_reported(user_jail: Jail) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with inner_server(user_jail, "127.0.0.1", port, host_ports="none") as (process, _port):
            assert process.stderr
            line = process.stderr.readline()
    assert line.startswith(f"report: port {port} of the command cannot be reached on the host")


class HostServer:
    """A server on the host's loopback that says where it is."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.socket = socket.create_server((address, 0), family=family)
        self.port: int = self.socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.socket.accept()
                with connection:
                    connection.sendall(b"the host's %d" % self.port)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self.socket.close()


@pytest.fixture
def host_server() -> Iterator[HostServer]:
    server = HostServer()
    yield server
    server.close()


CALL = (
    "import socket,sys; s = socket.create_connection(('127.0.0.1', int(sys.argv[1])), 5); print(s.recv(100).decode())"
)


@pytest.mark.jail
@pytest.mark.parametrize("host_ports", ["auto", "list"])
def test_host_ports_appear_inside(jail: Jail, host_server: HostServer, host_ports: str) -> None:
    if host_ports == "auto" and jail.as_user:
        # The server is root's: `auto` brings only the caller's own.
        assert "refused" in jail.python(CALL, str(host_server.port)).stderr
        return
    wanted = "auto" if host_ports == "auto" else [host_server.port]
    done = jail.python(CALL, str(host_server.port), host_ports=wanted)
    assert done.stdout.strip() == f"the host's {host_server.port}", done.stderr


@pytest.mark.jail
def test_a_model_servers_port_leads_to_the_daemons_listener(jail: Jail, host_server: HostServer) -> None:
    capturing = HostServer(CAPTURING)
    try:
        rules = {"captured_ports": {str(host_server.port): capturing.port}}
        done = jail.python(CALL, str(host_server.port), **rules)
    finally:
        capturing.close()
    assert done.stdout.strip() == f"the host's {capturing.port}", done.stderr


@pytest.mark.jail
def test_a_host_port_that_comes_later_appears_and_vanishes(user_jail: Jail) -> None:
    code = """if True:
        import socket, sys
        for line in sys.stdin:
            with socket.socket() as s: print(s.connect_ex(("127.0.0.1", int(sys.argv[1]))), flush=True)
    """
    with socket.create_server(("127.0.0.1", 0)) as spare:
        port = spare.getsockname()[1]
    argv = [sys.executable, "-c", code, str(port)]
    with user_jail.popen(argv, popen={"stdin": subprocess.PIPE}, host_ports=[port]) as process:
        asked, answered = process.stdin, process.stdout
        assert asked
        assert answered

        def there() -> bool:
            asked.write("\n")
            asked.flush()
            line = answered.readline()
            assert line, process.stderr.read() if process.stderr else ""
            return int(line) == 0

        assert not there()
        with socket.create_server(("127.0.0.1", port)):
            assert wait_until(there, 10)
        assert wait_until(lambda: not there(), 10)
        asked.close()
        assert process.wait(20) == 0


@pytest.mark.jail
def test_jails_side_by_side_share_their_servers_without_a_loop(user_jail: Jail) -> None:
    """As on a plain machine: one jail's server is the other's too, once; nothing echoes between the two bridges."""
    with (
        inner_server(user_jail, "127.0.0.1", host_ports="auto") as (first, port),
        inner_server(user_jail, "127.0.0.1", host_ports="auto") as (_second, other),
    ):
        assert wait_until(lambda: reachable("127.0.0.1", port) and reachable("127.0.0.1", other), 5)
        done = user_jail.python(
            "import socket,sys; s = socket.create_connection(('127.0.0.1', int(sys.argv[1])), 5); "
            "s.sendall(b'across'); print(s.recv(100).decode())",
            str(port),
        )
        assert done.stdout == "across\n", done.stderr
        assert first.stdin
        first.stdin.write("close\n")
        first.stdin.flush()
        assert wait_until(lambda: not listening("127.0.0.1", port), 10)
        # A bridge looks at the host five times a second, and inside more often.
        assert not wait_until(lambda: listening("127.0.0.1", port), 0.6), "the other bridge has brought it back"


@pytest.mark.jail
def test_low_ports_where_the_caller_may(jail: Jail) -> None:
    code = "import socket; print(socket.socket().bind(('127.0.0.1', 81)))"
    done = jail.python(code)
    assert (done.returncode == 0) == (jail.uid == 0), done.stderr


@pytest.mark.jail
def test_the_commands_own_servers_need_no_bridge(jail: Jail) -> None:
    code = """if True:
        import socket
        a = socket.create_server(("127.0.0.1", 0)); b = socket.create_connection(a.getsockname()); c, _ = a.accept()
        b.send(b"hi"); print(c.recv(2).decode())
    """
    assert jail.python(code).stdout == "hi\n"
