"""flows compare, diff, export, replay: what was changed on the way, and sending something again."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ccinspect.cli.flows import flow_options as options
from ccinspect.cli.usage import UsageMistake


def register(flows: typer.Typer) -> None:
    """Add them to the group `flows`."""
    for function in (compare, diff, export, replay):
        flows.command()(function)


class Language(StrEnum):
    """What `export` can write."""

    CURL = "curl"
    HTTPIE = "httpie"
    PYTHON = "python"


def compare(
    context: typer.Context, flow: options.FlowIds = None, full: options.Full = False, json: options.Json = False
) -> None:
    """Show what was changed on the way.

    What the client sent against what was forwarded, and what the provider answered against what the client got: URL,
    headers, body; and which hooks and routes did it. Without an ID: the newest flow that was changed. In JSON the order
    of keys says nothing, and what only moved is named so.
    """
    from ccinspect.cli.flows import compare as view

    view.show(context.obj, flow or [], full, json)


def diff(
    context: typer.Context,
    flow: options.FlowIds = None,
    since: options.Since = None,
    until: options.Until = None,
    run: options.Run = None,
    host: options.Host = None,
    path: options.Path = None,
    status: options.Status = None,
    method: options.Method = None,
    errors: options.Errors = False,
    limit: options.Limit = None,
    jq: options.Jq = None,
    client: Annotated[bool, typer.Option("--client", help="Requests as clients sent them, not as forwarded.")] = False,
    unified: Annotated[int, typer.Option("--unified", "-U", metavar="N", min=0, help="Lines around a change.")] = 3,
    json: options.Json = False,
) -> None:
    """Show how each request differs from the one before it.

    Takes ids, or a selection as `flows list` does, the oldest first: the second request against the first, the third
    against the second, and so on. Bodies are pretty-printed with their keys sorted.
    """
    from ccinspect.cli.flows import flow_diff

    chosen = options.selection(
        since=since, until=until, run=run, host=host, path=path, status=status, method=method, errors=errors,
        limit=limit,
    )  # fmt: skip
    if flow and (chosen.to_params() or jq):
        raise UsageMistake.of(context, "ids and a selection exclude each other")
    flow_diff.show(context.obj, flow or [], chosen, jq or [], clients=client, as_json=json, context=unified)


def export(
    context: typer.Context,
    flow: options.FlowId,
    language: Annotated[
        Language, typer.Option("--as", help="curl and httpie: a shell command; python: a program without packages.")
    ] = Language.CURL,
    client: Annotated[bool, typer.Option("--client", help="The request as the client sent it.")] = False,
    body_file: Annotated[
        Path | None, typer.Option("--body-file", metavar="FILE", help="Write the body here, and not into the command.")
    ] = None,
) -> None:
    """Write a request as a command that sends it, as it was forwarded.

    Secrets are not in the store: environment variables stand in their place, and their names are told.
    """
    from ccinspect.cli.flows import export as writer

    writer.export(context.obj, flow, language.value, client=client, body_file=body_file)


def replay(
    context: typer.Context,
    flow: options.FlowId,
    model: Annotated[str | None, typer.Option("--model", metavar="MODEL", help="Ask for this model.")] = None,
    provider: Annotated[
        str | None,
        typer.Option("--provider", metavar="NAME", help="Send it to a provider of the settings, with its `auth`."),
    ] = None,
    set: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="PATH=VALUE", help="Change the body, as 'messages[0].content=hello'; may be repeated."
        ),
    ] = None,
    times: Annotated[int, typer.Option("--times", metavar="N", min=1, max=100, help="Send it so many times.")] = 1,
    full: options.Full = False,
    json: options.Json = False,
) -> int:
    """Send a request again, as its client sent it, through the daemon.

    It is recorded as a flow of its own, whose `parent` is this one. With --times the answers stand beside each other
    and beside the first, with tokens, money and time. Secrets are not in the store: a provider with `auth` in the
    settings gets its own credential, for others it is taken from the environment (ANTHROPIC_API_KEY, ...).
    """
    from ccinspect.cli.flows import replay as sending
    from ccinspect.replay.request import Wish

    wish = Wish(model, provider, tuple(set or ()))
    return sending.replay(context.obj, flow, wish, times, everything=full, as_json=json)
