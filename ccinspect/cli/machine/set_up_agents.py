"""Before a run: does the agent's own configuration, which `ccinspect setup` wrote, get in the way of it?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ccinspect.errors import CcinspectError

# Where the names of `setup` are not those by which requests are told.
_NAMES = {"claude-code": "claude", "gemini-cli": "gemini"}


def remark(notes_directory: Path, command: Sequence[str], mode: str) -> str | None:
    """One line for a person who runs an agent that was set up to find us by itself; None for all others.

    In a jail our proxy cannot be reached: it would be a way around the rules of its run.
    """
    if not notes_directory.is_dir():
        return None
    from ccinspect.setup.notes import Notes

    try:
        notes = Notes(notes_directory).all()
    except CcinspectError:
        return None
    if not notes:
        return None
    from ccinspect.identity.agents import agent_of_command

    agent = agent_of_command(command)
    name = _NAMES.get(agent or "", agent)
    settings = [note.members[name] for note in notes if name in note.members]
    if not settings:
        return None
    if mode == "inspect":
        if "proxy" not in repr(settings).lower():
            return None
        return f"{name} was set up to use the daemon's proxy, which no jail lets it: ccinspect setup {name} --undo"
    return (
        f"{name} was set up to reach the daemon by itself: what it sends so belongs to no run (ccinspect setup {name})"
    )
