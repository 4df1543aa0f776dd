"""providers: the table of providers, and what their expressions find."""

from __future__ import annotations

from typing import Annotated

import typer

from ccinspect.cli.flows.flow_options import FlowId, Json


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Whose calls are understood.", no_args_is_help=True, rich_markup_mode=None)
    group.command("list")(list_providers)
    group.command("test")(try_provider)
    app.add_typer(group, name="providers")


def list_providers(context: typer.Context, json: Json = False) -> None:
    """List the providers: those of the settings, then those known from the start."""
    from ccinspect.cli.changing import providers

    providers.list_providers(context.obj, json)


def try_provider(
    context: typer.Context,
    flow: FlowId,
    provider: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Read it as this provider of the settings, whatever its host and path."),
    ] = None,
    json: Json = False,
) -> int:
    """Show what a provider's expressions find in a captured flow.

    The settings are read anew, so that a change can be tried before `ccinspect reload`. Of a provider that is read in a
    dialect, it shows what the dialect finds. The exit code is 1 when something is wrong.
    """
    from ccinspect.cli.changing import provider_test

    return provider_test.show(context.obj, flow, provider, json)
