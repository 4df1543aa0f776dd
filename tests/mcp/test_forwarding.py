"""Standard input and output joined to a server over HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ccinspect.mcp.forwarding import forward

CALL = json.dumps({"jsonrpc": "2.0", "id": 7, "method": "ping"}) + "\n"
NOTE = json.dumps({"jsonrpc": "2.0", "method": "notifications/initialized"}) + "\n"


class Server(ThreadingHTTPServer):
    """Answers like ours; what it was asked is in `seen`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[tuple[str | None, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/mcp"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        self.server.seen.append((self.headers["authorization"], body))
        if self.headers["authorization"] != "Bearer good":
            answer, status = b'{"error": {"message": "the bearer token is wrong"}}', 401
        elif '"id"' in body:
            answer, status = b'{"jsonrpc": "2.0", "id": 7, "result": {}}', 200
        else:
            answer, status = b"", 202
        self.send_response(status)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def test_answers_come_in_order(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    # A run in proxy mode has this set.
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    answers = [json.loads(line) for line in forward([CALL, "\n", NOTE, CALL], server.url, "good")]
    assert [answer["id"] for answer in answers] == [7, 7]
    assert server.seen == [("Bearer good", CALL), ("Bearer good", NOTE), ("Bearer good", CALL)]


def test_a_run_that_has_ended_is_told_to_whoever_waits(server: Server) -> None:
    (answer,) = (json.loads(line) for line in forward([NOTE, "no json\n", CALL], server.url, "old"))
    assert answer["id"] == 7
    assert "401: the bearer token is wrong" in answer["error"]["message"]


def test_a_server_that_is_not_there_is_told() -> None:
    (answer,) = (json.loads(line) for line in forward([CALL], "http://127.0.0.1:1/mcp", "good"))
    assert "cannot be reached" in answer["error"]["message"]
