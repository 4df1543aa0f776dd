"""`flows tail`, and `flows` while the daemon is up."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.cli.conftest import Place
from tests.cli.pseudo_terminal import Terminal
from tests.conftest import StartDaemon
from tests.support.daemon import Daemon


def post(daemon: Daemon, path: str) -> bytes:
    """One request through the reverse listener; the whole answer."""
    with socket.create_connection(("127.0.0.1", daemon.ports["reverse"]), timeout=20) as sock:
        body = b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"hi"}]}'
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nx-api-key: k\r\nConnection: close\r\n"
        sock.sendall(head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        return b"".join(iter(lambda: sock.recv(65536), b""))


@contextmanager
def tailing(daemon: Daemon, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """`flows tail` that has subscribed: the first flow, of a request made for this, has come through."""
    # Lines must come at once, also where Python would keep them back.
    with daemon.popen(
        daemon.argv("flows", "tail", *words),
        env={"PYTHONUNBUFFERED": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def first_line(daemon: Daemon, process: subprocess.Popen[bytes], path: str) -> str:
    """Send requests until one of them shows; the subscription is only sure then."""
    import select

    assert process.stdout is not None
    for _ in range(200):
        post(daemon, path)
        if select.select([process.stdout], [], [], 0.1)[0]:
            return process.stdout.readline().decode()
    raise AssertionError("nothing was tailed")


def test_flows_show_as_they_finish(daemon: Daemon) -> None:
    with tailing(daemon) as process:
        cells = first_line(daemon, process, "/v1/messages").rstrip("\n").split("\t")
        assert cells[1:5] == ["POST", "200", "api.anthropic.com", "/v1/messages"]
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=20)
    assert (process.returncode, complaints) == (130, b"")


def test_only_what_was_asked_for(daemon: Daemon) -> None:
    with tailing(daemon, "--status", "501", "--json", "--jq", "map(.request.path)") as process:
        assert json.loads(first_line(daemon, process, "/nowhere/at/all")) == "/nowhere/at/all"
        post(daemon, "/v1/messages")
        post(daemon, "/nowhere/else")
        assert process.stdout is not None
        assert {json.loads(process.stdout.readline()) for _ in range(1)} <= {"/nowhere/at/all", "/nowhere/else"}


def test_the_daemon_stops(start_daemon: StartDaemon) -> None:
    daemon = start_daemon()
    with tailing(daemon, "--json") as process:
        assert json.loads(first_line(daemon, process, "/v1/messages"))["type"] == "http"
        daemon.run("stop", check=True)
        _, complaints = process.communicate(timeout=20)
    assert process.returncode == 0
    assert b"the daemon has stopped" in complaints


def test_on_a_terminal_lines_fit(daemon: Daemon) -> None:
    with Terminal(daemon.argv("flows", "tail"), daemon.environment() | {"NO_COLOR": "1"}, columns=60) as terminal:
        terminal.read_until("Code")
        post(daemon, "/v1/messages?" + "x" * 500)
        terminal.read_until("POST")
        terminal.type("\x03")
        status, said = terminal.finish()
    assert status == 130
    assert all(len(line) <= 60 for line in said.splitlines())


def test_without_a_daemon(place: Place) -> None:
    done = place.run("flows", "tail")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"ccinspect start" in done.stderr


def test_a_wrong_run_or_filter_is_told_at_once(daemon: Daemon) -> None:
    assert daemon.run("flows", "tail", "--run", "nope", timeout=20).returncode == 2
    assert daemon.run("flows", "tail", "--jq", "map(", timeout=20).returncode == 1


def test_what_has_just_finished_is_listed(daemon: Daemon) -> None:
    for number in range(1, 6):
        post(daemon, "/v1/messages")
        assert len(daemon.flows()) == number


def test_clear_while_the_daemon_writes(daemon: Daemon) -> None:
    post(daemon, "/v1/messages")
    post(daemon, "/nowhere")
    assert "1 flow removed" in daemon.run("flows", "clear", "--status", "501", check=True).stderr
    assert len(daemon.flows()) == 1
    post(daemon, "/v1/messages")
    assert "2 flows removed" in daemon.run("flows", "clear", "--all", check=True).stderr
    assert daemon.flows() == []
