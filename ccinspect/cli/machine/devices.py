"""What the `devices` commands do."""

from __future__ import annotations

from typing import Any

from ccinspect.cli import text
from ccinspect.cli.instance import Instance
from ccinspect.cli.output import CYAN, DIM, say, write_json, write_table
from ccinspect.cli.reading import open_store
from ccinspect.cli.table import Cell, Column
from ccinspect.identity.devices import Devices

COLUMNS = (Column("Name", least=8), Column("Address"), Column("Flows", align="right"), Column("First"), Column("Last"))


def list_devices(instance: Instance, as_json: bool) -> None:
    """Print the machines that flows came from, and those that have a name."""
    from ccinspect.store.devices import seen_devices

    names = Devices(instance.paths.data_dir).names
    with open_store(instance):
        seen = seen_devices(instance.paths.store_dir)
    told: list[dict[str, Any]] = [
        {
            "address": each.address,
            "name": names.get(each.address),
            "flows": each.flows,
            "first_seen": each.first,
            "last_seen": each.last,
        }
        for each in seen
    ]
    unseen = sorted(names.keys() - {each.address for each in seen})
    told += [
        {"address": address, "name": names[address], "flows": 0, "first_seen": None, "last_seen": None}
        for address in unseen
    ]
    if as_json:
        write_json(told)
    elif told:
        write_table(COLUMNS, [_row(each) for each in told])
    else:
        say("ccinspect: no other machine has used the listeners (docs/network.md says how one can)")


def _row(device: dict[str, Any]) -> list[str | Cell]:
    moments = [Cell(text.moment(device[name]) if device[name] else "", DIM) for name in ("first_seen", "last_seen")]
    return [device["name"] or "", Cell(device["address"], CYAN), f"{device['flows']:,}", *moments]


def rename(instance: Instance, device: str, name: str, as_json: bool) -> None:
    """Give a device a name, or take it away."""
    address = Devices(instance.paths.data_dir).rename(device, name)
    if as_json:
        write_json({"address": address, "name": name or None})
    else:
        say(f"ccinspect: {address} is called {name} from now on" if name else f"ccinspect: {address} has no name now")
