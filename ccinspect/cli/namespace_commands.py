"""namespace: what this machine's jail is made of, what it lacks, and a tunnel for clients of one's own."""

from __future__ import annotations

from typing import Annotated

import typer

from ccinspect.cli.output import say, write, write_json

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="The jail of `run --inspect`.", no_args_is_help=True, rich_markup_mode=None)
    group.command()(status)
    group.command()(doctor)
    group.command("wireguard-config")(wireguard_config)
    app.add_typer(group, name="namespace")


def status(context: typer.Context, json: Json = False) -> int:
    """Show what a jail on this machine would be made of, and what it does not stop.

    Starts nothing. The exit code is 1 when a jail cannot be built here.
    """
    from ccinspect.cli import namespace

    found = namespace.static_report(context.obj)
    if json:
        write_json(found)
    else:
        for line in namespace.report_lines(found):
            write(line)
    return 0 if found["usable"] else 1


def doctor(context: typer.Context, json: Json = False) -> int:
    """Build a real jail, try everything in it, and show how to mend what fails.

    Tries DNS, TCP, TLS with each runtime found on PATH, IPv6, loopback both ways, and to escape. The exit code is 1
    when something failed.
    """
    from ccinspect.cli import namespace

    found = namespace.live_report(context.obj)
    if json:
        write_json(found)
    else:
        for line in namespace.report_lines(found):
            write(line)
    return 0 if found["usable"] else 1


def wireguard_config(context: typer.Context, json: Json = False) -> None:
    """Open a tunnel for a client of your own and print its WireGuard configuration.

    For what `run` cannot start: a container, a virtual machine. The tunnel listens on 127.0.0.1 and lives until this
    command ends (Ctrl-C); what comes through it is recorded as a run.
    """
    from ccinspect.cli import namespace

    with namespace.open_tunnel(context.obj) as tunnel:
        if json:
            write_json(tunnel.as_json())
        else:
            write(tunnel.as_config())
        say(f"ccinspect: run {tunnel.run_id}: the tunnel is open until Ctrl-C")
        tunnel.wait()
