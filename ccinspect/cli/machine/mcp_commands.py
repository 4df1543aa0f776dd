"""mcp: the MCP server over stdio, and putting it into a client's configuration."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class Client(StrEnum):
    CLAUDE = "claude"
    CODEX = "codex"
    GEMINI = "gemini"
    OPENCODE = "opencode"
    CURSOR = "cursor"


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        help="Let a model ask about what was captured.", rich_markup_mode=None, invoke_without_command=True
    )
    group.callback()(serve)
    group.command()(install)
    app.add_typer(group, name="mcp")


def serve(context: typer.Context) -> int:
    """Serve MCP over standard input and output, read-only, for a client that starts this command itself.

    Needs no daemon and no token. Inside of a run it shows that run only, and needs `run --mcp`. Over HTTP it is served
    by the daemon: `mcp.enabled`.
    """
    if context.invoked_subcommand is None:
        from ccinspect.cli.machine.mcp_serving import serve_here

        return serve_here(context.obj)
    return 0


def install(
    context: typer.Context,
    client: Annotated[
        Client, typer.Argument(metavar="CLIENT", help="claude, codex, gemini, opencode or cursor.", show_default=False)
    ],
    write: Annotated[
        bool, typer.Option("--write", help="Change the client's file; without it, show what to add.")
    ] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Take it out of the client's file again.")] = False,
) -> None:
    """Show what a client's configuration needs to start the server, or write it there."""
    from ccinspect.cli.machine import mcp_install
    from ccinspect.cli.usage import UsageMistake

    if write and remove:
        raise UsageMistake.of(context, "--write and --remove do not go together")
    if write or remove:
        mcp_install.change(context.obj, client.value, remove=remove)
    else:
        mcp_install.show(context.obj, client.value)
