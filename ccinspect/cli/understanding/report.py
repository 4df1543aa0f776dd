"""`report`: where the tokens went."""

from __future__ import annotations

import csv
import sys
from typing import Any

from ccinspect.analysis.results import Report
from ccinspect.cli import text
from ccinspect.cli.instance import Instance
from ccinspect.cli.jsonable import jsonable
from ccinspect.cli.output import say, write_json, write_notes, write_table
from ccinspect.cli.understanding import amounts, report_table
from ccinspect.cli.understanding.analysing import open_analysis
from ccinspect.store.selection import Selection


def show(instance: Instance, by: str, chosen: Selection, session: str | None, form: str) -> None:
    """Print the report; `form` is `table`, `json` or `csv`. Raises BadSelection, SessionError."""
    with open_analysis(instance) as analysis:
        report = analysis.report(by, chosen, session=session)
        old = analysis.needs_reanalysis()
    if form == "json":
        write_json(jsonable(report))
    elif form == "csv":
        csv.writer(sys.stdout, lineterminator="\n").writerows(report_table.csv_rows(report))
    elif report.rows:
        print_table(report)
    else:
        say("ccinspect: no model calls to report on" if by != "host" else "ccinspect: no flows to report on")
    if old:
        say(f"ccinspect: {text.count(old, 'flow')} analysed by an earlier version: ccinspect reanalyse")


def print_table(report: Report) -> None:
    """The rows that are worth a line, the marks explained, and what the report leaves out."""
    rows = report_table.rows(report)
    write_table(report_table.columns(report.by), rows)
    write_notes(amounts.legend(report_table.shown(rows)), *_remarks(report))


def _remarks(report: Report) -> list[str]:
    total: Any = report.total
    remarks = []
    if report.by in ("tool", "mcp-server"):
        remarks.append("Unused: definitions sent in conversations that never called them")
    elif report.by != "host" and total.uncounted:
        remarks.append(f"not in it: {text.count(total.uncounted, 'call')} that only counted tokens")
    if report.by in ("session", "tool", "mcp-server"):
        remarks.append(f"all calls together: {amounts.money(total.dollars, total.unpriced, total.counts.basis)}")
    return remarks
