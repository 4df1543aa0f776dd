"""shapes: known-good requests kept as templates."""

from __future__ import annotations

from typing import Annotated

import typer

from ccinspect.cli.flows import flow_options as options

Name = Annotated[str, typer.Argument(metavar="NAME", help="The shape's name.", show_default=False)]


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Keep known-good requests as templates.", no_args_is_help=True, rich_markup_mode=None)
    group.command()(save)
    group.command("list")(list_shapes)
    for function in (show, audit, diff, remove):
        group.command()(function)
    app.add_typer(group, name="shapes")


def save(
    context: typer.Context,
    name: Name,
    flow: Annotated[
        str | None,
        typer.Argument(
            metavar="FLOW", help="The flow's id, or its beginning; without, the newest that fits.", show_default=False
        ),
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            "--keep", metavar="PATH", help="Keep what is left out by default: .system, .tools; may be repeated."
        ),
    ] = None,
    drop: Annotated[
        list[str] | None,
        typer.Option("--drop", metavar="PATH", help="Leave this out, too: .tools[3], headers.x-team; may be repeated."),
    ] = None,
    description: Annotated[str, typer.Option(metavar="TEXT", help="What the shape is for.")] = "",
    replace: Annotated[bool, typer.Option("--replace", help="Put it in the place of a shape of this name.")] = False,
    failed: Annotated[
        bool, typer.Option("--failed", help="Also from a request that was answered with an error, or not at all.")
    ] = False,
) -> None:
    """Save the request of a captured flow as a shape.

    Credentials, ids, messages, system prompt and tools are left out. If anything private is left, nothing is saved,
    and what it is and where is said.
    """
    from ccinspect.cli.changing import shapes

    shapes.save(context.obj, name, flow, keep or [], drop or [], description, replace, failed)


def list_shapes(context: typer.Context, json: options.Json = False) -> None:
    """List shapes: your own, and those that come with ccinspect."""
    from ccinspect.cli.changing import shapes

    shapes.list_shapes(context.obj, json)


def show(context: typer.Context, name: Name, json: options.Json = False) -> None:
    """Show a shape as it stands in its file."""
    from ccinspect.cli.changing import shapes

    shapes.show(context.obj, name, json)


def audit(
    context: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="The shapes' names; without, all.", show_default=False),
    ] = None,
    json: options.Json = False,
) -> int:
    """Say what in shapes looks private, is out of date, or has no effect.

    Exit code 1 when something is private or wrong.
    """
    from ccinspect.cli.changing import shapes

    return shapes.audit(context.obj, names or [], json)


def diff(
    context: typer.Context,
    name: Name,
    other: Annotated[
        str, typer.Argument(metavar="OTHER", help="Another shape's name, or a flow's id.", show_default=False)
    ],
) -> int:
    """Show what differs between a shape and another one, or what a flow would give.

    Exit code 0 when nothing differs, 1 when something does.
    """
    from ccinspect.cli.changing import shapes

    return shapes.diff(context.obj, name, other)


def remove(context: typer.Context, name: Name) -> None:
    """Remove a shape of your own."""
    from ccinspect.cli.changing import shapes

    shapes.remove(context.obj, name)
