"""Which flows are model calls: for lists that show nothing else. Reads without loading the analyser."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from ccinspect.analysis import scope
from ccinspect.errors import StoreUnavailable
from ccinspect.store.selection import Selection


def flows_with_calls(
    store_dir: Path, selection: Selection, model: str | None = None, *, only_run: str | None = None
) -> tuple[list[str], int]:
    """The newest `limit` selected flows with a model call (of this model, a name or a pattern with `*`): their full
    ids, the newest first; and how many there are in all, before and behind `selection.before`.
    `only_run`: the full id of the only run that can be seen.

    Raises BadSelection, StoreUnavailable.
    """
    asked = "SELECT flow FROM calls WHERE true"
    named = [] if model is None else [model, model]
    if model is not None:
        asked += " AND (model_answered GLOB ? OR model_requested GLOB ?)"
    with closing(scope.open_for_reading(store_dir, only_run)) as db:
        try:
            where, values = selection.where(db)
            rows = db.execute(
                f"SELECT uuid FROM flows WHERE {where} AND uuid IN ({asked}) ORDER BY id DESC LIMIT ?",
                (*values, *named, -1 if selection.limit is None else selection.limit),
            ).fetchall()
            every, all_values = _without_place(selection).where(db)
            (total,) = db.execute(
                f"SELECT count(*) FROM flows WHERE {every} AND uuid IN ({asked})", (*all_values, *named)
            ).fetchone()
        except sqlite3.Error as error:
            raise StoreUnavailable(f"the analysis cannot be read: {error}", "try again") from error
    return [row[0] for row in rows], int(total)


def _without_place(selection: Selection) -> Selection:
    return Selection(**{**selection.__dict__, "before": None})
