"""session: groups of calls that a person opens and closes."""

from __future__ import annotations

from typing import Annotated

import typer

from ccinspect.cli.flows import flow_options as options

Name = Annotated[str, typer.Argument(metavar="NAME", help="The session's name.", show_default=False)]


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Name a stretch of work.", no_args_is_help=True, rich_markup_mode=None)
    for function in (start, end):
        group.command()(function)
    group.command("list")(list_sessions)
    for function in (show, archive):
        group.command()(function)
    app.add_typer(group, name="session")


def start(
    context: typer.Context,
    name: Name,
    run: Annotated[
        str | None, typer.Option(metavar="RUN", help="Only calls of this run: its id, its name, or `last`.")
    ] = None,
    project: Annotated[str | None, typer.Option(metavar="NAME", help="Only calls of this project.")] = None,
) -> None:
    """Open a session: calls from now on belong to it, those of a run, of a project, or all.

    Any number may be open at once.
    """
    from ccinspect.cli.understanding import sessions

    sessions.start(context.obj, name, run, project)


def end(context: typer.Context, name: Name) -> None:
    """Close a session: later calls do not belong to it."""
    from ccinspect.cli.understanding import sessions

    sessions.end(context.obj, name)


def list_sessions(
    context: typer.Context,
    everything: Annotated[bool, typer.Option("--all", help="Also archived ones.")] = False,
    json: options.Json = False,
) -> None:
    """List sessions with what they came to, the oldest first."""
    from ccinspect.cli.understanding import sessions

    sessions.list_sessions(context.obj, everything, json)


def show(context: typer.Context, name: Name, json: options.Json = False) -> None:
    """Show what a session came to: by model, its conversations, and the tool definitions never called in it."""
    from ccinspect.cli.understanding import sessions

    sessions.show(context.obj, name, json)


def archive(context: typer.Context, name: Name) -> None:
    """Leave a session out of lists; it is ended if it is open. Nothing is removed."""
    from ccinspect.cli.understanding import sessions

    sessions.archive(context.obj, name)
