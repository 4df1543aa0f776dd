"""What the `flows` commands do: list, show and clear."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ccinspect.cli import flow_table, text
from ccinspect.cli.instance import Instance
from ccinspect.cli.output import confirm, json_text, say, write, write_json, write_table
from ccinspect.cli.reading import default_filters, open_store
from ccinspect.control import protocol
from ccinspect.control.client import ControlClient
from ccinspect.errors import DaemonNotRunning
from ccinspect.store.selection import Selection

DEFAULT_LIMIT = 1000


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


def _print(instance: Instance, values: list[Any], texts: list[str], as_json: bool) -> None:
    """`texts` are the JSON of `values`, which a pipe that gets JSON does not need."""
    if as_json or not all(_is_flow(value) for value in values):
        if sys.stdout.isatty():
            write_json(values)
        else:
            write("[" + ",\n".join(map(text.clean_json, texts)) + "]")
    elif values:
        write_table(flow_table.COLUMNS, [flow_table.flow_row(value) for value in values])
    else:
        _say_nothing_found(instance)


def _is_flow(value: Any) -> bool:
    return isinstance(value, dict) and {"id", "type", "state"} <= value.keys()


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
