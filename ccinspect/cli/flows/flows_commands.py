"""flows: list, show, dump, clear and tail what was captured; the context of a model call."""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import Annotated

import typer

from ccinspect.cli.changing import change_commands
from ccinspect.cli.flows import flow_options as options
from ccinspect.cli.usage import UsageMistake


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="What was captured.", no_args_is_help=True, rich_markup_mode=None)
    group.command("list")(list_flows)
    group.command()(show)
    group.command("context")(show_context)
    for function in (dump, clear, tail):
        group.command()(function)
    change_commands.register(group)
    app.add_typer(group, name="flows")


def list_flows(
    context: typer.Context,
    since: options.Since = None,
    until: options.Until = None,
    run: options.Run = None,
    host: options.Host = None,
    path: options.Path = None,
    status: options.Status = None,
    method: options.Method = None,
    type: options.Type = None,
    errors: options.Errors = False,
    changed: options.Changed = False,
    limit: options.Limit = None,
    device: options.Device = None,
    jq: options.Jq = None,
    json: options.Json = False,
) -> None:
    """List flows, the newest last.

    The options choose flows in the store, the newest 1,000 unless --limit says otherwise. Then the jq filters of the
    settings and of --jq are applied to the whole array; the newest flow is `.[-1:]`. On a terminal the table is cut to
    fit; elsewhere it is tab-separated and whole.
    """
    from ccinspect.cli.flows import flows

    chosen = options.selection(
        since=since, until=until, run=run, host=host, path=path, status=status, method=method, type=type,
        errors=errors, changed=changed, limit=limit,
    )  # fmt: skip
    filters = [*flows.from_device(context.obj, device), *(jq or [])]
    flows.list_flows(context.obj, chosen, filters, json)


def show(
    context: typer.Context,
    flow: options.FlowId,
    request: Annotated[bool, typer.Option("--request", help="Only the request.")] = False,
    response: Annotated[bool, typer.Option("--response", help="Only the response.")] = False,
    raw: Annotated[
        bool,
        typer.Option("--raw", help="Exact bytes. With --request or --response its body alone, else both messages."),
    ] = False,
    http: Annotated[
        bool, typer.Option("--http", help="Headers and bodies, decoded and pretty, also of a model call.")
    ] = False,
    full: Annotated[bool, typer.Option("--full", help="Do not cut long blocks of a conversation.")] = False,
    json: options.Json = False,
) -> None:
    """Show one flow: a model call as a conversation with its tokens, anything else with headers and bodies."""
    from ccinspect.cli.flows import flow_content

    if raw and json:
        raise UsageMistake.of(context, "--raw and --json exclude each other")
    if not (request or response or raw or http or json):
        from ccinspect.cli.understanding import call_show

        if call_show.show(context.obj, flow, everything=full):
            return
    if request and response:
        request = response = False
    if raw:
        flow_content.write_raw(context.obj, flow, want_request=not response, want_response=not request)
    else:
        flow_content.show(context.obj, flow, want_request=not response, want_response=not request, as_json=json)


def show_context(
    context: typer.Context,
    flow: options.FlowId,
    everything: Annotated[bool, typer.Option("--all", help="All tables, whole.")] = False,
    json: options.Json = False,
) -> None:
    """Show what was in the context window of a model call.

    Tokens by category, and below them by tool, MCP server, file and source. `~` marks what was estimated; in a pipe
    each line says `provider` or `estimated`.
    """
    from ccinspect.cli.understanding import context as view

    view.show(context.obj, flow, everything, json)


def dump(
    context: typer.Context,
    since: options.Since = None,
    until: options.Until = None,
    run: options.Run = None,
    host: options.Host = None,
    path: options.Path = None,
    status: options.Status = None,
    method: options.Method = None,
    type: options.Type = None,
    errors: options.Errors = False,
    limit: options.Limit = None,
    jq: options.Jq = None,
    output: Annotated[
        FilePath | None, typer.Option("--output", "-o", metavar="FILE", help="Write here and not to stdout.")
    ] = None,
) -> None:
    """Write flows as HAR 1.2.

    One page per flow. Its first entry is the request as forwarded with the upstream's response, its second the client's
    own request with the response that the client got. HAR knows HTTP only; other flows are counted and left out.
    """
    from ccinspect.cli.flows import har_dump

    chosen = options.selection(
        since=since, until=until, run=run, host=host, path=path, status=status, method=method, type=type,
        errors=errors, limit=limit,
    )  # fmt: skip
    har_dump.dump(context.obj, chosen, jq or [], output)


def clear(
    context: typer.Context,
    since: options.Since = None,
    until: options.Until = None,
    run: options.Run = None,
    host: options.Host = None,
    path: options.Path = None,
    status: options.Status = None,
    method: options.Method = None,
    type: options.Type = None,
    errors: options.Errors = False,
    everything: Annotated[bool, typer.Option("--all", help="Remove all flows.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> int:
    """Remove flows from the store: those selected, or --all.

    On a terminal it asks first. Flows that are still going on stay.
    """
    from ccinspect.cli.flows import flows

    chosen = options.selection(
        since=since, until=until, run=run, host=host, path=path, status=status, method=method, type=type, errors=errors
    )
    if everything == bool(chosen.to_params()):
        problem = "--all and a selection exclude each other" if everything else "nothing is selected"
        raise UsageMistake.of(context, f"{problem}: say which flows to remove, or --all")
    return 0 if flows.clear(context.obj, chosen, ask=not yes) else 1


def tail(
    context: typer.Context,
    run: options.Run = None,
    host: options.Host = None,
    path: options.Path = None,
    status: options.Status = None,
    method: options.Method = None,
    type: options.Type = None,
    errors: options.Errors = False,
    jq: options.Jq = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> None:
    """Show flows as they finish, until Ctrl-C.

    A jq filter gets an array of one flow.
    """
    from ccinspect.cli.flows import tailing

    chosen = options.selection(run=run, host=host, path=path, status=status, method=method, type=type, errors=errors)
    tailing.tail(context.obj, chosen, jq or [], json)
