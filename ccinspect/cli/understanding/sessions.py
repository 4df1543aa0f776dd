"""What the `session` commands do."""

from __future__ import annotations

import time
from collections.abc import Iterator

from ccinspect.analyser.unused import Unused
from ccinspect.analysis import query
from ccinspect.analysis.results import NamedSession, Report
from ccinspect.cli import text
from ccinspect.cli.instance import Instance
from ccinspect.cli.jsonable import jsonable
from ccinspect.cli.output import BOLD, CYAN, DIM, GREEN, paint, say, write, write_json, write_notes, write_table
from ccinspect.cli.reading import open_store
from ccinspect.cli.table import Cell, Column, cell_text
from ccinspect.cli.understanding import amounts, conversations, report
from ccinspect.cli.understanding.analysing import open_analysis
from ccinspect.errors import BadSelection
from ccinspect.store.selection import Selection

COLUMNS = (
    Column("Session", least=8),
    Column("State"),
    Column("Of", least=6, sacrifice=2),
    Column("Calls", "right"),
    Column("Context", "right"),
    Column("Cached", "right", sacrifice=1),
    Column("Output", "right", sacrifice=4),
    Column("Cost", "right"),
    Column("Took", "right", sacrifice=3),
    Column("Started"),
)
_UNUSED = (
    Column("Never called", least=12),
    Column("MCP server", least=8, sacrifice=1),
    Column("Turns", "right", sacrifice=2),
    Column("Tokens", "right"),
    Column("Cost", "right"),
)
_TOP = 10


def start(instance: Instance, name: str, run: str | None, project: str | None) -> None:
    """Open a session. Raises SessionError, BadSelection."""
    run_id = _find_run(instance, run) if run is not None else None
    query.start_session(instance.paths.store_dir, name, time.time(), run=run_id, project=project)
    say(f"ccinspect: session {name} is open: ccinspect session end {name}")


def _find_run(instance: Instance, run: str) -> str:
    """The id of the newest run that is meant."""
    with open_store(instance) as store:
        known = store.runs()
    fitting = [
        str(record["id"])
        for record in known
        if run in ("last", "latest", record["id"], record.get("name")) or str(record["id"]).startswith(run)
    ]
    if not run or not fitting:
        raise BadSelection(f"no run {run!r} is known", "see `ccinspect runs list`; or use `last`")
    return fitting[-1]


def end(instance: Instance, name: str) -> None:
    """Close a session. Raises SessionError."""
    query.end_session(instance.paths.store_dir, name, time.time())
    say(f"ccinspect: session {name} has ended: ccinspect session show {name}")


def archive(instance: Instance, name: str) -> None:
    """Put a session away. Raises SessionError."""
    query.archive_session(instance.paths.store_dir, name, time.time())
    say(f"ccinspect: session {name} is archived: ccinspect session list --all")


def list_sessions(instance: Instance, everything: bool, as_json: bool) -> None:
    """Print all sessions, archived ones only if asked for."""
    with open_analysis(instance) as analysis:
        found = analysis.sessions(archived=everything)
    if as_json:
        write_json(jsonable(found))
    elif found:
        rows = [_row(session) for session in found]
        write_table(COLUMNS, rows)
        texts = (cell_text(cell) for row in rows for cell in row[3:])
        write_notes(amounts.legend(texts))
    else:
        say("ccinspect: no sessions: ccinspect session start NAME")


def _row(session: NamedSession) -> list[str | Cell]:
    spend = session.spend
    took = (session.ended_at or time.time()) - session.started_at
    counts = spend.counts if spend and spend.calls else None
    basis = counts.basis if counts else amounts.PROVIDER
    return [
        Cell(session.name, CYAN),
        _state(session),
        _of(session),
        f"{spend.calls:,}" if spend else "-",
        amounts.short(counts.context if counts else None, basis),
        amounts.rate(counts.cache_hit_rate if counts else None),
        amounts.short(counts.output if counts else None, basis),
        amounts.money(spend.dollars, spend.unpriced, basis) if spend and spend.calls else "-",
        text.duration(took),
        Cell(text.moment(session.started_at), DIM),
    ]


def _state(session: NamedSession) -> Cell:
    if session.archived:
        return Cell("archived", DIM)
    return Cell("open", GREEN) if session.ended_at is None else Cell("ended")


def _of(session: NamedSession) -> str:
    words = [f"run {session.run}" if session.run else "", f"project {session.project}" if session.project else ""]
    return ", ".join(word for word in words if word) or "all"


def show(instance: Instance, name: str, as_json: bool) -> None:
    """Print one session. Raises SessionError."""
    with open_analysis(instance) as analysis:
        session = analysis.session(name)
        by_model = analysis.report("model", Selection(), session=name)
        talks = analysis.conversations(Selection(), session=name)
        unused = analysis.unused(Selection(), session=name)
    if as_json:
        parts = {"by_model": by_model.rows, "total": by_model.total, "conversations": talks, "unused": unused}
        write_json(jsonable(session) | jsonable(parts))
        return
    for line in _heading(session):
        write(line)
    _print_models(by_model)
    if talks:
        write("")
        conversations.print_table(talks)
    if unused.tools:
        write("")
        _print_unused(unused)


def _heading(session: NamedSession) -> Iterator[str]:
    yield paint(text.clean(f"session {session.name}  {_state(session).text}  {_of(session)}"), BOLD)
    end = text.full_moment(session.ended_at) if session.ended_at is not None else "now"
    yield f"  {text.full_moment(session.started_at)} to {end}"


def _print_models(by_model: Report) -> None:
    write("")
    if by_model.rows:
        report.print_table(by_model)
    else:
        write("  no model calls belong to it")


def _print_unused(unused: Unused) -> None:
    rows: list[list[str | Cell]] = [
        [
            tool.name,
            tool.server or "",
            f"{tool.turns:,}",
            amounts.short(tool.tokens, "estimated"),
            amounts.money(tool.cost if tool.unpriced < tool.turns else None, tool.unpriced, "estimated"),
        ]
        for tool in unused.tools[:_TOP]
    ]
    write_table(_UNUSED, rows)
    everything = amounts.exact(unused.tokens, "estimated")
    tools = text.count(len(unused.tools), "tool")
    money = amounts.money(unused.cost, 0, "estimated")
    write_notes(f"{tools} never called: {everything} tokens of definitions, {money}")
