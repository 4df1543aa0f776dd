"""clear_flows, save_shape, replay_flow, start_session: what changes something. Offered only with `mcp.acting`.

Each does what a command of ours does, by the same functions: `flows clear`, `shapes save`, `flows replay`,
`session start`.
"""

from __future__ import annotations

import os
import time

from pydantic import Field

from ccinspect.control import protocol
from ccinspect.control.client import ControlClient
from ccinspect.errors import CcinspectError, DaemonNotRunning, StoreError
from ccinspect.mcp.answers import Answer, JsonObject, known, moment, plain, short
from ccinspect.mcp.bodies import read_body
from ccinspect.mcp.captured import Captured
from ccinspect.mcp.flow_content import FLOW, Flow
from ccinspect.mcp.flow_messages import blocks_shown
from ccinspect.mcp.flow_search import row
from ccinspect.mcp.tool import Arguments, Tool
from ccinspect.policy.unreadable import masked
from ccinspect.store.selection import Selection, parse_time

_ANSWER = 4_000
"""Characters of what a replayed request was answered."""


class ClearFlows(Arguments):
    host: str | None = Field(None, description="A host and its subdomains, or a pattern with *.")
    run: str | None = Field(None, description="A run's id or name, or `last`.")
    since: str | None = Field(None, description="An age (45m, 1h, 7d), `today`, or a date: 2026-01-31T12:00.")
    until: str | None = Field(None, description="The same.")
    everything: bool = Field(False, description="All flows; without it, one of the others must be given.")
    expected: int | None = Field(None, ge=0, description="How many flows; nothing is removed if it is another number.")

    def selection(self) -> Selection:
        """Raises BadSelection."""
        return Selection(
            since=None if self.since is None else parse_time(self.since),
            # What is captured from now on was not counted.
            until=time.time() if self.until is None else parse_time(self.until),
            run=self.run,
            host=self.host,
        )


def clear_flows(captured: Captured, asked: ClearFlows) -> Answer:
    """Remove captured flows for good. First call it without `expected`: it removes nothing and says how many there are.

    Then ask the user, and call it again with that number as `expected`.
    """
    chosen = [asked.host, asked.run, asked.since, asked.until]
    if not asked.everything and not any(chosen):
        raise CcinspectError("nothing says which flows: nothing was removed", "give host, run, since or until")
    if asked.everything and any(chosen):
        raise CcinspectError("`everything` goes with no other choice: nothing was removed", "leave one of them out")
    selection = asked.selection()
    with captured.store() as store:
        found = store.count(selection)
    if asked.expected is None:
        note = f"nothing was removed yet; to remove them, add expected: {found}"
        return Answer({"would_remove": found}, found, notes=(note,))
    if asked.expected != found:
        raise CcinspectError(
            f"there are {found} such flows, not {asked.expected}: nothing was removed",
            "look at them with search_flows; `expected` must be their number",
        )
    return Answer({"removed": _clear(captured, selection)}, found)


def _clear(captured: Captured, selection: Selection) -> int:
    try:
        with ControlClient.connect(captured.paths.control_socket) as client:
            client.set_timeout(None)
            return int(client.call(protocol.FLOWS_CLEAR, **selection.to_params())["removed"])
    except DaemonNotRunning:
        from ccinspect.store.database import clear_without_daemon

        return clear_without_daemon(captured.paths.store_dir, selection)


class SaveShape(Arguments):
    name: str = Field(description="A name for it: letters, digits, - and _.")
    flow: str | None = Field(None, description=f"{FLOW} Without it, the newest model call that went well.")
    description: str = Field("", max_length=500, description="One line on what it is for.")


def save_shape(captured: Captured, asked: SaveShape) -> Answer:
    """Keep the request of a flow as a shape: a template without credentials, ids, messages, system prompt and tools.

    Nothing private may be left in it, else it is not saved. One of the same name is not replaced.
    """
    from ccinspect.shapes.library import Library
    from ccinspect.shapes.saving import save_flow

    shelf = Library(captured.paths.config_dir / "shapes")
    with captured.store() as store:
        saved = save_flow(shelf, store, asked.name, asked.flow, description=asked.description)
    left_out: JsonObject = {}
    for place, kind in saved.removed:
        left_out.setdefault(kind, []).append(masked(short(place, 120)))
    return Answer(known(shape=asked.name, flow=saved.flow, file=str(saved.path), left_out=left_out or None))


class ReplayFlow(Flow):
    model: str | None = Field(None, description="Ask for this model instead.")
    provider: str | None = Field(None, description="Send it to this provider of the settings, with its credential.")
    set: list[str] = Field([], max_length=20, description="Changes of the body: messages[0].content=hello.")


def replay_flow(captured: Captured, asked: ReplayFlow) -> Answer:
    """Send a captured request again through the running daemon, with the user's credential. A model call costs money
    again, and any other request does again what it did. The answer is a new flow, whose `parent` is this one."""
    from ccinspect.replay.again import prepare, reverse_port, send_once, succeeded
    from ccinspect.replay.request import Wish

    port = reverse_port(captured.paths.control_socket)
    with captured.store() as store:
        wish = Wish(asked.model, asked.provider, tuple(asked.set))
        _, made = prepare(store, captured.config(), asked.flow, wish, os.environ)
    record = send_once(made, port, captured.paths.control_socket)
    notes = [f"the header {name} was left out: its secret is not in the store" for name in made.left_out]
    if not succeeded(record):
        notes.append("it was not answered with success")
    return Answer({"flow": row(record)} | _answered(captured, record), notes=tuple(notes))


def _answered(captured: Captured, record: JsonObject) -> JsonObject:
    """What a flow was answered, and what that cost where it is a model call that can be read."""
    ident = str(record["id"])
    with captured.analysis() as analysis:
        try:
            found = known(dollars=plain(analysis.call(ident).price.dollars))
            response = analysis.open_call(ident).response
        except StoreError:
            found, response = {}, None
    if response is not None and response.blocks:
        return found | {"answer": blocks_shown(response.blocks, _ANSWER)}
    with captured.store() as store:
        try:
            body = read_body(store, store.get(ident), "client_response")
        except CcinspectError:
            return found
    return found | {"body": "(binary)" if body.is_binary else short(masked(body.text), _ANSWER)}


class StartSession(Arguments):
    name: str = Field(description="A name that no session has yet.")


def start_session(captured: Captured, asked: StartSession) -> Answer:
    """Mark this moment by a name. From then on, `session: NAME` in search_flows, usage_report, conversations and
    list_models asks for what came after it only."""
    from ccinspect.analysis import query

    now = time.time()
    query.start_session(captured.paths.store_dir, asked.name, now)
    return Answer({"session": asked.name, "started": moment(now)})


TOOLS = (
    Tool(clear_flows, ClearFlows, acts=True, destroys=True),
    Tool(save_shape, SaveShape, acts=True),
    Tool(replay_flow, ReplayFlow, acts=True, destroys=True, leaves=True),
    Tool(start_session, StartSession, acts=True),
)
