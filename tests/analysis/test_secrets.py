"""What is derived must not tell what was said: canaries planted wherever an agent may put a secret."""

from __future__ import annotations

import http.client
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import zstandard

from ccinspect.control.client import ControlClient
from tests.analysis.stored import MODEL
from tests.conftest import StartDaemon
from tests.support.daemon import Daemon

_WHAT = ("system", "user", "assistant", "thinking", "result", "argument", "answer", "tool", "schema")
CONTENT = [f"{name[:4]}-canary-4711" for name in _WHAT]
KEYS = {
    "header": "sk-ant-api03-canaryHeader0123456789abcdefABCDEF",
    "bearer": "sk-proj-canaryBearer0123456789abcdefABCDEF",
    "query": "AIzaSyCanaryQuery0123456789abcdefABCDEF",
    "mcp": "canaryMcpToken0123456789abcdefABCDEF",
    "mcp url": "canaryMcpUrl0123456789abcdefABCDEF",
    "argument": "ghp_canaryArgument0123456789abcdefABCD",
    "file": "canaryFile0123456789abcdefABCDEF",
    "cookie": "canaryCookie0123456789abcdefABCDEF",
}
system, user, assistant, thinking, result, argument, answer, tool, schema = CONTENT


def test_no_secret_and_nothing_that_was_said_is_in_what_is_derived(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(providers={"acme": DECLARED})
    _post(daemon, "/v1/messages?beta=true", _messages(), {"x-api-key": KEYS["header"], "cookie": KEYS["cookie"]})
    _post(daemon, "/v1/messages", b'{"model": "m", "messages": [{"' + user.encode(), {"x-api-key": KEYS["header"]})
    _post(daemon, "/v1/responses", _responses(), {"authorization": f"Bearer {KEYS['bearer']}"})
    _post(daemon, f"/v1beta/models/gemini-2.5-pro:generateContent?key={KEYS['query']}", _gemini(), {})
    _post(daemon, "/v1/chat/completions", _chat(), {"authorization": f"Bearer {KEYS['bearer']}"})
    daemon.wait_for(5)
    daemon.run("session", "start", "work", check=True)
    with ControlClient.connect(daemon.paths.control_socket) as client:
        client.call("flush")
    daemon.stop()
    told = _all_values(daemon.paths.store_dir / "analysis.db") + _all_values(daemon.paths.store_dir / "sessions.db")
    files = [path for path in daemon.paths.store_dir.iterdir() if path.name.startswith(("analysis.db", "sessions.db"))]
    told += [path.read_bytes() for path in files]
    # All five were understood, else there was nothing to be leaked.
    with closing(sqlite3.connect(daemon.paths.store_dir / "analysis.db")) as db:
        assert db.execute("SELECT count(*) FROM calls").fetchone() == (5,)
        assert db.execute("SELECT count(*) FROM names WHERE name = 'github'").fetchone() == (1,)
    # Of what was said not even the beginning, as error messages quote it.
    planted = [*KEYS.items(), *((what, word[:8]) for what, word in zip(_WHAT, CONTENT, strict=True))]
    leaked = {what: value[:200] for what, word in planted for value in told if word.encode() in value}
    assert not leaked


def _all_values(path: Path) -> list[bytes]:
    """Every text and blob of every table, unpacked where it is packed."""
    values: list[bytes] = []
    with closing(sqlite3.connect(path)) as db:
        for (table,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
            for row in db.execute(f"SELECT * FROM {table}"):
                values += [_unpacked(value) for value in row if isinstance(value, str | bytes)]
    assert values, path
    return values


def _unpacked(value: str | bytes) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    return zstandard.ZstdDecompressor().decompress(value) if value.startswith(b"\x28\xb5\x2f\xfd") else value


def _post(daemon: Daemon, path: str, body: Any, headers: dict[str, str]) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", daemon.ports["reverse"], timeout=20)) as client:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        client.request("POST", path, data, {"content-type": "application/json", **headers})
        client.getresponse().read()


def _messages() -> dict[str, Any]:
    use = {"type": "tool_use", "id": "toolu_1", "name": "mcp__github__fetch", "input": ARGUMENTS}
    said = [{"type": "thinking", "thinking": thinking, "signature": "c2ln"}, {"type": "text", "text": assistant}, use]
    file = f"https://u:{KEYS['file']}@h.example/a.py?token={KEYS['file']}"
    line = f"TOKEN={KEYS['argument']} curl -H 'Authorization: Bearer {KEYS['argument']}' https://h.example"
    reads = [{"type": "tool_use", "id": "toolu_2", "name": "Read", "input": {"file_path": file}}]
    bash = [{"type": "tool_use", "id": "toolu_3", "name": "Bash", "input": {"command": line}}]
    uses = [use, *reads, *bash]
    results = [{"type": "tool_result", "tool_use_id": each["id"], "content": result} for each in uses]
    return {
        "model": MODEL,
        "max_tokens": 100,
        "system": system,
        "messages": [
            {"role": "user", "content": user},
            {"role": "assistant", "content": [*said, *reads, *bash]},
            {"role": "user", "content": results},
            {"role": "assistant", "content": [{"type": "text", "text": answer}]},
            {"role": "user", "content": user},
        ],
        "tools": [
            {"name": "mcp__github__fetch", "description": tool, "input_schema": {"type": "object", "title": schema}},
        ],
        "mcp_servers": [
            {
                "type": "url",
                "name": "github",
                "url": f"https://mcp.example/sse?token={KEYS['mcp url']}",
                "authorization_token": KEYS["mcp"],
            }
        ],
    }


ARGUMENTS = {
    "url": f"https://h.example/x?api_key={KEYS['argument']}",
    "headers": {"Authorization": f"Bearer {KEYS['argument']}"},
    "text": argument,
}


def _responses() -> dict[str, Any]:
    call = {"type": "function_call", "call_id": "c1", "name": "fetch", "arguments": json.dumps(ARGUMENTS)}
    return {
        "model": "gpt-5",
        "instructions": system,
        "input": [
            {"role": "user", "content": user},
            call,
            {"type": "function_call_output", "call_id": "c1", "output": result},
        ],
        "tools": [
            {
                "type": "mcp",
                "server_label": "github",
                "server_url": f"https://mcp.example/sse?token={KEYS['mcp url']}",
                "authorization": KEYS["mcp"],
                "headers": {"X-Token": KEYS["mcp"]},
                "server_description": tool,
            },
            {"type": "web_search", "filters": {"allowed_domains": [tool]}},
        ],
    }


def _gemini() -> dict[str, Any]:
    return {
        "systemInstruction": {"parts": [{"text": system}]},
        "contents": [
            {"role": "user", "parts": [{"text": user}]},
            {"role": "model", "parts": [{"functionCall": {"name": "fetch", "args": ARGUMENTS}}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "fetch", "response": {"output": result}}}]},
        ],
        "tools": [{"functionDeclarations": [{"name": "fetch", "description": tool}]}],
    }


# Read by expressions, two of which meet what they cannot use: jq then says what it met.
DECLARED: dict[str, Any] = {
    "hosts": ["api.openai.com"],
    "paths": ["/v1/chat/completions"],
    "request": {"model": ".messages[1].content + 1", "messages": ".messages", "tools": ".tools"},
    "response": {"text": ".choices[].message.content", "model": ".choices.model"},
}


def _chat() -> dict[str, Any]:
    return {
        "model": "gpt-4o",
        "messages": [{"role": "system", "content": system}, {"role": "user", "content": user}],
        "tools": [{"secret": KEYS["mcp"], "note": tool}, {"type": "function", "function": {"name": "fetch"}}],
    }
