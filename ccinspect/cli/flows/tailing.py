"""`flows tail`: finished flows as the daemon tells of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from ccinspect.cli import table
from ccinspect.cli.flows import flow_table
from ccinspect.cli.instance import Instance
from ccinspect.cli.output import colours_on, json_text, say, terminal_width, write
from ccinspect.cli.reading import default_filters
from ccinspect.control.client import ControlClient
from ccinspect.errors import DaemonNotRunning
from ccinspect.store.jqfilter import Filters
from ccinspect.store.schema import open_for_reading
from ccinspect.store.selection import Selection

# What a line can count on before any flow is known: id, method, code, host, path, agent, type, size, time.
_USUAL_WIDTHS = (8, 6, 5, 28, 60, 12, 6, 5, 8)


def tail(instance: Instance, chosen: Selection, filters: Sequence[str], as_json: bool) -> None:
    """Print flows that fit as they finish, until the daemon stops. Raises DaemonNotRunning when none runs."""
    all_filters = [*default_filters(instance), *filters]
    with ExitStack() as stack:
        try:
            client = stack.enter_context(ControlClient.connect(instance.paths.control_socket))
        except DaemonNotRunning as error:
            raise DaemonNotRunning(
                "the daemon is not running, so no flow will come", "start it: ccinspect start --detach"
            ) from error
        events = client.events()
        fits = stack.enter_context(_chooser(instance.paths.store_dir, chosen))
        chain = stack.enter_context(Filters(all_filters)) if all_filters else None
        show = _printer(as_json)
        for _, record in events:
            if fits(record["id"]):
                for value in chain.apply([json.dumps(record)]) if chain else [record]:
                    show(value)
                sys.stdout.flush()
    say("ccinspect: the daemon has stopped")


@contextmanager
def _chooser(store_dir: Path, chosen: Selection) -> Iterator[Callable[[str], bool]]:
    """A function that tells of a flow by its id whether it is among the chosen, as `flows list` would."""
    with closing(open_for_reading(store_dir)) as db:
        # Also tells at once, and not when the first flow comes, that there is no such run.
        where, values = chosen.where(db)

        def fits(flow: str) -> bool:
            found = db.execute(f"SELECT 1 FROM flows WHERE uuid = ? AND ({where})", (flow, *values))
            return found.fetchone() is not None

        yield fits


def _printer(as_json: bool) -> Callable[[Any], None]:
    if sys.stdout.isatty() and not as_json:
        line = table.fixed(flow_table.COLUMNS, _USUAL_WIDTHS, terminal_width(), colours_on(sys.stdout))
        write(line([column.title for column in flow_table.COLUMNS]))
    else:
        line = table.tab_separated_line

    def show(value: Any) -> None:
        as_row = flow_table.is_flow(value) and not as_json
        write(line(flow_table.flow_row(value)) if as_row else json_text(value, None))

    return show
