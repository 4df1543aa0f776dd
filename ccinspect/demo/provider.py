"""The fake provider's server: TLS and plain HTTP/1.1 on loopback, in a thread of its own.

By itself it answers as `api.py` says. Tests put scripted answers before that, and read exactly what came in.

    with Provider() as provider:
        provider.answer_with(json_answer(529, {}))      # the next request gets this
        ...
        provider.wait_for(1)[0].raw                     # the bytes of the first request
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from ccinspect.demo.answers import CONTINUE, Answer, without_body
from ccinspect.demo.api import HOSTS, Call, answer
from ccinspect.demo.certificates import Authority
from ccinspect.demo.connection import Connection, remember_server_name
from ccinspect.demo.http1 import Received, read_body, read_head
from ccinspect.demo.mind import Ask, Reply, think

# So that a client may also reach it by its address.
_LOCAL = ("localhost", "127.0.0.1")


class Provider:
    """A context manager: serving from `__enter__` to `__exit__`. Its methods may be called from any thread."""

    def __init__(self, hosts: Sequence[str] = HOSTS, *, pace: float = 0, keep_limit: int = 64 * 2**20) -> None:
        """`pace` is the delay between two events of a stream in seconds; bodies over `keep_limit` are not kept."""
        self.hosts = tuple(hosts)
        self.authority = Authority()
        self.requests: list[Received] = []
        self.replies: list[Reply] = []
        """What the model answered, in the order it was asked. Warm-ups and counting tokens do not ask it."""
        self.https_port = 0
        self.http_port = 0
        self._pace = pace
        self._keep_limit = keep_limit
        self._scripts: deque[tuple[Callable[[Received], bool], Answer]] = deque()
        self._changed = threading.Condition()
        self._connections = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._servers: list[asyncio.Server] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fake-provider", daemon=True)

    def __enter__(self) -> Provider:
        self._thread.start()
        self.https_port = self.listen(self.authority.server_context([*self.hosts, *_LOCAL]))
        self.http_port = self.listen(None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._shut_down(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def listen(self, context: ssl.SSLContext | None) -> int:
        """Open a further listener on 127.0.0.1 (plain when there is no context) and return its port."""
        return asyncio.run_coroutine_threadsafe(self._listen(context), self._loop).result(10)

    def connect_to(self) -> dict[str, str]:
        """The provider's places, as `inspector.connect_to` of a ccinspect.yaml wants them."""
        places = {f"{host}:443": f"127.0.0.1:{self.https_port}" for host in self.hosts}
        return places | {f"{host}:80": f"127.0.0.1:{self.http_port}" for host in self.hosts}

    def write_ca(self, path: Path) -> Path:
        """Write the certificate of the authority behind the TLS listeners."""
        path.write_bytes(self.authority.pem)
        return path

    def answer_with(self, scripted: Answer, when: Callable[[Received], bool] = lambda _: True) -> None:
        """Answer the next request for which `when` holds by this script, instead of by the API. Scripts queue up."""
        with self._changed:
            self._scripts.append((when, scripted))

    def wait_for(self, count: int, timeout: float = 10) -> list[Received]:
        """Return all requests once `count` of them were read to their end. Raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._complete()) >= count, timeout):
                raise TimeoutError(f"{len(self._complete())} of {count} requests reached the provider")
            return self._complete()

    def _complete(self) -> list[Received]:
        return [request for request in self.requests if request.complete.is_set()]

    def forget(self) -> None:
        """Drop all recorded requests and replies, and all scripts."""
        with self._changed:
            self.requests.clear()
            self.replies.clear()
            self._scripts.clear()

    async def _listen(self, context: ssl.SSLContext | None) -> int:
        if context:
            remember_server_name(context)
        server = await asyncio.get_running_loop().create_server(
            lambda: Connection(self._accept), "127.0.0.1", 0, ssl=context, backlog=512
        )
        self._servers.append(server)
        bound: int = server.sockets[0].getsockname()[1]
        return bound

    async def _shut_down(self) -> None:
        for server in self._servers:
            server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accept(self, connection: Connection) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, connection: Connection) -> None:
        self._connections += 1
        number = self._connections
        try:
            while await self._serve_one(number, connection):
                pass
        # A broken client is a test's business, not the server's: it ends the connection and nothing else.
        except (OSError, EOFError, ValueError):
            pass
        finally:
            await connection.end()

    async def _serve_one(self, number: int, connection: Connection) -> bool:
        """Read and answer one request; False when the connection is to end."""
        head = await read_head(connection.stream)
        if head is None:
            return False
        request = Received(head, number, connection.tls_facts(), hung_up=connection.hung_up)
        with self._changed:
            self.requests.append(request)
            scripted = self._take_script(request)
        first = scripted.on_head if scripted else [CONTINUE] if _waits_for_continue(request) else []
        if not await connection.write(first):
            return False
        await self._finish_reading(request, connection.stream)
        answered = scripted or self._answer(request)
        return await connection.write(answered.steps) and _keeps_alive(request)

    def _answer(self, request: Received) -> Answer:
        answered = answer(Call(request, f"req_{len(self.requests):06d}", self._pace, self._think))
        return without_body(answered) if request.method == "HEAD" else answered

    def _think(self, ask: Ask) -> Reply:
        reply = think(ask)
        self.replies.append(reply)
        return reply

    async def _finish_reading(self, request: Received, stream: asyncio.StreamReader) -> None:
        await read_body(stream, request, self._keep_limit)
        with self._changed:
            request.complete.set()
            self._changed.notify_all()

    def _take_script(self, request: Received) -> Answer | None:
        for index, (when, scripted) in enumerate(self._scripts):
            if when(request):
                del self._scripts[index]
                return scripted
        return None


def _waits_for_continue(request: Received) -> bool:
    return (request.header("expect") or "").lower() == "100-continue"


def _keeps_alive(request: Received) -> bool:
    wish = (request.header("connection") or "").lower()
    if request.request_line[2] == "HTTP/1.0":
        return wish == "keep-alive"
    return wish != "close"
