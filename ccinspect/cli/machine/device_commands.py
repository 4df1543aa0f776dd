"""devices: other machines that use the listeners, and what a person calls them."""

from __future__ import annotations

from typing import Annotated

import typer

from ccinspect.cli.flows import flow_options as options

Device = Annotated[str, typer.Argument(metavar="DEVICE", help="Its address, or the name it has.", show_default=False)]
Name = Annotated[
    str, typer.Argument(metavar="NAME", help="What to call it; an empty text takes the name away.", show_default=False)
]


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Other machines that use the listeners.", no_args_is_help=True, rich_markup_mode=None)
    group.command("list")(list_devices)
    group.command()(rename)
    app.add_typer(group, name="devices")


def list_devices(context: typer.Context, json: options.Json = False) -> None:
    """List the machines that flows came from, the newest first, and those that have a name."""
    from ccinspect.cli.machine import devices

    devices.list_devices(context.obj, json)


def rename(context: typer.Context, device: Device, name: Name, json: options.Json = False) -> None:
    """Give a machine a name. Flows that are there already show it too."""
    from ccinspect.cli.machine import devices

    devices.rename(context.obj, device, name, json)
