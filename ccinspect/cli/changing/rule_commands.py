"""hooks, check: what the settings would do to a request."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from ccinspect.cli.flows.flow_options import Json


class Style(StrEnum):
    """How `hooks graph` draws."""

    TERMINAL = "terminal"
    MERMAID = "mermaid"
    DOT = "dot"


class Source(StrEnum):
    """How a request came."""

    REVERSE = "reverse"
    PROXY = "proxy"
    WIREGUARD = "wireguard"


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="What may change a request.", no_args_is_help=True, rich_markup_mode=None)
    group.command("list")(list_hooks)
    group.command("graph")(graph)
    app.add_typer(group, name="hooks")
    app.command()(check)


def list_hooks(context: typer.Context, json: Json = False) -> int:
    """List the hooks: built in, your own, and what else is configured.

    The exit code is 1 when one of them cannot be used.
    """
    from ccinspect.cli.changing import hooks

    return hooks.show_list(context.obj, json)


def graph(
    context: typer.Context,
    format: Annotated[Style, typer.Option("--format", help="For people, or for Mermaid or Graphviz.")] = Style.TERMINAL,
) -> None:
    """Draw the configured hooks: who waits for whom, and for which part of the request."""
    from ccinspect.cli.changing import hooks

    hooks.show_graph(context.obj, format.value)


def check(
    context: typer.Context,
    target: Annotated[
        str | None, typer.Argument(metavar="[URL | FLOW]", help="The request to ask about.", show_default=False)
    ] = None,
    model: Annotated[str | None, typer.Option("--model", metavar="MODEL", help="The model it asks for.")] = None,
    agent: Annotated[
        str | None, typer.Option("--agent", metavar="AGENT", help="Who sends it: claude-code, ...")
    ] = None,
    source: Annotated[Source | None, typer.Option("--source", help="How it comes. [default: proxy]")] = None,
    project: Annotated[str | None, typer.Option("--project", metavar="NAME", help="The project of its run.")] = None,
    json: Json = False,
) -> int:
    """Check the rules of the settings, and tell what they would do to a request.

    Finds rules that can never take a request, name a provider that does not exist, or cannot be carried out; and hooks
    that cannot be used. With a flow's id or a URL it tells rule by rule what would happen to that request. Nothing is
    sent. The exit code is 1 when something cannot work.
    """
    from ccinspect.cli.changing import check as checking

    assumed = checking.Assumed(model, agent, source.value if source else None, project)
    return checking.check(context.obj, target, assumed, json)
