"""What a program inside of a run does with the MCP server it was given: standard library only, prints one JSON object.

Arguments: the id of a flow of somebody else.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from typing import Any

HEADERS = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
INITIALIZE = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "clientInfo": {"name": "inside", "version": "1"},
}


def message(method: str, params: dict[str, Any], number: int | None = 1) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": method, "params": params} | ({} if number is None else {"id": number})


class Server:
    """One session with the server over HTTP, past any proxy that the environment names."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self.headers = HEADERS | {"authorization": f"Bearer {token}"}
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self.post(message("initialize", INITIALIZE))
        self.post(message("notifications/initialized", {}, None))

    def post(self, what: dict[str, Any]) -> Any:
        request = urllib.request.Request(self.url, json.dumps(what).encode(), self.headers)
        with self._opener.open(request, timeout=30) as answer:
            if session := answer.headers.get("mcp-session-id"):
                self.headers["mcp-session-id"] = session
            body = answer.read()
        return json.loads(body) if body else None

    def ask(self, tool: str, **arguments: Any) -> Any:
        result = self.post(message("tools/call", {"name": tool, "arguments": arguments}))["result"]
        text = result["content"][0]["text"]
        return {"refused": text} if result["isError"] else json.loads(text)


def stdio() -> Iterator[Any]:
    """What `ccinspect mcp` answers here."""
    asked = [
        message("initialize", INITIALIZE),
        message("notifications/initialized", {}, None),
        message("tools/call", {"name": "runs", "arguments": {}}, 2),
    ]
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "ccinspect", "mcp"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.writelines(json.dumps(one) + "\n" for one in asked)
        process.stdin.flush()
        for _ in range(2):
            if not (line := process.stdout.readline()):
                yield {"ended": process.stderr.read()}
                return
            yield json.loads(line)
        process.stdin.close()


def call_a_model() -> None:
    base = os.environ.get("ANTHROPIC_BASE_URL", "https://api.anthropic.com")
    body = {"model": "claude-test", "max_tokens": 9, "messages": [{"role": "user", "content": "mine"}]}
    headers = {"content-type": "application/json", "x-api-key": "k", "anthropic-version": "2023-06-01"}
    request = urllib.request.Request(f"{base}/v1/messages", json.dumps(body).encode(), headers)
    urllib.request.urlopen(request, timeout=30).read()


def main(other: str) -> None:
    """Call a model, then ask about it, and about the flow of somebody else."""
    url, token = os.environ["CCINSPECT_MCP_URL"], os.environ["CCINSPECT_MCP_TOKEN"]
    call_a_model()
    server = Server(url, token)
    listed = server.post(message("tools/list", {}))["result"]["tools"]
    resource = server.post(message("resources/read", {"uri": f"ccinspect://flow/{other}/request.json"}))
    found = {
        "token": token,
        "url": url,
        "config": json.loads(os.environ["CCINSPECT_MCP_CONFIG"]),
        "tools": [tool["name"] for tool in listed],
        "read_only": all(tool["annotations"]["readOnlyHint"] for tool in listed),
        "calls": server.ask("search_flows", model_calls=True),
        "runs": server.ask("runs"),
        "cost": server.ask("context_breakdown"),
        "other": server.ask("flow_outline", flow=other),
        "sql": server.ask("query", sql="SELECT uuid, run FROM flows WHERE type = 'http'"),
        "tricks": [
            server.ask("query", sql=sql)
            for sql in ("SELECT uuid FROM store.flows", "SELECT record FROM flows", "PRAGMA database_list")
        ],
        "file": server.ask("flow_body", flow="last", to_file=True),
        "acting": server.ask("clear_flows", everything=True, expected=0),
        "resource": resource.get("error"),
        "stdio": list(stdio()),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
