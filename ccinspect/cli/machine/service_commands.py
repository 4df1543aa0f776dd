"""service: the daemon under systemd's user instance."""

from __future__ import annotations

from typing import Annotated

import typer

from ccinspect.cli.output import say, write, write_json
from ccinspect.cli.text import clean


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        help="The daemon as a service of systemd, for this user.", no_args_is_help=True, rich_markup_mode=None
    )
    for function in (install, enable, disable, status, restart, logs, uninstall):
        group.command()(function)
    app.add_typer(group, name="service")


def install(
    context: typer.Context,
    print_only: Annotated[bool, typer.Option("--print", help="Print the unit, and change nothing.")] = False,
) -> None:
    """Write the unit for this installation; it starts nothing yet.

    The unit keeps the PATH, XDG_CONFIG_HOME and XDG_DATA_HOME of now. Do it again after a change of these.
    """
    from ccinspect.cli.machine import service

    if print_only:
        write(service.make_unit(context.obj).rstrip("\n"))
        return
    changed = service.install(context.obj)
    say(f"ccinspect: {service.unit_file()} {'was written' if changed else 'is as it should be'}")
    if changed:
        say("ccinspect: start it, now and with each login: ccinspect service enable")


def enable(context: typer.Context) -> None:
    """Start the service now and with each login. A daemon that was started by hand makes room for it."""
    from ccinspect.cli.machine import service

    service.enable(context.obj)
    say("ccinspect: the service runs, and will with each login")


def disable() -> None:
    """Stop the service, and start it no more by itself. The unit stays."""
    from ccinspect.cli.machine import service

    service.disable()
    say("ccinspect: the service was stopped and will not start by itself")


def status(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> int:
    """Show what systemd says of the service. The exit code is 0 when it runs, else 3.

    `ccinspect status` shows what the daemon says of itself.
    """
    from ccinspect.cli.machine import service

    found = service.state()
    if json:
        write_json(found.as_json())
    else:
        write(f"unit      {clean(str(service.unit_file()))}{'' if found.installed else ' (not installed)'}")
        write(f"enabled   {'yes' if found.enabled else 'no'}")
        write(f"state     {found.state}" + (f", process {found.pid}" if found.pid else ""))
        if found.status:
            write(f"says      {clean(found.status)}")
        if found.restarts:
            write(f"restarts  {found.restarts} after a failure")
        if found.result not in ("", "success"):
            write(f"failed    {clean(found.result)}: ccinspect service logs")
    return 0 if found.active else 3


def restart(context: typer.Context) -> None:
    """Stop and start the service, once its settings were found to be right."""
    from ccinspect.cli.machine import service

    service.restart(context.obj)
    say("ccinspect: the service was restarted")


def logs(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines are added.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", metavar="N", min=0, help="How many of the newest lines.")] = 50,
) -> int:
    """Show what the service wrote to systemd's journal. `ccinspect logs` has the daemon's own log."""
    from ccinspect.cli.machine import service

    return service.show_journal(follow, lines)


def uninstall() -> None:
    """Stop the service and remove its unit. What was captured stays."""
    from ccinspect.cli.machine import service

    say(f"ccinspect: the service {'was removed' if service.uninstall() else 'is not installed'}")
