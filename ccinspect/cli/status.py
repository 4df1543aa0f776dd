"""What `ccinspect status` shows, and its exit bits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ccinspect.cli import text
from ccinspect.cli.instance import Instance
from ccinspect.cli.output import GREEN, RED, YELLOW, paint
from ccinspect.control import protocol
from ccinspect.control.client import ControlClient
from ccinspect.errors import ControlError, DaemonNotRunning
from ccinspect.paths import Paths

ANSWER_TIMEOUT = 5.0
PROXY_BIT, INSPECT_BIT, MCP_BIT = 1, 2, 4


def read_status(instance: Instance) -> dict[str, Any]:
    """The daemon's own status; a like one with everything down when none runs."""
    try:
        with ControlClient.connect(instance.paths.control_socket, ANSWER_TIMEOUT) as client:
            status: dict[str, Any] = client.call(protocol.STATUS)
            return status
    except DaemonNotRunning:
        return _down(instance.paths, [])
    except ControlError as error:
        return _down(instance.paths, [error.message])


def _down(paths: Paths, warnings: list[str]) -> dict[str, Any]:
    """The same shape as the daemon's answer, for programs that read it."""
    from ccinspect import __version__

    return {
        "proxy": False,
        "url": None,
        "proxy_url": None,
        "config": str(paths.config_file),
        "data": str(paths.data_dir),
        "ca": str(paths.ca_cert),
        "hooks": [],
        "log": str(paths.log_file),
        "inspector": {"running": False, "ports": {}, "url": None},
        "mcp": {"enabled": False, "running": False, "port": None, "url": None, "token": None},
        "version": __version__,
        "pid": None,
        "uptime": None,
        "runs": [],
        "store": {},
        "analysis": {},
        "otel": {"enabled": False},
        "upstream_proxy": None,
        "refused": 0,
        "warnings": warnings,
    }


def exit_bits(status: dict[str, Any], *, proxy: bool, inspect: bool, mcp: bool) -> int:
    """The bits of what was asked for and is not healthy; asked for nothing, all that is configured counts."""
    if not (proxy or inspect or mcp):
        proxy = inspect = True
        mcp = bool(status["mcp"]["enabled"])
    return (
        (PROXY_BIT if proxy and not status["proxy"] else 0)
        | (INSPECT_BIT if inspect and not status["inspector"]["running"] else 0)
        | (MCP_BIT if mcp and not status["mcp"]["running"] else 0)
    )


def status_lines(status: dict[str, Any]) -> Iterator[str]:
    """The status for a person; every value is made safe for a terminal."""
    if not status["proxy"] and not status["inspector"]["running"]:
        yield _line("daemon", "not healthy" if status["warnings"] else "not running", RED)
        yield _line("config", status["config"])
        yield _line("log", status["log"])
        yield from _warning_lines(status)
        yield _line("start it", "ccinspect restart" if status["warnings"] else "ccinspect start --detach")
        return
    yield _line("daemon", f"running (process {status['pid']}, up {text.duration(status.get('uptime'))})", GREEN)
    ports = status["inspector"]["ports"]
    yield _line("base URL", f"http://127.0.0.1:{ports['reverse']}")
    yield _line("proxy", f"http://127.0.0.1:{ports['proxy']}")
    yield _line("mitmweb", status["inspector"]["url"])
    if status["mcp"]["enabled"]:
        yield _line("MCP", status["mcp"]["url"] if status["mcp"]["running"] else "down")
        yield _line("MCP token", _token(Path(status["mcp"]["token"])))
    yield _line("config", status["config"])
    yield _line("log", status["log"])
    yield _line("runs", text.count(len(status["runs"]), "live run") if status["runs"] else "none live")
    yield from _store_lines(status["data"], status["store"])
    if status["analysis"]["last_error"]:
        yield _line("analysis", status["analysis"]["last_error"], YELLOW)
    if status["otel"]["enabled"]:
        yield _export_line(status["otel"])
    yield from _warning_lines(status)


def _token(file: Path) -> str:
    """The token and where it is kept; who may not read the file is told that only."""
    try:
        return f"{file.read_text().strip()} ({file})"
    except OSError:
        return f"in {file}"


def _export_line(otel: dict[str, Any]) -> str:
    """How the export to OpenTelemetry is doing."""
    said = f"{otel['endpoint']}, {text.count(otel['exported'], 'span')} exported, {otel['queued']} waiting"
    if otel["dropped"]:
        said += f", {otel['dropped']} dropped"
    if otel["failing"]:
        said += f"; {otel['last_error']}"
    return _line("otel", said, YELLOW if otel["failing"] or otel["dropped"] else "")


def _store_lines(data: str, store: dict[str, Any]) -> Iterator[str]:
    """Where things are kept, and what could not be."""
    yield _line("store", f"{data}/store" + ("" if store["bodies"] == "full" else ", without bodies"))
    losses = []
    if store["lost_records"]:
        losses.append(text.count(store["lost_records"], "flow"))
    if store["lost_bodies"]:
        losses.append(f"the bodies of {text.count(store['lost_bodies'], 'message')}")
    if losses:
        yield _line("lost", f"{' and '.join(losses)} could not be stored: {store['last_error']}", RED)
    if store["failing"]:
        yield _line("store", f"nothing is being stored right now: {store['last_error']}", RED)


def _warning_lines(status: dict[str, Any]) -> Iterator[str]:
    for warning in status["warnings"]:
        yield _line("warning", warning, YELLOW)


def _line(label: str, value: object, colour: str = "") -> str:
    return f"{label:<9} {paint(text.clean(str(value)), colour)}"
