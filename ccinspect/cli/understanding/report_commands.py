"""report, limits, reanalyse: the sums of what was captured."""

from __future__ import annotations

from typing import Annotated

import typer

from ccinspect.cli.flows import flow_options as options
from ccinspect.cli.usage import UsageMistake

Session = Annotated[str | None, typer.Option(metavar="NAME", help="Only calls of a named session.")]

# As `analysis.query.REPORTS`, which is not imported for a help text; a test holds them together.
GROUPS = (
    "model", "provider", "agent", "project", "run", "conversation", "day", "hour", "session", "tool", "mcp-server",
    "host",
)  # fmt: skip


def register(app: typer.Typer) -> None:
    for function in (report, limits, reanalyse):
        app.command()(function)


def report(
    context: typer.Context,
    by: Annotated[str, typer.Option(metavar="WHAT", help=f"One of {', '.join(GROUPS)}.")] = "model",
    since: options.Since = None,
    until: options.Until = None,
    run: options.Run = None,
    host: options.Host = None,
    session: Session = None,
    json: options.Json = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV, in plain numbers.")] = False,
) -> None:
    """Show where the tokens and the money went.

    By tool and MCP server: what they take up in context windows, and what was never called. By host: who was phoned, in
    all flows, also DNS, TCP and what could not be decrypted. Calls that only count tokens are never spend. Money is at
    list price; what has no known price is `unknown`. The most spent comes first, days and hours in their order.
    """
    from ccinspect.cli.understanding import report as reporting

    if by not in GROUPS:
        raise UsageMistake.of(context, f"there is no report by {by!r}: use one of {', '.join(GROUPS)}")
    if json and csv:
        raise UsageMistake.of(context, "--json and --csv exclude each other")
    chosen = options.selection(since=since, until=until, run=run, host=host)
    reporting.show(context.obj, by, chosen, session, "json" if json else "csv" if csv else "table")


def limits(context: typer.Context, json: options.Json = False) -> None:
    """Show the rate limits and quotas of each account, as last told by its provider.

    An account is a fingerprint of its key or login; the key itself is not kept. A window that has ended since is shown
    as renewed.
    """
    from ccinspect.cli.understanding import limits as showing

    showing.show(context.obj, json)


def reanalyse(context: typer.Context, since: options.Since = None) -> None:
    """Analyse stored flows anew, as after an upgrade or a change of the providers."""
    from ccinspect.cli import text
    from ccinspect.cli.output import say
    from ccinspect.cli.understanding.analysing import reanalyse as analyse_again

    chosen = options.selection(since=since)
    done = analyse_again(context.obj, chosen.since)
    say(f"ccinspect: {text.count(done, 'flow')} analysed")
