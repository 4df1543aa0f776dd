"""A company's proxy on the loopback, and a name server's worth of names that only it knows: a real tinyproxy."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from ccinspect.demo.certificates import Authority
from tests.support.namespaces import unshared
from tests.support.ports import free_port
from tests.support.waiting import wait_until

USER, PASSWORD = "alice", "open-sesame-4711"


class Proxy:
    """A proxy that runs."""

    def __init__(self, port: int, tls_port: int | None = None) -> None:
        self.port = port
        self.tls_port = tls_port
        """Where it speaks TLS, if it does."""


@contextmanager
def tinyproxy(
    names: Mapping[str, str],
    ports: Sequence[int],
    *,
    login: bool = False,
    authority: Authority | None = None,
    port: int | None = None,
) -> Iterator[Proxy]:
    """tinyproxy, which opens tunnels to these ports only, and resolves these names ({name: address}).

    With `authority` it is also reached by TLS, as 127.0.0.1.
    """
    port = port or free_port()
    with tempfile.TemporaryDirectory(prefix="ccinspect-corporate-") as made, ExitStack() as stack:
        directory = Path(made)
        (directory / "hosts").write_text("".join(f"{address} {name}\n" for name, address in names.items()))
        log = directory / "tinyproxy.log"
        lines = [
            f"Port {port}",
            "Listen 127.0.0.1",
            "Timeout 60",
            f'LogFile "{log}"',
            "MaxClients 50",
            "Allow 127.0.0.1",
            *(f"ConnectPort {allowed}" for allowed in ports),
            *([f"BasicAuth {USER} {PASSWORD}"] if login else []),
        ]
        (directory / "tinyproxy.conf").write_text("\n".join(lines) + "\n")
        # A hosts file of its own, in a mount namespace of its own.
        own_names = 'mount --bind "$0/hosts" /etc/hosts && exec tinyproxy -d -c "$0/tinyproxy.conf"'
        stack.enter_context(_running(unshared(["--mount"], ["sh", "-c", own_names, directory]), port, log))
        yield Proxy(port, stack.enter_context(_with_tls(authority, port)) if authority else None)


@contextmanager
def _with_tls(authority: Authority, port: int) -> Iterator[int]:
    """A port that speaks TLS and hands everything on to another."""

    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        writers.append(inner_writer)
        await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))

    loop = asyncio.new_event_loop()
    starting = asyncio.start_server(serve, "127.0.0.1", 0, ssl=authority.server_context(["127.0.0.1"]))
    server = loop.run_until_complete(starting)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        asyncio.run_coroutine_threadsafe(_stop(server, writers), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def _stop(server: asyncio.Server, writers: Sequence[asyncio.StreamWriter]) -> None:
    server.close()
    for writer in writers:
        writer.transport.abort()
    for writer in writers:
        with suppress(OSError):
            await writer.wait_closed()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.gather(*others, return_exceptions=True)


@contextmanager
def _running(command: list[str | os.PathLike[str]], port: int, log: Path) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: process.poll() is not None or _listens(port), 20)
        assert process.poll() is None, f"{command} ended:\n{log.read_text() if log.exists() else ''}"
        assert _listens(port), f"{command} does not listen"
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
