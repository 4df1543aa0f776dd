"""db: the store's size, backups, and what else has to be done to a database."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ccinspect.cli.output import say, write, write_json

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="The store and its files.", no_args_is_help=True, rich_markup_mode=None)
    for function in (stats, backup, restore, vacuum, reset, upgrade):
        group.command()(function)
    app.add_typer(group, name="db")


def stats(context: typer.Context, json: Json = False) -> None:
    """Show what the store holds, from when to when, and how much room it takes."""
    from ccinspect.cli.machine import db

    found = db.statistics(context.obj)
    if json:
        write_json(found)
    else:
        for line in db.statistics_lines(found):
            write(line)


def backup(
    context: typer.Context,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="Or a directory, by default this one, for ccinspect-DATE-TIME.db."),
    ] = None,
    analysis: Annotated[
        bool,
        typer.Option(help="Without it the file is smaller; the analysis is made anew when it is restored."),
    ] = True,
    json: Json = False,
) -> None:
    """Copy all that was captured to one file, also while the daemon writes.

    Bodies, runs, named sessions, and the key of the fingerprints of secrets. The file is for you only (0600), and as
    private as the store itself. It is a SQLite database that `sqlite3` opens.
    """
    from ccinspect.cli import text
    from ccinspect.cli.machine import db

    written = db.back_up(context.obj, file, analysis)
    if json:
        write_json(written.as_json())
    else:
        write(text.clean(written.path))
        say(f"ccinspect: {text.count(written.flows, 'flow')}, {text.size(written.size)}")


def restore(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `db backup` wrote.", show_default=False)],
    force: Annotated[bool, typer.Option("--force", help="Replace the store that is there.")] = False,
) -> None:
    """Put a backup in the store's place, once all of it was checked.

    The daemon must not run. A store with flows in it is only replaced with --force.
    """
    from ccinspect.cli import text
    from ccinspect.cli.machine import db

    found = db.restore(context.obj, file, force)
    say(f"ccinspect: {text.count(found.flows, 'flow')} restored, as of {text.moment(found.made_at)}")


def vacuum(context: typer.Context, json: Json = False) -> None:
    """Give unused space back to the file system.

    While the daemon runs, only gaps are closed. Without it, all files are written anew, which takes as much room again
    for as long as it lasts.
    """
    from ccinspect.cli import text
    from ccinspect.cli.machine import db

    done = db.vacuum(context.obj)
    if json:
        write_json(done)
    else:
        hint = "" if done["rewritten"] else "; more may come of it while the daemon does not run"
        say(f"ccinspect: {text.size(done['freed'])} bytes freed{hint}")


def reset(context: typer.Context, yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False) -> int:
    """Remove all that was captured: flows, runs, analysis, named sessions, backups of upgrades.

    The daemon must not run. Settings, certificates and tokens stay.
    """
    from ccinspect.cli.machine import db

    return 0 if db.reset(context.obj, ask=not yes) else 1


def upgrade(
    context: typer.Context,
    backup: Annotated[bool, typer.Option(help="Keep a copy of the store as it was.")] = True,
) -> None:
    """Bring the store of an older ccinspect up to date, as the daemon does when it starts."""
    from ccinspect.cli.machine import db

    say(f"ccinspect: {db.bring_up_to_date(context.obj, backup)}")
