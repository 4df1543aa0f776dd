"""run, as typer sees it: help, completion and the messages for mistakes. What it does is in `running`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from ccinspect.cli.run import run_options
from ccinspect.cli.usage import UsageMistake


def register(app: typer.Typer) -> None:
    # What follows the command's name belongs to the command, options included.
    app.command(context_settings={"allow_interspersed_args": False}, options_metavar="[OPTIONS] --")(run)


def run(
    context: typer.Context,
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="CMD [ARG]...", help="The command and its arguments.", show_default=False),
    ] = None,
    inspect: Annotated[
        bool, typer.Option("--inspect", "-i", help="In a jail whose only way out is through ccinspect. Needs no root.")
    ] = False,
    proxy: Annotated[
        bool, typer.Option("--proxy", help="With HTTP_PROXY, HTTPS_PROXY and our certificate authority set.")
    ] = False,
    project: Annotated[
        str | None, typer.Option(metavar="NAME", help="The project that this run belongs to. [env: CCINSPECT_PROJECT]")
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="A tag of this run; may be repeated. [env: CCINSPECT_TAGS=k=v,k2=v2]"),
    ] = None,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="A name for this run.")] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST", help="Let it reach HOST[:PORT][/PATH] and nothing else; `*.HOST` too. May be repeated."
        ),
    ] = None,
    deny: Annotated[
        list[str] | None, typer.Option(metavar="HOST", help="Keep it from HOST[:PORT][/PATH]. May be repeated.")
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Let it reach nothing but model servers on this machine.")
    ] = False,
    keyless: Annotated[
        str | None,
        typer.Option(metavar="PROVIDER", help="With --inspect: keep the key of this provider out of the jail."),
    ] = None,
    mcp: Annotated[
        bool, typer.Option("--mcp", help="Let it ask, read-only, what was captured of this run: see docs/mcp.md.")
    ] = False,
    max_cost: Annotated[
        str | None, typer.Option(metavar="DOLLARS", help="Refuse model calls once they came to so much: 5, 0.50.")
    ] = None,
    max_tokens: Annotated[
        str | None, typer.Option(metavar="TOKENS", help="Refuse model calls once they took so many: 500k, 2M.")
    ] = None,
    ask: Annotated[
        bool, typer.Option("--ask", help="Ask on this terminal before they are refused; the command waits meanwhile.")
    ] = False,
) -> int:
    """Run a command and record what it sends.

    Without --inspect or --proxy, ANTHROPIC_BASE_URL, OPENAI_BASE_URL and their like lead to ccinspect, which forwards
    to where they led before; only clients that read them are seen. With --inspect every packet is seen.

    Terminal, signals and exit code are those of the command. 127 means that it was not found, 126 that it cannot be
    executed, 1 that the run could not be set up.
    """
    words = command or []
    try:
        options = run_options.build(
            words,
            inspect=inspect,
            proxy=proxy,
            project=project,
            name=name,
            tags=tag or [],
            separated=_separated(sys.argv[1:], words),
            environ=os.environ,
            restrictions=run_options.Restrictions.of(allow, deny, offline, max_cost, max_tokens, ask),
            keyless=keyless,
            mcp=mcp,
        )
    except run_options.BadRunOptions as error:
        raise UsageMistake.of(context, str(error)) from error
    from ccinspect.cli.run.running import execute

    return execute(context.obj, options)


def _separated(arguments: Sequence[str], command: Sequence[str]) -> bool:
    """Whether `--` stood right before the command; click does not tell."""
    before = len(arguments) - len(command) - 1
    return before >= 0 and arguments[before] == "--"
