"""One line per recorded run."""

from __future__ import annotations

import shlex
from typing import Any

from ccinspect.cli import text
from ccinspect.cli.output import CYAN, DIM, GREEN, RED, YELLOW
from ccinspect.cli.table import Cell, Column

COLUMNS = (
    Column("Run"),
    Column("Mode", sacrifice=2),
    Column("Started"),
    Column("Took", align="right", sacrifice=1),
    Column("Exit"),
    Column("Project", least=7, sacrifice=4),
    Column("Name", least=4, sacrifice=3),
    Column("Command", least=10),
)


def run_row(run: dict[str, Any], live: bool) -> list[str | Cell]:
    """The cells of COLUMNS for one run record; `live` says whether it is still going on."""
    started, ended = run.get("started_at"), run.get("ended_at")
    return [
        Cell(str(run.get("id") or ""), CYAN),
        str(run.get("mode") or ""),
        Cell(text.moment(started), DIM),
        text.duration(ended - started if started and ended else None),
        _exit(run.get("exit_code"), live),
        str(run.get("project") or ""),
        str(run.get("name") or ""),
        shlex.join(map(str, run.get("command") or [])),
    ]


def _exit(code: int | None, live: bool) -> Cell:
    if live:
        return Cell("live", GREEN)
    if code is None:
        return Cell("killed", YELLOW)
    return Cell(str(code), "" if code == 0 else RED)
