"""The MCP server behind the reverse listener: the same checks, nothing held up, nothing recorded."""

from __future__ import annotations

import json

import httpx
from mcp import ClientSession

from ccinspect.demo.provider import Provider
from tests.conftest import StartDaemon
from tests.mcp.test_http import send, server_of, token_of, work_with
from tests.mcp.test_stdio import text_of
from tests.support.daemon import Daemon


def shown_by_mitmweb(daemon: Daemon) -> list[str]:
    """The paths of the flows in mitmweb's memory."""
    token = daemon.paths.web_token.read_text().strip()
    url = f"http://127.0.0.1:{daemon.ports['web']}/flows"
    answer = httpx.get(url, params={"token": token}, trust_env=False, follow_redirects=True)
    return [flow["request"]["path"] for flow in answer.json()]


def test_it_is_reached_by_those_who_know_the_token_and_leaves_no_flow(
    start_daemon: StartDaemon, provider: Provider
) -> None:
    daemon = start_daemon(mcp={"enabled": True, "port": 0})
    direct = server_of(daemon)
    url = f"http://127.0.0.1:{daemon.ports['reverse']}/mcp"
    known = {"authorization": f"Bearer {token_of(direct)}"}
    for headers, status in (
        ({}, 401),
        ({"authorization": "Bearer wrong"}, 401),
        (known | {"origin": "https://evil.example"}, 403),
        (known | {"host": "evil.example"}, 403),
        (known | {"sec-fetch-site": "cross-site"}, 403),
    ):
        answer = httpx.post(url, json={}, headers=headers, trust_env=False)
        assert (answer.status_code, token_of(direct) in answer.text) == (status, False)
    send(daemon)

    async def work(session: ClientSession) -> None:
        found = json.loads(text_of(await session.call_tool("search_flows", {})))
        assert [flow["url"] for flow in found["flows"]] == ["https://api.anthropic.com/v1/messages"]

    work_with(direct | {"url": url}, work)
    assert [flow["request"]["path"] for flow in daemon.flows()] == ["/v1/messages"]
    assert shown_by_mitmweb(daemon) == ["/v1/messages"]
    assert [request.path for request in provider.requests] == ["/v1/messages"]
    assert token_of(direct) not in daemon.log()
    # Nothing is ever said unasked: a client that would listen learns it at once.
    listening = httpx.get(url, headers=known | {"accept": "text/event-stream"}, trust_env=False)
    assert (listening.status_code, listening.headers["allow"]) == (405, "POST")


def test_where_it_is_off_how_to_enable_it_is_said(daemon: Daemon, provider: Provider) -> None:
    answer = httpx.post(f"http://127.0.0.1:{daemon.ports['reverse']}/mcp", json={}, trust_env=False)
    assert answer.status_code == 404
    assert "mcp.enabled: true" in answer.json()["error"]["message"]
    assert not provider.requests
    assert daemon.flows() == []
