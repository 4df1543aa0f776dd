"""Settings from YAML, as users write them, and a real token server on the loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

import yaml
from pydantic import TypeAdapter

from ccinspect.auth.settings import AuthSettings

_ADAPTER: TypeAdapter[AuthSettings] = TypeAdapter(AuthSettings)


def auth(text: str) -> AuthSettings:
    """What `auth: TEXT` means in the configuration."""
    return _ADAPTER.validate_python(yaml.safe_load(text))


def auth_of(**values: Any) -> AuthSettings:
    return _ADAPTER.validate_python(values)


@dataclass
class Asked:
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))


Answer = Callable[[Asked], tuple[int, dict[str, str], bytes]]


@dataclass
class TokenServer:
    url: str
    answer: Answer
    asked: list[Asked] = field(default_factory=list)


def tokens(access: str, **more: Any) -> tuple[int, dict[str, str], bytes]:
    body = json.dumps({"access_token": access, "token_type": "Bearer"} | more).encode()
    return 200, {"Content-Type": "application/json"}, body


@contextmanager
def token_server(answer: Answer) -> Iterator[TokenServer]:
    """Serve POSTs with what `answer` gives until the block ends."""
    served: TokenServer

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked = Asked({name.lower(): value for name, value in self.headers.items()}, body)
            served.asked.append(asked)
            status, headers, content = served.answer(asked)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served = TokenServer(f"http://127.0.0.1:{server.server_address[1]}/token", answer)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
