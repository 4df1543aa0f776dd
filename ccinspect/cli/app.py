"""The typer application: the global options, and every group of commands put together."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ccinspect.cli import daemon_commands, other_commands
from ccinspect.cli.changing import provider_commands, rule_commands, shape_commands
from ccinspect.cli.flows import flows_commands
from ccinspect.cli.instance import Instance
from ccinspect.cli.machine import (
    ca_commands,
    db_commands,
    device_commands,
    mcp_commands,
    namespace_commands,
    service_commands,
    setup_commands,
)
from ccinspect.cli.run import run_command
from ccinspect.cli.understanding import conversation_commands, report_commands, session_commands
from ccinspect.cli.usage import UsageMistake

_UsageError: Any = typer.BadParameter.__base__
# The variable by which a shell asks typer for completions.
_COMPLETION = "_CCINSPECT_COMPLETE"
_HELP = {"help_option_names": ["-h", "--help"]}


def build_app() -> typer.Typer:
    app = typer.Typer(
        name="ccinspect",
        help="See what your coding agent really sends.",
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings=_HELP,
    )
    app.callback()(_global_options)
    run_command.register(app)
    daemon_commands.register(app)
    flows_commands.register(app)
    device_commands.register(app)
    conversation_commands.register(app)
    report_commands.register(app)
    rule_commands.register(app)
    session_commands.register(app)
    shape_commands.register(app)
    provider_commands.register(app)
    mcp_commands.register(app)
    setup_commands.register(app)
    ca_commands.register(app)
    namespace_commands.register(app)
    db_commands.register(app)
    service_commands.register(app)
    other_commands.register(app)
    return app


def run_app(arguments: Sequence[str]) -> int:
    """Parse and run one command line; returns its exit status, raises CcinspectError for a mistake in it."""
    try:
        command: Any = typer.main.get_command(build_app())
        if _COMPLETION in os.environ:
            command.main(prog_name="ccinspect")
        # Not command.main(): it would take a closed pipe for an error of its own.
        with command.make_context("ccinspect", list(arguments)) as context:
            status = command.invoke(context)
    except typer.Exit as error:
        return error.exit_code
    except typer.Abort:
        print(file=sys.stderr)
        return 1
    except _UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            print(error.format_message(), file=sys.stderr)
            return 2
        command = error.ctx.command_path if error.ctx is not None else "ccinspect"
        raise UsageMistake(_sentence(error.format_message()), f"see: {command} --help") from error
    return status if isinstance(status, int) else 0


def _sentence(message: str) -> str:
    """click's `No such option: --x.` in the manner of our own messages."""
    first = message.split(" ", 1)[0]
    lowered = message if first.isupper() else message[:1].lower() + message[1:]
    return lowered.removesuffix(".")


def _print_version(wanted: bool) -> None:
    if wanted:
        from ccinspect import __version__

        print(f"ccinspect {__version__}")
        raise typer.Exit


def _global_options(
    context: typer.Context,
    config: Annotated[
        str | None,
        typer.Option(
            "--config",
            metavar="DIR",
            help="Directory of ccinspect.yaml and of all data of this instance. [env: CCINSPECT_CONFIG_DIR]",
        ),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show where an error comes from.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    if config == "":
        # As `--config "$UNSET"` gives. pathlib would make the current directory of it.
        raise UsageMistake.of(context, "--config needs the name of a directory")
    context.obj = Instance(Path(config) if config else None, verbose)
