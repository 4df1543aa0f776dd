"""The server as the daemon starts it: a real daemon, real traffic, and the official client over HTTP."""

from __future__ import annotations

import http.client
import json
import os
import select
import signal
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

from ccinspect.demo.provider import Provider
from ccinspect.store.query import StoreReader
from tests.mcp.test_stdio import text_of
from tests.support.daemon import Daemon, settings_for, started

Work = Callable[[ClientSession], Awaitable[None]]


def server_of(daemon: Daemon) -> dict[str, Any]:
    """The block `mcp` of its status, once the server serves."""
    block: dict[str, Any] = daemon.json("status", "--json")["mcp"]
    # It is listened on from the start: a request waits until somebody accepts it.
    connection = http.client.HTTPConnection("127.0.0.1", block["port"], timeout=30)
    try:
        connection.request("GET", "/")
        assert connection.getresponse().status == 404
    finally:
        connection.close()
    return block


def token_of(block: dict[str, Any]) -> str:
    path = Path(block["token"])
    assert path.stat().st_mode & 0o777 == 0o600
    return path.read_text().strip()


def work_with(block: dict[str, Any], work: Work) -> None:
    async def run() -> None:
        authorised = {"authorization": f"Bearer {token_of(block)}"}
        async with (
            httpx.AsyncClient(headers=authorised, timeout=30, trust_env=False) as client,
            streamable_http_client(block["url"], http_client=client) as (incoming, outgoing, _),
            ClientSession(incoming, outgoing) as session,
        ):
            await session.initialize()
            await work(session)

    with anyio.from_thread.start_blocking_portal() as portal:
        portal.call(run)


def send(daemon: Daemon) -> None:
    """One model call through the reverse listener."""
    connection = http.client.HTTPConnection("127.0.0.1", daemon.ports["reverse"], timeout=30)
    body = {"model": "claude-sonnet-4-5", "max_tokens": 10, "messages": [{"role": "user", "content": "Hello"}]}
    headers = {"content-type": "application/json", "x-api-key": "k", "anthropic-version": "2023-06-01"}
    try:
        connection.request("POST", "/v1/messages", json.dumps(body), headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200
    finally:
        connection.close()


@pytest.fixture(scope="module")
def serving(shared_provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon for all tests, each of which leaves it serving."""
    directory = tmp_path_factory.mktemp("serving")
    settings = settings_for(shared_provider, directory, mcp={"enabled": True, "port": 0})
    with started(Daemon(directory / "instance", settings)) as running:
        yield running


def test_the_daemon_serves_what_it_captured(serving: Daemon) -> None:
    daemon = serving
    block = server_of(daemon)
    with StoreReader(daemon.paths.store_dir) as store:
        before = store.count()
    send(daemon)

    async def work(session: ClientSession) -> None:
        found = json.loads(text_of(await session.call_tool("search_flows", {"model_calls": True})))
        assert found["total"] == before + 1
        cost = json.loads(text_of(await session.call_tool("context_breakdown", {})))
        assert cost["call"]["model"] == "claude-sonnet-4-5"

    work_with(block, work)
    assert daemon.json("status", "--json")["mcp"]["running"]
    status = daemon.run("status", "--mcp")
    assert status.returncode == 0
    assert f"{token_of(block)} ({daemon.paths.mcp_token})" in status.stdout


def test_a_server_that_dies_is_started_again_and_traffic_and_its_clients_go_on(serving: Daemon) -> None:
    daemon = serving
    block = server_of(daemon)

    async def work(session: ClientSession) -> None:
        assert not (await session.call_tool("runs", {})).isError
        os.kill(worker_of(daemon), signal.SIGKILL)
        await anyio.to_thread.run_sync(send, daemon)
        assert await anyio.to_thread.run_sync(server_of, daemon) | {"running": True} == block | {"running": True}
        assert not (await session.call_tool("runs", {})).isError

    work_with(block, work)


def test_clients_that_go_without_a_word_leave_room_for_others(serving: Daemon) -> None:
    block = server_of(serving)
    client = {"name": "leaves", "version": "1"}
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client}
    headers = {"authorization": f"Bearer {token_of(block)}", "accept": "application/json, text/event-stream"}
    with httpx.Client(headers=headers, trust_env=False) as http_client:
        for number in range(250):
            message = {"jsonrpc": "2.0", "id": number, "method": "initialize", "params": hello}
            assert http_client.post(block["url"], json=message).json()["result"]["serverInfo"]["name"] == "ccinspect"


def test_without_being_asked_for_there_is_none(daemon: Daemon) -> None:
    block = daemon.json("status", "--json")["mcp"]
    assert not block["enabled"]
    assert not block["running"]
    assert not daemon.paths.mcp_token.exists()


def test_without_the_token_nothing_is_told_and_nothing_outlives_the_daemon(serving: Daemon) -> None:
    daemon = serving
    block = server_of(daemon)
    for headers, status in (
        ({}, 401),
        ({"authorization": "Bearer wrong"}, 401),
        ({"authorization": f"Bearer {token_of(block)}", "origin": "https://evil.example"}, 403),
        ({"authorization": f"Bearer {token_of(block)}", "host": "evil.example"}, 403),
    ):
        answer = httpx.post(block["url"], json={}, headers=headers, trust_env=False)
        assert answer.status_code == status
        assert token_of(block) not in answer.text
    assert token_of(block) not in daemon.log()
    process = os.pidfd_open(worker_of(daemon))
    try:
        daemon.kill()
        assert select.select([process], [], [], 10)[0], "the MCP server outlived its daemon"
    finally:
        os.close(process)
    daemon.restart_after_kill()
    assert server_of(daemon)["url"]


def worker_of(daemon: Daemon) -> int:
    """The process id of the daemon's MCP server."""
    for task in Path(f"/proc/{daemon.pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            if b"ccinspect.mcp.http_worker" in Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0"):
                return int(child)
    raise AssertionError("there is no MCP server")
