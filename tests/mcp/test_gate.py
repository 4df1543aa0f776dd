from __future__ import annotations

from typing import Any

import anyio
import pytest

from ccinspect.mcp.gate import Gate

HOST = (b"host", b"127.0.0.1:4030")
TOKEN = (b"authorization", b"Bearer secret")


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/mcp", [HOST, TOKEN], None),
        ("/mcp/", [HOST, TOKEN], None),
        ("/mcp", [(b"host", b"localhost:1"), (b"authorization", b"bearer  secret ")], None),
        ("/mcp", [(b"host", b"[::1]:4030"), TOKEN, (b"origin", b"http://localhost:3000")], None),
        ("/mcp", [HOST, TOKEN, (b"sec-fetch-site", b"same-origin")], None),
        ("/mcp", [HOST], 401),
        ("/mcp", [HOST, (b"authorization", b"Bearer secre")], 401),
        ("/mcp", [HOST, (b"authorization", b"Bearer ")], 401),
        ("/mcp", [HOST, (b"authorization", b"Basic secret")], 401),
        ("/mcp", [HOST, (b"authorization", b"secret")], 401),
        ("/mcp", [HOST, TOKEN, (b"authorization", b"Bearer x")], 401),
        ("/mcp", [HOST, (b"authorization", b"Bearer s\xc3\xa9cret")], 401),
        ("/", [HOST, TOKEN], 404),
        ("/mcp/notify", [HOST, TOKEN], 404),
        ("/mcp", [TOKEN], 403),
        ("/mcp", [(b"host", b"evil.example:4030"), TOKEN], 403),
        ("/mcp", [(b"host", b"127.0.0.1.evil.example"), TOKEN], 403),
        ("/mcp", [(b"host", b"evil.example@127.0.0.1:4030.evil.example"), TOKEN], 403),
        ("/mcp", [(b"host", b"\xff"), TOKEN], 403),
        ("/mcp", [(b"host", b"[::1"), TOKEN], 403),
        ("/mcp", [HOST, (b"host", b"evil.example"), TOKEN], 403),
        ("/mcp", [HOST, TOKEN, (b"origin", b"https://evil.example")], 403),
        ("/mcp", [HOST, TOKEN, (b"origin", b"null")], 403),
        ("/mcp", [HOST, TOKEN, (b"origin", b"http://localhost"), (b"origin", b"http://evil.example")], 403),
        ("/mcp", [HOST, TOKEN, (b"sec-fetch-site", b"cross-site")], 403),
    ],
)
def test_only_programs_of_this_machine_that_know_the_token_pass(
    path: str, headers: list[tuple[bytes, bytes]], status: int | None
) -> None:
    assert first_answer(path, headers)["status"] == status


def first_answer(path: str, headers: list[tuple[bytes, bytes]], method: str = "POST") -> dict[str, Any]:
    """The head of what is answered; status None where the request passed."""

    async def passed(scope: Any, receive: Any, send: Any) -> None:
        await send({"status": None})

    async def behind(token: str) -> Any:
        return passed if token == "secret" else None

    async def ask() -> list[dict[str, Any]]:
        sent: list[dict[str, Any]] = []

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await Gate(behind)({"type": "http", "method": method, "path": path, "headers": headers}, None, send)
        return sent

    return anyio.run(ask)[0]


@pytest.mark.parametrize("method", ["GET", "DELETE", "OPTIONS", "PUT"])
def test_it_is_only_posted_to(method: str) -> None:
    answer = first_answer("/mcp", [HOST, TOKEN], method)
    assert (answer["status"], dict(answer["headers"])[b"allow"]) == (405, b"POST")
    assert first_answer("/mcp", [HOST], method)["status"] == 401
