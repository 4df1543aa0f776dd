"""conversations: list them, show one as a tree of turns; cache: why it missed."""

from __future__ import annotations

from typing import Annotated

import typer

from ccinspect.cli.flows import flow_options as options
from ccinspect.cli.understanding.report_commands import Session

CallId = Annotated[
    str,
    typer.Argument(
        metavar="ID", help="Id of a call, or the beginning of it; `FLOW#N` on a WebSocket.", show_default=False
    ),
]


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Which calls belong together.", no_args_is_help=True, rich_markup_mode=None)
    group.command("list")(list_conversations)
    group.command()(show)
    app.add_typer(group, name="conversations")
    app.command()(cache)


def list_conversations(
    context: typer.Context,
    since: options.Since = None,
    until: options.Until = None,
    run: options.Run = None,
    host: options.Host = None,
    session: Session = None,
    everything: Annotated[bool, typer.Option("--all", help="Also sub-agents and side calls.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", metavar="N", min=1, help="Only the newest N.")] = 50,
    json: options.Json = False,
) -> None:
    """List conversations, the newest last."""
    from ccinspect.cli.understanding import conversations

    chosen = options.selection(since=since, until=until, run=run, host=host)
    conversations.list_conversations(context.obj, chosen, session, everything, limit, json)


def show(context: typer.Context, ident: CallId, json: options.Json = False) -> None:
    """Show a conversation as a tree of turns: how its context grew, what it cost, what the cache gave.

    Takes the id of any call in it. Sub-agents, branches and side calls stand below the turn that started them.
    """
    from ccinspect.cli.understanding import conversations

    conversations.show(context.obj, ident, json)


def cache(
    context: typer.Context,
    ident: CallId,
    conversation: Annotated[
        bool, typer.Option("--conversation", help="One line for each call of its conversation.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Explain why the prompt cache hit or missed in a call.

    What the turn before had left in the cache, what was read of it, the first block that differs (as a diff), and what
    the miss cost.
    """
    from ccinspect.cli.understanding import cache as explaining

    if conversation:
        explaining.show_conversation(context.obj, ident, json)
    else:
        explaining.show(context.obj, ident, json)
