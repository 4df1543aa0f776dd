"""runs: what was started under our eyes."""

from __future__ import annotations

from ccinspect.mcp.answers import Answer, JsonObject, known, moment, page, short
from ccinspect.mcp.captured import Captured
from ccinspect.mcp.model_calls import Paged
from ccinspect.mcp.tool import Tool
from ccinspect.policy.unreadable import masked

_COMMAND = 200


def runs(captured: Captured, asked: Paged) -> Answer:
    """The programs that were run, the newest first. A run's id goes into `run` of other tools."""
    with captured.store() as store:
        found = store.runs()[::-1]
    return page("runs", found, asked.offset, asked.limit, _row)


def _row(run: JsonObject) -> JsonObject:
    git = run.get("git") or {}
    return known(
        id=str(run["id"]),
        name=run.get("name"),
        mode=run.get("mode"),
        command=masked(short(" ".join(str(word) for word in run.get("command") or ()), _COMMAND)),
        cwd=run.get("cwd"),
        project=run.get("project"),
        branch=git.get("branch"),
        tags=run.get("tags") or None,
        started=moment(run.get("started_at")),
        ended=moment(run.get("ended_at")),
        exit_code=run.get("exit_code"),
    )


TOOLS = (Tool(runs, Paged),)
