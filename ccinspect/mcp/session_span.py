"""What `session` means as an argument: only what was captured while a named session was open."""

from __future__ import annotations

from dataclasses import replace

from ccinspect.errors import SessionError
from ccinspect.mcp.captured import Captured
from ccinspect.store.selection import Selection

SESSION = "Only since this named session began, until it ended."


def narrowed(captured: Captured, selection: Selection, session: str | None) -> Selection:
    """The selection within the time (and the run) of a named session. Raises SessionError."""
    if session is None:
        return selection
    if captured.run is not None:
        raise SessionError("a run has no sessions", "leave `session` out: all that you see is of one run")
    from ccinspect.analysis import sessions

    found = sessions.find(captured.paths.store_dir, session)
    ends = [end for end in (selection.until, found.ended_at) if end is not None]
    return replace(
        selection,
        since=max(selection.since or 0.0, found.started_at),
        until=min(ends) if ends else None,
        run=selection.run or found.run,
    )
