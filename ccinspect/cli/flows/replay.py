"""`flows replay`: send a captured request again through the daemon, once or more, and show what came of it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from ccinspect.analysis.query import Analysis
from ccinspect.cli import text
from ccinspect.cli.flows import flow_content
from ccinspect.cli.flows.replay_view import Shown, side_by_side
from ccinspect.cli.flows.sides import side
from ccinspect.cli.instance import Instance
from ccinspect.cli.output import say, terminal_width, write_json
from ccinspect.cli.pager import page
from ccinspect.cli.reading import open_store
from ccinspect.cli.understanding import call_show
from ccinspect.cli.understanding.analysing import open_analysis
from ccinspect.errors import CcinspectError, StoreError
from ccinspect.replay.again import prepare, reverse_port, send_once, succeeded
from ccinspect.replay.request import Wish
from ccinspect.store.query import StoreReader

_PIPE_COLUMNS = 120
_BODY_LETTERS = 4_000


def replay(instance: Instance, flow: str, wish: Wish, times: int, *, everything: bool, as_json: bool) -> int:
    """Send it `times` times, one after the other; the exit status is 0 when each got an answer below 400.

    Raises FlowNotFound, AmbiguousFlowId, DaemonNotRunning, ConfigError, CredentialsError, BadPath.
    """
    paths = instance.paths
    with open_store(instance) as store:
        record, made = prepare(store, instance.config(), flow, wish, os.environ)
    for name in made.left_out:
        say(f"ccinspect: the header {text.clean(name)} is left out: its secret is not in the store")
    children: list[dict[str, Any]] = []
    port = reverse_port(paths.control_socket)
    for number in range(times):
        child = send_once(made, port, paths.control_socket)
        children.append(child)
        code = (child.get("response") or {}).get("status_code")
        took = text.duration((child.get("timing") or {}).get("duration"))
        say(f"ccinspect: replay {number + 1} of {times}: {code or 'no answer'} in {took}, flow {child['id'][:8]}")
    _show(instance, record, children, everything=everything, as_json=as_json)
    return 0 if all(succeeded(child) for child in children) else 1


def _show(
    instance: Instance, record: dict[str, Any], children: Sequence[dict[str, Any]], *, everything: bool, as_json: bool
) -> None:
    if len(children) == 1 and not as_json:
        _show_one(instance, str(children[0]["id"]), everything)
        return
    with open_analysis(instance) as analysis, open_store(instance) as store:
        titles = ["original", *(f"replay {number}" for number in range(1, len(children) + 1))]
        idents = [str(record["id"]), *(str(child["id"]) for child in children)]
        shown = [_shown(analysis, store, title, ident) for title, ident in zip(titles, idents, strict=True)]
    if as_json:
        write_json([each.as_record() for each in shown])
    else:
        columns = terminal_width() if sys.stdout.isatty() else _PIPE_COLUMNS
        page(side_by_side(shown, columns, everything))


def _show_one(instance: Instance, ident: str, everything: bool) -> None:
    if not call_show.show(instance, ident, everything=everything):
        flow_content.show(instance, ident, want_request=False, want_response=True, as_json=False)


def _shown(analysis: Analysis, store: StoreReader, title: str, ident: str) -> Shown:
    record = store.get(ident)
    with suppress(StoreError):
        if any(call.readable for call in analysis.calls_of(ident)):
            opened = analysis.open_call(ident)
            if opened.response is not None and opened.response.blocks:
                return Shown(title, record, opened)
            return Shown(title, record, opened, _body(store, record))
    return Shown(title, record, None, _body(store, record))


def _body(store: StoreReader, record: dict[str, Any]) -> str:
    """The head of an answer that is no model's: an error, for example."""
    with suppress(CcinspectError):
        answered = side(store, record, "client_response")
        if answered is not None and answered.body:
            return answered.body[:_BODY_LETTERS].decode("utf-8", "replace")
    return str((record.get("error") or {}).get("msg") or "")
