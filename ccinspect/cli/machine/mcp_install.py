"""`mcp install`: our entry in the configuration files of MCP clients. What else stands in them stays."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ccinspect.cli.instance import Instance
from ccinspect.cli.output import say, write
from ccinspect.errors import CcinspectError

NAME = "ccinspect"
_BEGIN, _END = f"# >>> {NAME} >>>", f"# <<< {NAME} <<<"
_BLOCK = re.compile(rf"\n?^{re.escape(_BEGIN)}$.*?^{re.escape(_END)}$\n?", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Form:
    """Where a client keeps its servers, and how it writes one."""

    file: Callable[[], Path]
    key: str
    entry: Callable[[list[str]], dict[str, Any]]
    toml: bool = False


def _stdio(command: list[str]) -> dict[str, Any]:
    return {"command": command[0], "args": command[1:]}


def _home(*parts: str) -> Callable[[], Path]:
    return lambda: Path.home().joinpath(*parts)


def _under(variable: str, default: tuple[str, ...], name: str) -> Callable[[], Path]:
    """A file in the directory that a variable names, or in its default."""
    return lambda: Path(os.environ.get(variable) or Path.home().joinpath(*default)) / name


FORMS = {
    "claude": Form(
        _under("CLAUDE_CONFIG_DIR", (), ".claude.json"), "mcpServers", lambda c: {"type": "stdio"} | _stdio(c)
    ),
    "codex": Form(_under("CODEX_HOME", (".codex",), "config.toml"), "mcp_servers", _stdio, toml=True),
    "gemini": Form(_home(".gemini", "settings.json"), "mcpServers", _stdio),
    "opencode": Form(
        lambda: Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "opencode" / "opencode.json",
        "mcp",
        lambda command: {"type": "local", "command": command, "enabled": True},
    ),
    "cursor": Form(_home(".cursor", "mcp.json"), "mcpServers", _stdio),
}


def show(instance: Instance, client: str) -> None:
    """Print what to add, and where."""
    form = FORMS[client]
    entry = form.entry(command_line(instance))
    say(f"ccinspect: add this to {form.file()}, or let it be done: ccinspect mcp install {client} --write")
    write(_toml(form, entry).strip() if form.toml else json.dumps({form.key: {NAME: entry}}, indent=2))


def change(instance: Instance, client: str, *, remove: bool) -> None:
    """Write our entry into the client's file, or take it out. Raises CcinspectError when it is not understood."""
    form = FORMS[client]
    path = form.file()
    try:
        before = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        before = ""
    except (OSError, UnicodeDecodeError) as error:
        raise CcinspectError(f"{path} cannot be read: {error}", f"see: ccinspect mcp install {client}") from error
    entry = None if remove else form.entry(command_line(instance))
    after = _changed_toml(form, path, before, entry) if form.toml else _changed_json(form, path, before, entry)
    if after == before:
        say(f"ccinspect: {path} is as it should be")
        return
    _replace(path, after)
    say(f"ccinspect: {'taken out of' if remove else 'written to'} {path}; start {client} anew to use it")


def has_entry(client: str) -> bool:
    """Whether the client's file has our entry; False for a file that cannot be understood."""
    form = FORMS[client]
    try:
        text = form.file().read_text(encoding="utf-8")
        servers = (tomllib.loads(text) if form.toml else json.loads(text)).get(form.key, {})
    except (OSError, ValueError, AttributeError):
        return False
    return isinstance(servers, dict) and NAME in servers


def command_line(instance: Instance) -> list[str]:
    """How a client starts the server of this instance."""
    found = shutil.which(NAME)
    program = [found] if found else [sys.executable, "-P", "-m", NAME]
    config = [] if instance.config_option is None else ["--config", str(instance.config_option.resolve())]
    return [*program, *config, "mcp"]


def _changed_json(form: Form, path: Path, before: str, entry: dict[str, Any] | None) -> str:
    try:
        whole = json.loads(before) if before.strip() else {}
    except ValueError as error:
        raise _not_understood(path, "it is no plain JSON") from error
    servers = whole.get(form.key, {}) if isinstance(whole, dict) else None
    if not isinstance(servers, dict):
        raise _not_understood(path, f"its `{form.key}` is no object")
    if servers.get(NAME) == entry:
        return before
    servers = {name: one for name, one in servers.items() if name != NAME}
    if entry is not None:
        servers[NAME] = entry
    return json.dumps(whole | {form.key: servers}, indent=2, ensure_ascii=False) + "\n"


def _changed_toml(form: Form, path: Path, before: str, entry: dict[str, Any] | None) -> str:
    rest = _BLOCK.sub("", before)
    try:
        others = tomllib.loads(rest).get(form.key, {})
    except tomllib.TOMLDecodeError as error:
        raise _not_understood(path, "it is no TOML") from error
    if entry is None:
        return rest
    if NAME in others:
        raise _not_understood(path, f"it has a `{form.key}.{NAME}` that we did not write")
    return rest + ("" if not rest or rest.endswith("\n") else "\n") + _toml(form, entry)


def _toml(form: Form, entry: dict[str, Any]) -> str:
    # JSON's strings and arrays of strings are TOML's too.
    lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in entry.items()]
    return "\n".join(["", _BEGIN, f"[{form.key}.{NAME}]", *lines, _END, ""])


def _not_understood(path: Path, why: str) -> CcinspectError:
    return CcinspectError(f"{path} was left as it is: {why}", "add the entry by hand; it is shown without --write")


def _replace(path: Path, text: str) -> None:
    """Whole or not at all; with the mode it had."""
    target = path.resolve()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        mode = target.stat().st_mode & 0o777 if target.exists() else 0o600
        fresh = target.with_name(f".{target.name}.{os.getpid()}")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
            file.write(text)
        fresh.chmod(mode)
        fresh.replace(target)
    except OSError as error:
        raise CcinspectError(f"{path} cannot be written: {error.strerror}", "make it writable for you") from error
