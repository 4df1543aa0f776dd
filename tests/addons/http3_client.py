"""A jailed program: POSTs over HTTP/3, trusting what the environment says. Prints each answer's status and body.

HOST PATH BODY [KEY [COUNT]]: all requests go at once, over one connection.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration


class Client(QuicConnectionProtocol):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.http = H3Connection(self._quic)
        self.status: dict[int, bytes] = {}
        self.body: dict[int, bytes] = {}
        self.done: dict[int, asyncio.Future[None]] = {}

    def quic_event_received(self, event: Any) -> None:
        for found in self.http.handle_event(event):
            if isinstance(found, HeadersReceived):
                self.status[found.stream_id] = dict(found.headers)[b":status"]
            elif isinstance(found, DataReceived):
                self.body[found.stream_id] = self.body.get(found.stream_id, b"") + found.data
                done = self.done[found.stream_id]
                if found.stream_ended and not done.done():
                    done.set_result(None)

    def ask(self, host: str, path: str, body: bytes, key: str) -> int:
        """Send one request; returns the number of its stream."""
        stream = self._quic.get_next_available_stream_id()
        self.done[stream] = asyncio.get_running_loop().create_future()
        pseudo = [
            (b":method", b"POST"),
            (b":scheme", b"https"),
            (b":authority", host.encode()),
            (b":path", path.encode()),
        ]
        self.http.send_headers(stream, [*pseudo, (b"x-api-key", key.encode())])
        self.http.send_data(stream, body, end_stream=True)
        self.transmit()
        return stream


async def main(host: str, path: str, body: str, key: str = "k", count: str = "1") -> None:
    configuration = QuicConfiguration(is_client=True, alpn_protocols=H3_ALPN, cafile=os.environ["SSL_CERT_FILE"])
    async with connect(host, 443, configuration=configuration, create_protocol=Client) as client:
        assert isinstance(client, Client)
        for stream in [client.ask(host, path, body.encode(), key) for _ in range(int(count))]:
            await asyncio.wait_for(client.done[stream], 20)
            print(client.status[stream].decode(), client.body[stream].decode())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
