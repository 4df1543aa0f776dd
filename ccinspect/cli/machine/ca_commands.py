"""ca: our certificate authority in the stores of this machine and its browsers. Nothing needs it that `run` starts."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Format(StrEnum):
    PEM = "pem"
    DER = "der"
    P12 = "p12"
    JKS = "jks"


_Browsers = Annotated[
    bool,
    typer.Option("--browsers", help="The databases of Firefox and Chromium, not the machine's store. Needs no root."),
]
_Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say which files and commands it would be.")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        help="Our certificate authority in this machine's trust store. `run` does not need it there.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    for function in (status, install, uninstall, export):
        group.command()(function)
    app.add_typer(group, name="ca")


def status(context: typer.Context, json: _Json = False) -> None:
    """Show the authority, and who trusts it."""
    from ccinspect.cli.machine import ca_view

    ca_view.show_status(context.obj, json)


def install(context: typer.Context, browsers: _Browsers = False, yes: _Yes = False, dry_run: _DryRun = False) -> int:
    """Let this machine trust our authority, for programs that are started without `run`. Asks first.

    Debian, Ubuntu, Alpine, Fedora, RHEL, Arch and SUSE. Without the right to do it, prints the commands for root.
    """
    from ccinspect.cli.machine import ca_view

    return ca_view.install(context.obj, browsers=browsers, yes=yes, dry_run=dry_run)


def uninstall(
    context: typer.Context,
    browsers: _Browsers = False,
    every: Annotated[bool, typer.Option("--all", help="Also what other or former instances have put there.")] = False,
    yes: _Yes = False,
    dry_run: _DryRun = False,
) -> int:
    """Take our authority out again. Asks first."""
    from ccinspect.cli.machine import ca_view

    return ca_view.uninstall(context.obj, browsers=browsers, every=every, yes=yes, dry_run=dry_run)


def export(
    context: typer.Context,
    format: Annotated[
        Format, typer.Option("--format", "-f", help="pem, der, p12 or jks (both for Java; password: changeit).")
    ] = Format.PEM,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it here.")] = None,
) -> None:
    """Print the authority's certificate. Its key is never exported."""
    from ccinspect.cli.machine import ca_view

    ca_view.export(context.obj, format.value, output)
