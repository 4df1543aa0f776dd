"""The hook `inject_mcp_notifications`: tell the model of events that were posted for its conversation.

They go into the request as if the model had asked for them: a call of `tasks_get`, and its result. Its client knows
nothing of that, so each event is told once.
"""

from __future__ import annotations

import secrets

from ccinspect.hooks.notifications import Notifications
from ccinspect.hooks.synthetic_calls import DIALECTS, Call, place_for
from ccinspect.pipeline.context import Context, Head
from ccinspect.pipeline.declaration import hook
from ccinspect.wire.model import Json

TOOL = "tasks_get"


def _has_some(head: Head) -> bool:
    # The session may be known only once the body was read: then any session's events will do for reading it.
    waiting = head.services.find(Notifications)
    return (
        waiting is not None
        and head.facts.kind == "generate"
        and head.facts.dialect in DIALECTS
        and waiting.pending(head.session)
    )


_PARTS = ("body.messages", "body.input", "body.contents", "body.tools", "body.tool_choice")


# Not all of the body: what says the session stands in other parts of it, and is read before.
@hook(
    reads=("session", "body.thinking", *_PARTS),
    writes=_PARTS,
    guard=_has_some,
    stage="inbound",
)
def inject_mcp_notifications(ctx: Context) -> None:
    """Put events that were posted for this conversation into it, as a tool call and its result."""
    waiting = ctx.services.get(Notifications)
    if ctx.session is None or not waiting.pending(ctx.session) or _is_side_call(ctx):
        return
    insert = place_for(ctx.facts.dialect or "", ctx.json)
    if insert is None:
        return
    batches = waiting.take(ctx.session)
    if batches:
        insert([Call(_fresh_id(), TOOL, {"taskId": batch.task_id}, batch.text()) for batch in batches])
        told = sum(len(batch.events) for batch in batches)
        ctx.notes["inject_mcp_notifications"] = {"tasks": len(batches), "events": told}


def _is_side_call(ctx: Context) -> bool:
    """Agents make titles and summaries within a session by requests without tools: the events are not for those."""
    body: Json = ctx.json
    return ctx.facts.agent is not None and isinstance(body, dict) and not body.get("tools")


def _fresh_id() -> str:
    return f"toolu_{secrets.token_hex(12)}"
