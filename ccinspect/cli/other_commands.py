"""runs, demo, version."""

from __future__ import annotations

from typing import Annotated

import typer

from ccinspect.cli.instance import Instance
from ccinspect.cli.output import say, write, write_json


def register(app: typer.Typer) -> None:
    runs = typer.Typer(help="What was run.", no_args_is_help=True, rich_markup_mode=None)
    runs.command("list")(list_runs)
    app.add_typer(runs, name="runs")
    app.command()(demo)
    app.command()(version)


def list_runs(
    context: typer.Context,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many of the newest runs.")] = 50,
) -> None:
    """List the recorded runs, the newest last."""
    from ccinspect.cli.output import write_table
    from ccinspect.cli.reading import live_runs, open_store
    from ccinspect.cli.run_table import COLUMNS, run_row

    instance: Instance = context.obj
    with open_store(instance) as store:
        runs = store.runs(limit)
    if json:
        write_json(runs)
    elif runs:
        live = live_runs(instance)
        write_table(COLUMNS, [run_row(run, run["id"] in live) for run in runs])
    else:
        say("ccinspect: no runs recorded yet: ccinspect run -i -- CMD")


def demo() -> int:
    """Show it all, with a provider on this machine.

    A client that never heard of ccinspect is run in the jail. Needs neither root, nor a key, nor the network, and
    leaves nothing behind.
    """
    from ccinspect.demo.main import run_demo

    return run_demo()


def version() -> None:
    """Print the version."""
    from ccinspect import __version__

    write(f"ccinspect {__version__}")
