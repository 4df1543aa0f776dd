"""Reading what was understood of the captured flows, whether the daemon runs or not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ccinspect.analysis import query
from ccinspect.analysis.options import AnalysisOptions
from ccinspect.cli import text
from ccinspect.cli.instance import Instance
from ccinspect.cli.output import say
from ccinspect.cli.progress import Progress
from ccinspect.control import protocol
from ccinspect.control.client import ControlClient
from ccinspect.errors import CcinspectError, DaemonNotRunning


@contextmanager
def open_analysis(instance: Instance) -> Iterator[query.Analysis]:
    """The analysis of everything that was complete before the call. Raises StoreUnavailable, ConfigError."""
    options = AnalysisOptions.from_config(instance.config())
    with suppress(CcinspectError), ControlClient.connect(instance.paths.control_socket) as client:
        client.call(protocol.FLUSH)
    with Progress("analysing flows") as progress:
        opened = query.open_analysis(instance.paths.store_dir, options, progress)
    with opened as analysis:
        if missing := analysis.behind():
            say(f"ccinspect: {text.count(missing, 'flow')} not analysed yet: what is shown is without them")
        yield analysis


def reanalyse(instance: Instance, since: float | None) -> int:
    """Have all flows (since then, in seconds since the epoch) analysed anew; the result is how many.

    The daemon does it if one runs, else this process. Raises ConfigError, StoreUnavailable.
    """
    options = AnalysisOptions.from_config(instance.config())
    with Progress("analysing flows") as progress:
        try:
            client = ControlClient.connect(instance.paths.control_socket)
        except DaemonNotRunning:
            return query.reanalyse(instance.paths.store_dir, options, since, progress)
        with client:
            return _by_the_daemon(client, since, progress)


def _by_the_daemon(client: ControlClient, since: float | None, progress: Progress) -> int:
    for name, data in client.subscribe(protocol.REANALYSE, since=since):
        if name == "progress":
            progress(data["done"], data["total"])
        elif name == "done":
            return int(data["flows"])
    say("ccinspect: the daemon stopped before it was through; the rest is done at the next question")
    return 0
