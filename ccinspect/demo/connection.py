"""One connection of the fake provider: carries out the steps of an answer, and knows when the client has gone."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from ccinspect.demo.answers import Close, Converse, Echo, Gate, Pause, Reset, Step, Truncate
from ccinspect.demo.http1 import MAX_LINE

_ECHO_PIECE = 65536
_FLUSH_TRIES = 2000


class Connection(asyncio.StreamReaderProtocol):
    """asyncio's own stream protocol with a memory for its end."""

    def __init__(self, accept: Callable[[Connection], None]) -> None:
        self.stream = asyncio.StreamReader(limit=MAX_LINE)
        super().__init__(self.stream, self._connected)
        self.hung_up = threading.Event()
        """Set when the client has ended its side, or the connection is over."""
        self._accept = accept
        self._lost = asyncio.Event()
        self._torn = False

    def _connected(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._accept(self)

    def connection_lost(self, error: Exception | None) -> None:
        self.hung_up.set()
        self._lost.set()
        super().connection_lost(error)

    def eof_received(self) -> bool | None:
        self.hung_up.set()
        self._lost.set()
        return super().eof_received()

    def tls_facts(self) -> dict[str, str | None] | None:
        """{sni, alpn, version}; None on a plain connection."""
        tls = self._writer.get_extra_info("ssl_object")
        if tls is None:
            return None
        return {
            "sni": getattr(tls, "asked_for", None),
            "alpn": tls.selected_alpn_protocol(),
            "version": tls.version(),
        }

    async def write(self, steps: Iterable[Step]) -> bool:
        """Carry out an answer; False when it ended the connection, or the client did."""
        for step in steps:
            match step:
                case bytes():
                    self._writer.write(step)
                    await self._writer.drain()
                case Pause():
                    await asyncio.sleep(step.seconds)
                case Gate():
                    step.mark_reached()
                    if not await self._pass(step):
                        return False
                case Echo():
                    while data := await self.stream.read(_ECHO_PIECE):
                        self._writer.write(data)
                        await self._writer.drain()
                    return False
                case Converse():
                    await self._converse(step)
                    return False
                case Close():
                    return False
                case Truncate():
                    await self._tear()
                    return False
                case Reset():
                    await self._tear()
                    # A linger time of zero turns the close into a reset.
                    sock = self._writer.get_extra_info("socket")
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return False
        return True

    async def _converse(self, step: Converse) -> None:
        goes_on = True
        while goes_on and (data := await self.stream.read(_ECHO_PIECE)):
            said, goes_on = step.talk(data)
            self._writer.write(said)
            await self._writer.drain()

    async def end(self) -> None:
        """Close the connection, in order or as the last step said."""
        if self._torn:
            self._writer.transport.abort()
        else:
            self._writer.close()
        with suppress(OSError, asyncio.CancelledError):
            await self._writer.wait_closed()

    async def _tear(self) -> None:
        """Hand all that was written to the kernel, so that the abort which follows does not drop it."""
        for _ in range(_FLUSH_TRIES):
            if not self._writer.transport.get_write_buffer_size():
                break
            await asyncio.sleep(0.001)
        self._torn = True

    async def _pass(self, gate: Gate) -> bool:
        """Wait until the gate opens; False when the client went away first."""
        opened: asyncio.Future[None] = asyncio.wrap_future(gate.future)
        lost = asyncio.ensure_future(self._lost.wait())
        waiting: list[asyncio.Future[Any]] = [opened, lost]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            return opened.done()
        finally:
            for future in waiting:
                future.cancel()


def remember_server_name(context: ssl.SSLContext) -> None:
    """Make `Connection.tls_facts` know the host name that a client of this context asks for."""

    def remember(tls: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> None:
        vars(tls)["asked_for"] = name

    context.sni_callback = remember
