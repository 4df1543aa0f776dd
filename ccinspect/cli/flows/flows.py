"""What the `flows` commands do: list, show and clear."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ccinspect.cli import table, text
from ccinspect.cli.flows import flow_table
from ccinspect.cli.instance import Instance
from ccinspect.cli.output import confirm, json_text, say, write, write_json, write_notes, write_table
from ccinspect.cli.reading import default_filters, open_store
from ccinspect.cli.understanding import amounts
from ccinspect.control import protocol
from ccinspect.control.client import ControlClient
from ccinspect.errors import CcinspectError, DaemonNotRunning
from ccinspect.identity.devices import Devices
from ccinspect.store.selection import Selection

if TYPE_CHECKING:
    from ccinspect.analysis.glance import Glance

DEFAULT_LIMIT = 1000
ANALYSED_IN_PASSING = 100
"""Flows that a listing waits for to be analysed; more are left to the commands that are about it."""
_TOKENS = [column.title for column in flow_table.CALL_COLUMNS].index("Tokens")


def list_flows(instance: Instance, chosen: Selection, filters: Sequence[str], as_json: bool) -> None:
    """Print the chosen flows, or whatever the filters made of them."""
    all_filters = [*default_filters(instance), *filters]
    limit = chosen.limit or DEFAULT_LIMIT
    with open_store(instance) as store:
        # One more than wanted, to know whether there are more.
        texts = store.select_text(replace(chosen, limit=limit + 1))
    if len(texts) > limit:
        del texts[0]
        if chosen.limit is None:
            say(f"ccinspect: these are the newest {limit:,}; more with --limit")
    if all_filters:
        from ccinspect.store.jqfilter import apply

        values = apply(all_filters, texts)
        texts = [json_text(value, None) for value in values]
    elif as_json and not sys.stdout.isatty():
        values = []
    else:
        import json

        values = [json.loads(record) for record in texts]
    _print(instance, values, texts, as_json)


def from_device(instance: Instance, device: str | None) -> list[str]:
    """The jq filters that keep what came from a device (its name or address). Raises DeviceError."""
    if device is None:
        return []
    address = Devices(instance.paths.data_dir).find(device)
    return [f"map(select(.device == {json_text(address, None)}))"]


def _print(instance: Instance, values: list[Any], texts: list[str], as_json: bool) -> None:
    """`texts` are the JSON of `values`, which a pipe that gets JSON does not need."""
    if as_json or not all(flow_table.is_flow(value) for value in values):
        if sys.stdout.isatty():
            write_json(values)
        else:
            write("[" + ",\n".join(map(text.clean_json, texts)) + "]")
    elif values:
        _print_table(instance, values)
    else:
        _say_nothing_found(instance)


def _print_table(instance: Instance, records: list[dict[str, Any]]) -> None:
    known = _known(instance, [str(record["id"]) for record in records])
    devices = _devices(instance, records)
    rows = [flow_table.call_row(record, known.get(str(record["id"]))) for record in records]
    if sys.stdout.isatty() and not any(glance.model or glance.tokens for glance in known.values()):
        # Without a model call in sight its columns would only take room away.
        plain = [flow_table.flow_row(record) for record in records]
        write_table(*flow_table.with_devices(flow_table.COLUMNS, plain, devices))
        return
    write_table(*flow_table.with_devices(flow_table.CALL_COLUMNS, rows, devices))
    write_notes(amounts.legend(table.cell_text(row[_TOKENS]) for row in rows))


def _devices(instance: Instance, records: list[dict[str, Any]]) -> list[str]:
    """What the machine of each record is called; nothing where all are of this one."""
    if not any(record.get("device") for record in records):
        return []
    named = Devices(instance.paths.data_dir)
    return [named.shown(record.get("device")) for record in records]


def _known(instance: Instance, flows: list[str]) -> dict[str, Glance]:
    """What was understood of these flows. A few that were not looked at yet are analysed now."""
    from ccinspect.analysis.glance import behind, glance

    try:
        missing = behind(instance.paths.store_dir)
        if 0 < missing <= ANALYSED_IN_PASSING:
            from ccinspect.cli.understanding.analysing import open_analysis

            with open_analysis(instance):
                pass
        elif missing and sys.stdout.isatty():
            say(f"ccinspect: {text.count(missing, 'flow')} not analysed yet: ccinspect report")
        return glance(instance.paths.store_dir, flows)
    except CcinspectError as error:
        # Flows can be listed without knowing what they mean.
        say(f"ccinspect: {error.message}")
        return {}


def _say_nothing_found(instance: Instance) -> None:
    with open_store(instance) as store:
        captured = store.count()
    if captured:
        say(f"ccinspect: none of the {text.count(captured, 'flow')} in the store fits")
    else:
        say("ccinspect: nothing has been captured yet: ccinspect run -i -- CMD")


def clear(instance: Instance, chosen: Selection, ask: bool) -> bool:
    """Remove the chosen flows; asks on a terminal unless `ask` is False. The result is False when the answer was no."""
    if ask and sys.stdin.isatty():
        with open_store(instance) as store:
            found = store.count(chosen)
        if not found:
            say("ccinspect: nothing to remove")
            return True
        if not confirm(f"Remove {text.count(found, 'flow')}?"):
            say("ccinspect: nothing was removed")
            return False
    try:
        with ControlClient.connect(instance.paths.control_socket) as client:
            client.set_timeout(None)
            removed = client.call(protocol.FLOWS_CLEAR, **chosen.to_params())["removed"]
    except DaemonNotRunning:
        from ccinspect.store.database import clear_without_daemon

        removed = clear_without_daemon(instance.paths.store_dir, chosen)
    say(f"ccinspect: {text.count(removed, 'flow')} removed")
    return True
