"""namespace: what this machine's jail is made of, what it lacks, and a tunnel for clients of one's own."""

from __future__ import annotations

import contextlib
import sys
from typing import Annotated, Any

import typer

from ccinspect.cli.output import say, write, write_json
from ccinspect.cli.usage import UsageMistake

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="The jail of `run --inspect`.", no_args_is_help=True, rich_markup_mode=None)
    group.command()(status)
    group.command()(doctor)
    group.command("wireguard-config")(wireguard_config)
    app.add_typer(group, name="namespace")


def status(json: Json = False) -> int:
    """Show what a jail on this machine would be made of, and what it does not stop.

    Builds nothing. The exit code is 1 when a jail cannot be built here.
    """
    from ccinspect.cli.machine import namespace

    return _show(namespace.static_report(), json)


def doctor(
    context: typer.Context,
    url: Annotated[
        str, typer.Option(metavar="URL", help="Where TLS is tried; each runtime found sends it one GET.")
    ] = "https://api.anthropic.com/",
    json: Json = False,
) -> int:
    """Build a real jail, try everything in it, and show how to mend what fails.

    Tries DNS, TCP, TLS with each runtime found on PATH, IPv6, loopback both ways, and to escape. The exit code is 1
    when something failed.
    """
    from ccinspect.cli.machine import namespace

    if not url.startswith("https://"):
        raise UsageMistake.of(context, "--url needs a URL that begins with https://")
    return _show(namespace.live_report(context.obj, url), json)


def _show(report: dict[str, Any], as_json: bool) -> int:
    from ccinspect.cli.machine.namespace import report_lines

    if as_json:
        write_json(report)
    else:
        for line in report_lines(report):
            write(line)
    return 0 if report["usable"] else 1


def wireguard_config(context: typer.Context, json: Json = False) -> None:
    """Open a tunnel for a client of your own and print its WireGuard configuration.

    For what `run` cannot start: a container, a virtual machine. The tunnel listens on 127.0.0.1 and lives until this
    command ends (Ctrl-C); what comes through it is recorded as a run.
    """
    from ccinspect.cli.machine import namespace

    with namespace.open_tunnel(context.obj) as tunnel, contextlib.suppress(KeyboardInterrupt):
        if json:
            write_json(tunnel.as_json())
        else:
            write(tunnel.as_config())
        sys.stdout.flush()
        say("ccinspect: this shows a private key: whoever has it can use the tunnel for as long as it is open")
        if context.obj.config().inspector.keylog:
            say("ccinspect: inspector.keylog is on: the key was also written to wg.keylog in the data directory")
        say(f"ccinspect: run {tunnel.run_id}: the tunnel is open until Ctrl-C")
        tunnel.wait()
        say("ccinspect: the daemon has stopped, and the tunnel with it")
