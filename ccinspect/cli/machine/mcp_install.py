"""`mcp install`: our entry in the configuration files of MCP clients, put there and taken out as `setup` does."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ccinspect.cli.instance import Instance
from ccinspect.cli.machine.setup_view import notes_of, places_of, snippet
from ccinspect.cli.output import say, write
from ccinspect.setup import applying
from ccinspect.setup.agents import FileNeed
from ccinspect.setup.places import Places

NAME = "ccinspect"


@dataclass(frozen=True, slots=True)
class Client:
    """Where a client keeps its servers, and how it writes one."""

    file: Callable[[Places], Path]
    key: str
    entry: Callable[[list[str]], dict[str, Any]]
    form: str = "json"


def _stdio(command: list[str]) -> dict[str, Any]:
    return {"command": command[0], "args": command[1:]}


CLIENTS = {
    "claude": Client(lambda places: places.claude_state, "mcpServers", lambda c: {"type": "stdio"} | _stdio(c)),
    "codex": Client(lambda places: places.codex / "config.toml", "mcp_servers", _stdio, "toml"),
    "gemini": Client(lambda places: places.gemini / "settings.json", "mcpServers", _stdio),
    "opencode": Client(
        lambda places: places.opencode / "opencode.json",
        "mcp",
        lambda command: {"type": "local", "command": command, "enabled": True},
    ),
    "cursor": Client(lambda places: places.home / ".cursor" / "mcp.json", "mcpServers", _stdio),
}


def show(instance: Instance, name: str) -> None:
    """Print what to add, and where."""
    need = _need(instance, name)
    say(f"ccinspect: add this to {need.path}, or let it be done: ccinspect mcp install {name} --write")
    write(snippet(need).strip())


def change(instance: Instance, name: str, *, remove: bool) -> None:
    """Write our entry into the client's file, or take it out. Raises SetupError when that cannot be done."""
    need, notes, member = _need(instance, name), notes_of(instance), f"the MCP client {name}"
    if remove:
        steps = applying.undo(member, [need], notes)
    else:
        steps = applying.write(member, [need], notes, undo_hint=f"ccinspect mcp install {name}")
    if not steps:
        say(f"ccinspect: {need.path} has nothing that we wrote")
    for step in steps:
        if not step.changes:
            say(f"ccinspect: {step.path} is as it should be")
        else:
            done = "written to" if not remove else "taken out of"
            say(f"ccinspect: {done} {step.path}; start {name} anew to use it")


def _need(instance: Instance, name: str) -> FileNeed:
    client = CLIENTS[name]
    return FileNeed(
        client.file(places_of(instance)), client.form, {(client.key, NAME): client.entry(command_line(instance))}
    )


def command_line(instance: Instance) -> list[str]:
    """How a client starts the server of this instance."""
    found = shutil.which(NAME)
    program = [found] if found else [sys.executable, "-P", "-m", NAME]
    config = [] if instance.config_option is None else ["--config", str(instance.config_option.resolve())]
    return [*program, *config, "mcp"]
