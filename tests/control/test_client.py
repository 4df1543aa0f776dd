"""The client against a real Unix socket whose server side is played by the test, line by line."""

from __future__ import annotations

import os
import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ccinspect import errors
from ccinspect.control import protocol
from ccinspect.control.client import ControlClient

Script = Callable[[socket.socket], None]


@contextmanager
def served(path: Path, script: Script) -> Iterator[Path]:
    """Listen on `path` and let `script` play the daemon for one connection."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        with protocol.socket_address(path) as address:
            listener.bind(address)
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                script(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield path
        finally:
            thread.join(10)
            assert not thread.is_alive()


def read_request(connection: socket.socket) -> dict[str, object]:
    with connection.makefile("rb") as stream:
        return protocol.decode(stream.readline())


def answer_with(value: object, seen: list[dict[str, object]] | None = None) -> Script:
    def script(connection: socket.socket) -> None:
        request = read_request(connection)
        if seen is not None:
            seen.append(request)
        connection.sendall(protocol.encode(protocol.result(int(str(request["id"])), value)))

    return script


def test_a_call_sends_its_params_and_returns_the_result(tmp_path: Path) -> None:
    seen: list[dict[str, object]] = []
    with served(tmp_path / "s", answer_with({"flows": 3}, seen)) as path, ControlClient.connect(path, 5) as client:
        assert client.call(protocol.RUN_END, run_id="r1", exit_code=0) == {"flows": 3}
    assert seen == [{"id": 1, "method": "run.end", "params": {"run_id": "r1", "exit_code": 0}}]


def test_file_names_that_are_no_utf8_survive(tmp_path: Path) -> None:
    seen: list[dict[str, object]] = []
    name = os.fsdecode(b"caf\xe9")
    with served(tmp_path / "s", answer_with(None, seen)) as path, ControlClient.connect(path, 5) as client:
        client.call("run.start", cwd=name)
    assert seen[0]["params"] == {"cwd": name}


def test_nothing_listens(tmp_path: Path) -> None:
    with pytest.raises(errors.DaemonNotRunning) as caught:
        ControlClient.connect(tmp_path / "missing", 5)
    assert "ccinspect start" in caught.value.hint


def test_a_stale_socket_file_means_not_running(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
    with pytest.raises(errors.DaemonNotRunning):
        ControlClient.connect(tmp_path / "s", 5)


@pytest.mark.parametrize(
    "error",
    [
        errors.PortBusy("port 4000 is taken", "free it"),
        errors.CommandNotFound("no such command: x", ""),
        errors.FilterError("no array", "use .[-1:]"),
    ],
)
def test_an_error_arrives_as_the_class_that_was_raised(tmp_path: Path, error: errors.CcinspectError) -> None:
    def script(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(protocol.encode(protocol.failure(1, error)))

    with served(tmp_path / "s", script) as path, ControlClient.connect(path, 5) as client:
        with pytest.raises(type(error)) as caught:
            client.call("status")
        assert (caught.value.message, caught.value.hint) == (error.message, error.hint)
        assert caught.value.exit_code == error.exit_code


@pytest.mark.parametrize("name", ["annotations", "Exception", "NoSuchError", "__doc__", ""])
def test_an_unknown_error_type_is_a_control_error(name: str) -> None:
    found = protocol.error_from_json({"message": "m", "hint": "h", "type": name})
    assert type(found) is errors.ControlError
    assert (found.message, found.hint) == ("m", "h")


def test_an_internal_error_does_not_leak_its_text() -> None:
    described = protocol.error_to_json(ValueError("sk-ant-secret"))
    assert "secret" not in str(described)
    assert "ValueError" in described["message"]


def test_the_daemon_goes_away_before_it_answers(tmp_path: Path) -> None:
    def script(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b'{"id": 1, "resu')

    with (
        served(tmp_path / "s", script) as path,
        ControlClient.connect(path, 5) as client,
        pytest.raises(errors.ControlError, match="went away"),
    ):
        client.call("status")


@pytest.mark.parametrize("line", [b"not json\n", b"[1]\n", b'{"id": 99, "result": 1}\n', b"\xff\n"])
def test_nonsense_is_a_control_error(tmp_path: Path, line: bytes) -> None:
    def script(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(line)

    with (
        served(tmp_path / "s", script) as path,
        ControlClient.connect(path, 5) as client,
        pytest.raises(errors.ControlError),
    ):
        client.call("status")


def test_a_late_answer_is_not_taken_for_the_next_one(tmp_path: Path) -> None:
    timed_out = threading.Event()

    def script(connection: socket.socket) -> None:
        with connection.makefile("rb") as stream:
            stream.readline()
            assert timed_out.wait(10)
            stream.readline()
            connection.sendall(
                protocol.encode(protocol.result(1, "late")) + protocol.encode(protocol.result(2, "mine"))
            )

    with served(tmp_path / "s", script) as path, ControlClient.connect(path, 0.05) as client:
        with pytest.raises(errors.ControlError, match="did not answer"):
            client.call("status")
        client.set_timeout(10)
        timed_out.set()
        assert client.call("status") == "mine"


def test_events_come_whatever_the_chunks(tmp_path: Path) -> None:
    lines = b"".join(
        protocol.encode(protocol.event("flow", {"n": n, "text": "x" * n})) for n in range(0, 200_000, 40_000)
    )

    def script(connection: socket.socket) -> None:
        request = read_request(connection)
        assert request["params"] == {"run": "r1"}
        everything = protocol.encode(protocol.result(1, {})) + lines
        for start in range(0, len(everything), 7001):
            connection.sendall(everything[start : start + 7001])

    with served(tmp_path / "s", script) as path, ControlClient.connect(path, 10) as client:
        events = list(client.events(run="r1"))
    assert [(name, data["n"]) for name, data in events] == [("flow", n) for n in range(0, 200_000, 40_000)]


def test_a_socket_deeper_than_an_address_can_say(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    with served(deep / "control.sock", answer_with("hello")) as path, ControlClient.connect(path, 5) as client:
        assert client.call("status") == "hello"


def test_no_child_inherits_the_connection(tmp_path: Path) -> None:
    with served(tmp_path / "s", answer_with(1)) as path, ControlClient.connect(path, 5) as client:
        assert not os.get_inheritable(client.fileno())
        client.call("status")


def test_events_that_come_before_an_answer_are_kept_for_whoever_asks(tmp_path: Path) -> None:
    def script(connection: socket.socket) -> None:
        request = read_request(connection)
        connection.sendall(protocol.encode(protocol.event("notice", {"text": "one"})))
        connection.sendall(protocol.encode(protocol.result(int(str(request["id"])), "answer")))
        connection.sendall(protocol.encode(protocol.event("notice", {"text": "two"})))
        connection.sendall(b'{"event": "not')

    with served(tmp_path / "s", script) as path, ControlClient.connect(path, 5) as client:
        assert client.call("anything") == "answer"
        heard: list[tuple[str, object]] = []
        while (more := client.take_events()) is not None:
            heard += more
            select.select([client], [], [], 5)
    assert [data for _, data in heard] == [{"text": "one"}, {"text": "two"}]
