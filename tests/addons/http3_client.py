"""A jailed program: one POST over HTTP/3, trusting what the environment says. Prints the answer's status and body."""

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
        self.status = b""
        self.body = b""
        self.done = asyncio.get_running_loop().create_future()

    def quic_event_received(self, event: Any) -> None:
        for found in self.http.handle_event(event):
            if isinstance(found, HeadersReceived):
                self.status = dict(found.headers)[b":status"]
            elif isinstance(found, DataReceived):
                self.body += found.data
                if found.stream_ended and not self.done.done():
                    self.done.set_result(None)


async def main(host: str, path: str, body: bytes) -> None:
    configuration = QuicConfiguration(is_client=True, alpn_protocols=H3_ALPN, cafile=os.environ["SSL_CERT_FILE"])
    async with connect(host, 443, configuration=configuration, create_protocol=Client) as client:
        assert isinstance(client, Client)
        stream = client._quic.get_next_available_stream_id()
        pseudo = [
            (b":method", b"POST"),
            (b":scheme", b"https"),
            (b":authority", host.encode()),
            (b":path", path.encode()),
        ]
        client.http.send_headers(stream, [*pseudo, (b"x-api-key", b"k")])
        client.http.send_data(stream, body, end_stream=True)
        client.transmit()
        await asyncio.wait_for(client.done, 20)
        print(client.status.decode(), client.body.decode())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3].encode()))
