"""runs, demo, doctor, completion, version."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from ccinspect.cli.instance import Instance
from ccinspect.cli.output import say, write, write_json


class CompletedShell(StrEnum):
    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def register(app: typer.Typer) -> None:
    runs = typer.Typer(help="What was run.", no_args_is_help=True, rich_markup_mode=None)
    runs.command("list")(list_runs)
    app.add_typer(runs, name="runs")
    for function in (demo, doctor, completion, version, uninstall):
        app.command()(function)


def list_runs(
    context: typer.Context,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", metavar="N", min=1, help="How many of the newest runs.")] = 50,
) -> None:
    """List the recorded runs, the newest last."""
    from ccinspect.cli.output import write_table
    from ccinspect.cli.reading import live_runs, open_store
    from ccinspect.cli.run.run_table import COLUMNS, run_row

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


def doctor(
    context: typer.Context,
    credentials: Annotated[
        bool, typer.Option("--credentials", help="Ask each source of a credential; what it gives is not shown.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Look at everything that can be wrong: the machine, the settings, the store, the daemon, the jail.

    One line each, with what to do about it. Starts and changes nothing. The exit code is 1 when something has to be
    mended. `ccinspect namespace doctor` goes on to build a real jail and tries everything in it.
    """
    from ccinspect.cli.machine.doctor import examine, report_lines

    report = examine(context.obj, credentials=credentials)
    if json:
        write_json(report)
    else:
        for line in report_lines(report):
            write(line)
    return 0 if report["ok"] else 1


def completion(
    shell: Annotated[CompletedShell, typer.Argument(metavar="SHELL", help="bash, zsh or fish.", show_default=False)],
) -> None:
    """Print what makes the shell complete our commands and options.

    For bash: `ccinspect completion bash > ~/.local/share/bash-completion/completions/ccinspect`. For zsh: a file
    `_ccinspect` in a directory of $fpath. For fish: ~/.config/fish/completions/ccinspect.fish.
    """
    from typer import completion as typers

    # Not among the names that it says it exports, but in every version that pyproject.toml allows.
    script: str = vars(typers)["get_completion_script"](
        prog_name="ccinspect", complete_var="_CCINSPECT_COMPLETE", shell=shell.value
    )
    write(script.rstrip("\n"))


def uninstall(
    context: typer.Context,
    purge: Annotated[
        bool, typer.Option("--purge", help="Remove our own directories too: all that was captured, and the settings.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be done.")] = False,
) -> int:
    """Take away all that was put on this machine: the service, the daemon, and what was written into other files.

    These are the files of agents and MCP clients, the line in your shell's start file, and our authority in trust
    stores. It is listed first. What was captured, and the settings, stay without --purge; the program itself stays in
    any case.
    """
    from ccinspect.cli.machine.uninstall import uninstall as take_away

    return take_away(context.obj, purge=purge, yes=yes, dry_run=dry_run)


def version(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Print the version; as JSON also those of what it stands on, and of the store."""
    from ccinspect import __version__

    if not json:
        write(f"ccinspect {__version__}")
        return
    from ccinspect.cli.versions import versions

    write_json(versions())
