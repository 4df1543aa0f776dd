"""A collector in a process of its own: `python -m bench.collector PROTOCOL MANNER [PORT]`, until its stdin ends.

`takes` takes everything and keeps nothing, `hangs` takes connections and never answers. It prints its port.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from bench.servers import module_with_port


@contextmanager
def collector(protocol: str, manner: str = "takes", port: int = 0) -> Iterator[int]:
    """The port of one that runs: `protocol` is `grpc` or `http`."""
    with module_with_port("bench.collector", protocol, manner, str(port)) as listening:
        yield listening


class _Taking(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Its output is the port only."""


def _serve_http(port: int) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", port), _Taking)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)


def _serve_grpc(port: int) -> Any:
    from concurrent.futures import ThreadPoolExecutor

    import grpc

    def handler(_: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(lambda request, context: b"")

    class Anything(grpc.GenericRpcHandler):
        def service(self, details: Any) -> Any:
            return handler(details)

    server = grpc.server(ThreadPoolExecutor(2), handlers=[Anything()])
    print(server.add_insecure_port(f"127.0.0.1:{port}"), flush=True)
    server.start()
    return server


class _Silent(asyncio.Protocol):
    """Reads, and says nothing."""


async def _hang(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Silent, "127.0.0.1", port)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


def main() -> None:
    protocol, manner, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if manner == "hangs":
        asyncio.run(_hang(port))
        return
    server = _serve_grpc(port) if protocol == "grpc" else _serve_http(port)
    sys.stdin.read()
    if server is not None:
        server.stop(None)


if __name__ == "__main__":
    main()
