"""What a run may ask over MCP: with --mcp about itself, without it nothing."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from ccinspect.mcp.catalogue import READING
from tests.mcp.test_http import send, server_of, token_of
from tests.support import mcp_inside
from tests.support.daemon import Daemon

pytestmark = pytest.mark.jail

INSIDE = Path(mcp_inside.__file__).read_text()
# What a run without the flag finds: no variable, no port, no token, no server of its own.
WITHOUT = """
import json, os, socket, subprocess, sys
def reached(port):
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except OSError as error:
        return type(error).__name__
    return "reached"
served = subprocess.run([sys.executable, "-P", "-m", "ccinspect", "mcp"], input=b"", capture_output=True)
print(json.dumps({
    "variables": [name for name in os.environ if name.startswith("CCINSPECT_MCP")],
    "ports": [reached(int(port)) for port in sys.argv[1:3]],
    "token": os.path.exists(sys.argv[3]),
    "served": [served.returncode, served.stderr.decode()],
}))
"""


def outcome(daemon: Daemon, *words: str) -> dict[str, Any]:
    done = daemon.run("run", *words)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def initialize(url: str, token: str) -> int:
    asked = mcp_inside.message("initialize", mcp_inside.INITIALIZE)
    headers = mcp_inside.HEADERS | {"authorization": f"Bearer {token}"}
    return httpx.post(url, json=asked, headers=headers, trust_env=False).status_code


def check(found: dict[str, Any], run: dict[str, Any], other: str) -> None:
    """Of what `mcp_inside` saw."""
    assert set(found["tools"]) == {tool.name for tool in READING}
    assert found["read_only"]
    assert found["calls"]["total"] == 1
    assert found["calls"]["flows"][0]["model"]
    assert [one["id"] for one in found["runs"]["runs"]] == [run["id"]]
    assert found["cost"]["call"]["id"] != other
    assert "no flow has the id" in found["other"]["refused"]
    assert found["sql"]["rows"]
    assert all(row[1] == run["id"] and row[0] != other for row in found["sql"]["rows"])
    assert all("refused" in trick for trick in found["tricks"])
    assert "no files" in found["file"]["refused"]
    assert "not offered" in found["acting"]["refused"]
    assert "no flow has the id" in found["resource"]["message"]
    assert json.loads(found["stdio"][1]["result"]["content"][0]["text"])["runs"][0]["id"] == run["id"]
    server = found["config"]["mcpServers"]["ccinspect"]
    assert server["url"] == found["url"]
    # Whoever reads the command line of a client that was given it learns nothing.
    assert found["token"] not in json.dumps(server)


# As whom it is started makes no difference here; the user is who has less.
@pytest.mark.parametrize("start", ["user" if os.geteuid() == 0 else "myself"], indirect=True)
def test_a_jail_sees_its_own_run_only_when_that_was_asked_for(start: Callable[..., Daemon]) -> None:
    daemon = start(mcp={"enabled": True, "port": 0, "acting": True})
    block = server_of(daemon)
    send(daemon)
    (other,) = daemon.flows()
    found = outcome(daemon, "-i", "--mcp", "--", sys.executable, "-c", INSIDE, other["id"])
    check(found, daemon.json("runs", "list", "--json")[-1], other["id"])
    assert found["token"] != token_of(block)
    # It ended with its run; the session that it opened is not open to the other token either.
    assert initialize(found["url"], found["token"]) == 401
    assert initialize(block["url"], token_of(block)) == 200

    ports = [str(block["port"]), str(daemon.ports["web"])]
    token = {"CCINSPECT_MCP_TOKEN": "left over", "CCINSPECT_MCP_URL": block["url"]}
    command = daemon.argv("run", "-i", "--", sys.executable, "-c", WITHOUT, *ports, block["token"])
    done = daemon.raw(command, env=token)
    without = json.loads(done.stdout)
    assert without["variables"] == []
    assert without["ports"] == ["ConnectionRefusedError"] * 2
    assert not without["token"]
    assert without["served"][0] == 1
    assert "start it with: ccinspect run -i --mcp" in without["served"][1]


def test_outside_of_a_jail_too_and_without_the_server_being_enabled(daemon: Daemon) -> None:
    send(daemon)
    (other,) = daemon.flows()
    found = outcome(daemon, "--mcp", "--", sys.executable, "-c", INSIDE, other["id"])
    check(found, daemon.json("runs", "list", "--json")[-1], other["id"])
    assert initialize(found["url"], found["token"]) == 401
    assert initialize(found["url"], "x") == 401
    assert not daemon.json("status", "--json")["mcp"]["enabled"]
    assert not daemon.paths.mcp_token.exists()
    assert found["token"] not in daemon.log()
