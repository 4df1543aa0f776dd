"""Who is at the other end of a client connection: its TLS handshake, its process, what it says of itself.

Looking for a process reads /proc for milliseconds, so that happens in one thread beside the proxy, once a connection,
while the server is asked. Only an answer that comes faster than that is held back until the process is known: its
client keeps the socket open as long as it waits.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from mitmproxy import connection, dns, http, tcp, tls, udp

from ccinspect.addons.sources import Sources
from ccinspect.identity.client_hello import parse_client_hello
from ccinspect.identity.machine import this_machine
from ccinspect.identity.processes import Opener, ProcessFinder, Protocol
from ccinspect.identity.tags import PREFIX, Said, read_tags

# Connections that wait for the thread; with more, the newest go without.
_MAX_WAITING = 64
# Far more than a search takes, but for a machine that is busy; a model's answer takes longer still.
_HELD_SECONDS = 0.25
_PREFIX = PREFIX.encode()


class Who:
    """Addon: keeps what is known of the clients of live connections, for the inspector to ask."""

    name = "ccinspect_who"

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self.machine = this_machine().as_record()
        self._finders: dict[str, ProcessFinder] = {}
        self._openers: dict[str, asyncio.Future[Opener | None]] = {}
        self._hellos: dict[str, dict[str, Any]] = {}
        self._thread = ThreadPoolExecutor(1, "process-finder")
        self._waiting = 0

    def done(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    def client_connected(self, client: connection.Client) -> None:
        if run := self.sources.of(client).run:
            self.look_for_process(client, run)

    def client_disconnected(self, client: connection.Client) -> None:
        self._openers.pop(client.id, None)
        self._hellos.pop(client.id, None)

    def tls_clienthello(self, data: tls.ClientHelloData) -> None:
        # What cannot be parsed here fails in mitmproxy's handshake as well, and is recorded as such.
        with contextlib.suppress(ValueError):
            hello = parse_client_hello(data.client_hello.raw_bytes())
            self._hellos[data.context.client.id] = hello.as_record()

    def responseheaders(self, captured: http.HTTPFlow) -> Awaitable[object] | None:
        return self._hold(captured.client_conn)

    def dns_response(self, captured: dns.DNSFlow) -> Awaitable[object] | None:
        return self._hold(captured.client_conn)

    def tcp_message(self, captured: tcp.TCPFlow | udp.UDPFlow) -> Awaitable[object] | None:
        return None if captured.messages[-1].from_client else self._hold(captured.client_conn)

    udp_message = tcp_message

    def _hold(self, client: connection.Client) -> Awaitable[object] | None:
        answer = self._openers.get(client.id)
        return None if answer is None or answer.done() else asyncio.wait([answer], timeout=_HELD_SECONDS)

    def look_for_process(self, client: connection.Client, run: str) -> None:
        """Start to look for the process of `run` that opened this connection; at most once a connection."""
        supervisor = self.sources.supervisors.get(run)
        if supervisor is None or client.id in self._openers or self._waiting >= _MAX_WAITING or not client.peername:
            return
        finder = self._finders.get(run)
        if finder is None:
            self._finders = {known: kept for known, kept in self._finders.items() if known in self.sources.supervisors}
            finder = self._finders[run] = ProcessFinder(supervisor)
        self._waiting += 1
        address, port = client.peername[:2]
        protocol: Protocol = "udp" if client.transport_protocol == "udp" else "tcp"
        search = partial(finder.find, address, port, protocol)
        found = asyncio.get_running_loop().run_in_executor(self._thread, search)
        found.add_done_callback(self._found)
        self._openers[client.id] = found

    def _found(self, answer: asyncio.Future[Opener | None]) -> None:
        self._waiting -= 1
        if not answer.cancelled():
            # A process may vanish while it is looked at; that its exception was seen is all that matters.
            answer.exception()

    def process(self, client: connection.Client) -> dict[str, object] | None:
        """The process that opened the connection, as far as it has been found."""
        answer = self._openers.get(client.id)
        if answer is None or not answer.done() or answer.cancelled() or answer.exception() is not None:
            return None
        opener = answer.result()
        return opener.as_record() if opener else None

    def fingerprint(self, client: connection.Client) -> dict[str, Any] | None:
        """{ja3, ja4, ...} of the client's TLS handshake."""
        return self._hellos.get(client.id)


def has_tags(request: http.Request) -> bool:
    """Whether a request has headers of ours; hardly any has, so the look must cost next to nothing."""
    return any(name[: len(_PREFIX)].lower() == _PREFIX for name, _ in request.headers.fields)


def take_tags(request: http.Request) -> Said:
    """Read our headers out of a request and off it."""
    said = read_tags(request.headers.fields)
    for name in said.strip:
        request.headers.pop(name, None)
    return said
