"""start, stop, restart, reload, status, logs, init."""

from __future__ import annotations

from typing import Annotated

import typer

from ccinspect.cli.instance import Instance
from ccinspect.cli.output import say, write, write_json
from ccinspect.cli.text import clean


def register(app: typer.Typer) -> None:
    for function in (start, stop, restart, reload, status, logs, init):
        app.command()(function)


def start(
    context: typer.Context,
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Run in the background; return when it is ready.")
    ] = False,
) -> int:
    """Start the daemon.

    It stays in the foreground and logs to the terminal until Ctrl-C, or goes to the background with --detach.
    """
    from ccinspect.cli import starting

    instance: Instance = context.obj
    if not detach:
        return starting.start_in_foreground(instance)
    _show(starting.start_in_background(instance))
    return 0


def stop(context: typer.Context) -> None:
    """Stop the daemon, once everything it captured is stored."""
    from ccinspect.cli import starting

    if not starting.stop(context.obj):
        say("ccinspect: the daemon is not running")


def restart(context: typer.Context) -> None:
    """Stop the daemon if it runs, then start it in the background; the service, if it is one."""
    from ccinspect.cli import starting
    from ccinspect.cli.machine import service
    from ccinspect.cli.status import read_status

    instance: Instance = context.obj
    # A mistake in the settings must not cost the user the daemon that works.
    instance.config()
    if service.runs_as_service(instance):
        service.restart(instance)
        _show(read_status(instance))
        return
    starting.stop(instance)
    _show(starting.start_in_background(instance))


def reload(context: typer.Context) -> None:
    """Have the daemon read its settings anew: hooks, providers, prices, rules, budgets. A mistake changes nothing.

    Ports, and what else is said where the daemon starts, need `ccinspect restart`. Flows stored before are not read
    again: see `ccinspect reanalyse`.
    """
    from ccinspect.control import protocol
    from ccinspect.control.client import ControlClient

    # A mistake is told with its line, also where no daemon runs.
    context.obj.config()
    with ControlClient.connect(context.obj.paths.control_socket) as client:
        client.call(protocol.RELOAD)
    say("ccinspect: the daemon has read its settings anew")


def status(
    context: typer.Context,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    proxy: Annotated[bool, typer.Option("--proxy", help="Ask only for the proxy listeners (exit bit 1).")] = False,
    inspect: Annotated[
        bool, typer.Option("--inspect", help="Ask only for the inspector, mitmweb (exit bit 2).")
    ] = False,
    mcp: Annotated[bool, typer.Option("--mcp", help="Ask only for the MCP server (exit bit 4).")] = False,
) -> int:
    """Show whether the daemon is healthy and what listens where.

    The exit code is the sum of the bits of what was asked for and is not healthy; 0 when all is well. Without a choice,
    everything that is configured is asked for.
    """
    from ccinspect.cli.status import exit_bits, read_status, status_lines

    found = read_status(context.obj)
    if json:
        write_json(found)
    else:
        for line in status_lines(found):
            write(line)
    return exit_bits(found, proxy=proxy, inspect=inspect, mcp=mcp)


def logs(
    context: typer.Context,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines are added.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", metavar="N", min=0, help="How many of the newest lines.")] = 50,
) -> None:
    """Show the daemon's log."""
    from ccinspect.cli import logfile

    instance: Instance = context.obj
    path = instance.paths.log_file
    if not path.exists() and not follow:
        say(f"ccinspect: no log yet: {path}")
        return
    position = logfile.show_last(path, lines, write)
    if follow:
        logfile.follow(path, position, write)


def init(
    context: typer.Context,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file if there is one.")] = False,
) -> None:
    """Write a ccinspect.yaml with every setting and its default."""
    from ccinspect.cli.settings import write_template

    instance: Instance = context.obj
    write(clean(str(write_template(instance.paths.config_file, force))))


def _show(status: dict[str, object]) -> None:
    from ccinspect.cli.status import status_lines

    for line in status_lines(status):
        write(line)
