"""A real client of ours, in a jail: Claude Code finds the tools of its run where that was asked for, and else none."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from ccinspect.mcp.catalogue import READING
from tests.agents.conftest import install
from tests.support.daemon import Daemon

pytestmark = [pytest.mark.slow, pytest.mark.jail, pytest.mark.timeout(900)]

ENVIRONMENT = {
    "ANTHROPIC_API_KEY": "sk-ant-api03-not-a-real-key",
    # It would not wait for a server that takes its time to start.
    "MCP_CONNECTION_NONBLOCKING": "false",
    "MCP_CONNECT_TIMEOUT_MS": "60000",
    "MCP_TIMEOUT": "60000",
    # The entry that is written starts `ccinspect` as it is found.
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
}


def tools_offered(daemon: Daemon) -> set[str]:
    """Our tools that the newest request to the model names."""
    flows = daemon.flows(None, "--run", "last", "--path", "/v1/messages", "--type", "http")
    text = daemon.body(flows[-1]["id"], "--request").decode()
    return {tool.name for tool in READING if f"mcp__ccinspect__{tool.name}" in text}


def test_claude_code_is_offered_the_tools_of_its_run(user_daemon: Daemon, workplace: Path) -> None:
    program = str(install("claude-code"))
    given = ["sh", "-c", f'exec {program} --strict-mcp-config --mcp-config "$CCINSPECT_MCP_CONFIG" -p hi']
    user_daemon.run("mcp", "install", "claude", "--write", env=ENVIRONMENT, check=True)
    installed = [program, "-p", "hi"]
    every = {tool.name for tool in READING}
    for words, command, expected in (
        (["--mcp"], given, every),
        (["--mcp"], installed, every),
        ([], installed, set[str]()),
    ):
        done = user_daemon.run("run", "-i", *words, "--", *command, env=ENVIRONMENT, cwd=workplace, timeout=180)
        assert done.returncode == 0, done.stderr
        assert tools_offered(user_daemon) == expected, (words, command)
    entry = json.loads((user_daemon.paths.config_dir / "home" / ".claude.json").read_text())
    assert entry["mcpServers"]["ccinspect"]["type"] == "stdio"
