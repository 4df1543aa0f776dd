"""Questions about captured model calls, for the command line and everyone else who reads.

    with open_analysis(store_dir, options) as analysis:
        for call in analysis.calls(Selection(since=...)): ...

An id is a flow's or a call's, and may be shortened; `FLOW#N` is the N-th call of a WebSocket. Everything raises
StoreUnavailable when the store cannot be read; what takes an id raises FlowNotFound, AmbiguousFlowId, and NoModelCall
for a flow that is none.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from ccinspect.analyser.analyse import ANALYSER_VERSION
from ccinspect.analyser.cache_misses import CacheReport, Verdict
from ccinspect.analyser.limits import AccountLimits, limits_at
from ccinspect.analyser.unused import Unused
from ccinspect.analysis import loading, reports, schema, scope, sessions, trees
from ccinspect.analysis.analyst import Analyst, Progress, is_locked
from ccinspect.analysis.contents import Contents, load_context
from ccinspect.analysis.glance import behind, newest
from ccinspect.analysis.loading import Where
from ccinspect.analysis.options import AnalysisOptions
from ccinspect.analysis.reports import REPORTS
from ccinspect.analysis.results import (
    AccountState,
    CacheExplanation,
    Call,
    Context,
    ConversationSummary,
    ConversationTree,
    Counts,
    FlowFacts,
    HostSpend,
    NamedSession,
    OpenedCall,
    Price,
    Report,
    Spend,
    ToolSpend,
    TurnNode,
)
from ccinspect.errors import NoModelCall, StoreUnavailable
from ccinspect.store.query import StoreReader
from ccinspect.store.selection import Selection

PATIENCE = 10.0
"""Seconds to wait for another analysing process that gets no further."""
_LOOK_SECONDS = 0.1


def open_analysis(store_dir: Path, options: AnalysisOptions, progress: Progress | None = None) -> Analysis:
    """Bring the analysis up to date with the store, or wait for another process that is at it, and open it: with what
    had come when it was asked for, so that traffic that goes on keeps nobody waiting.

    Ask a running daemon to `flush` first: it waits for its analyst. `progress` is called with (flows done, flows in
    all) while there is something to do. What is still missing then, `Analysis.behind` tells. Raises StoreUnavailable.
    """
    mended = False
    until = newest(store_dir)
    while True:
        try:
            with Analyst.open(store_dir, options) as analyst:
                if analyst is not None:
                    analyst.catch_up(progress, until=until)
        except StoreUnavailable:
            # A damaged file was removed: once is worth another try.
            if mended or schema.exists(store_dir):
                raise
            mended = True
            continue
        if analyst is not None or not _others_end(store_dir, until, progress):
            return Analysis(store_dir, options)


def _others_end(store_dir: Path, until: int, progress: Progress | None) -> bool:
    """Wait while another process analyses; True when it ended before it was through with the flows up to `until`."""
    left = total = _left(store_dir, until)
    patience = time.monotonic() + PATIENCE
    while left != 0 and time.monotonic() < patience:
        if progress is not None and left is not None and total is not None:
            progress(total - left, total)
        if not is_locked(store_dir):
            return True
        time.sleep(_LOOK_SECONDS)
        before, left = left, _left(store_dir, until)
        total = max(total or 0, left or 0)
        if left != before:
            patience = time.monotonic() + PATIENCE
    return False


def _left(store_dir: Path, until: int) -> int | None:
    """Flows up to this number that are still to be analysed; None while the file is made or brought up to date."""
    try:
        return behind(store_dir, until)
    except StoreUnavailable:
        return None


class Analysis:
    """A read-only view of the store and its analysis; use as a context manager, in one thread."""

    def __init__(self, store_dir: Path, options: AnalysisOptions, run: str | None = None) -> None:
        """Opens what is there, without bringing it up to date; with `run` (its full id), of that run only, which has
        no sessions. Raises StoreUnavailable."""
        self._dir = store_dir
        self._options = options
        self._run = run
        self._db = scope.open_for_reading(store_dir, run)
        self._store = StoreReader(store_dir, run)
        self._opened: Contents | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()
        self._store.close()
        self._db.close()

    def calls(self, selection: Selection, *, session: str | None = None, conversation: str | None = None) -> list[Call]:
        """Model calls of the selected flows, oldest first; `limit` counts flows."""
        with self._reading():
            return loading.load_calls(self._db, self._where(selection, session, conversation))

    def call(self, ident: str) -> Call:
        """One call; of a flow with several, the newest that generated something."""
        with self._reading():
            return loading.find_call(self._db, ident)

    def calls_of(self, flow: str) -> list[Call]:
        """All calls of one flow, in order; empty for a flow that is no model call."""
        with self._reading():
            uuid = loading.find_flow(self._db, flow)
            return loading.load_calls(self._db, Where("flow = ?", [uuid]), "position")

    def facts(self, flows: Sequence[str]) -> dict[str, FlowFacts]:
        """What a table of flows shows of these (full ids); those of which nothing is known are left out."""
        with self._reading():
            return loading.load_facts(self._db, flows)

    def context(self, ident: str) -> Context:
        """What was in the context window. Raises NoModelCall also when the content was not kept."""
        with self._reading():
            return load_context(self._db, loading.find_call(self._db, ident))

    def open_call(self, ident: str) -> OpenedCall:
        """Read the call again from the stored bodies: its blocks, each with its tokens.

        Raises NoModelCall also when the content was not kept.
        """
        with self._reading():
            return self._contents.open(loading.find_call(self._db, ident))

    def conversations(
        self, selection: Selection, *, session: str | None = None, all_kinds: bool = False, limit: int | None = None
    ) -> list[ConversationSummary]:
        """Conversations with a call among the selected flows, or the newest `limit` of them, the newest last; side
        calls and sub-agents only with `all_kinds`."""
        with self._reading():
            return trees.list_conversations(self._db, self._where(selection, session), all_kinds, limit)

    def conversations_page(
        self, selection: Selection, offset: int, limit: int, *, session: str | None = None, all_kinds: bool = False
    ) -> tuple[list[ConversationSummary], int]:
        """`limit` of the same from `offset` on, the newest first; and how many there are in all."""
        with self._reading():
            idents = trees.listed(self._db, self._where(selection, session), all_kinds)
            return trees.summaries(self._db, idents[offset : offset + limit]), len(idents)

    def providers(self, selection: Selection, *, session: str | None = None) -> dict[str, set[str]]:
        """Who answered for each model, empty where its name is not known."""
        with self._reading():
            return reports.providers_by_model(self._db, self._where(selection, session))

    def conversation(self, ident: str) -> ConversationTree:
        """The conversation that a call belongs to (or that has this id), with all that came from it."""
        with self._reading():
            call = loading.find_call(self._db, ident)
            tree = trees.load_tree(self._db, call.conversation or "", self._title)
        if tree is None:
            raise NoModelCall(
                f"{call.id} belongs to no conversation: {call.note or 'its content was not kept'}",
                "`ccinspect flows show` shows what was kept of it",
            )
        return tree

    def cache(self, ident: str) -> CacheExplanation:
        """Why the cache hit or missed in this call; reads both bodies for the difference."""
        with self._reading():
            explanation = self._explanation(loading.find_call(self._db, ident))
            report = explanation.report
            if explanation.previous is None or report.changed_from is None:
                return explanation
            found = self._contents.changed(explanation.previous, explanation.call, report.blocks_shared)
        changed, diff = found or (None, None)
        return CacheExplanation(explanation.call, report, explanation.previous, diff or None, changed or None)

    def cache_of_conversation(self, ident: str) -> list[CacheExplanation]:
        """The same for each call of its conversation, without differences; oldest first."""
        with self._reading():
            call = loading.find_call(self._db, ident)
            calls = loading.load_calls(self._db, Where("conversation = ? AND readable", [call.conversation]))
            return [self._explanation(one) for one in calls]

    def report(self, by: str, selection: Selection, *, session: str | None = None) -> Report:
        """Where the tokens went: one of REPORTS. Rows are `ToolSpend` by tool and mcp-server, `HostSpend` by host,
        `Spend` by anything else. `count_tokens` is never spend."""
        with self._reading():
            where = self._where(selection, session)
            return reports.make_report(self._db, by, where, self._named() if by == "session" else [], selection)

    def unused(self, selection: Selection, *, session: str | None = None, conversation: str | None = None) -> Unused:
        """Tool definitions that were sent and never called, over the selected calls together."""
        with self._reading():
            return reports.unused_tools(self._db, self._where(selection, session, conversation))

    def limits(self, now: float) -> list[AccountState]:
        """The newest state of each account's limits as it stands at `now`, the latest seen first."""
        with self._reading():
            rows = self._db.execute(
                "SELECT account, provider, seen_at, state FROM limits "
                "WHERE EXISTS (SELECT 1 FROM flows WHERE uuid = limits.flow) ORDER BY seen_at DESC"
            ).fetchall()
        return [_account(now, *row) for row in rows]

    def sessions(self, *, archived: bool = False) -> list[NamedSession]:
        """Named sessions, oldest first, each with its spend; archived ones only if asked for."""
        with self._reading():
            return [self._with_spend(one) for one in self._named(archived=archived)]

    def session(self, name: str) -> NamedSession:
        """Raises SessionError when there is none of this name."""
        with self._reading():
            return self._with_spend(sessions.find(self._dir, name))

    def behind(self) -> int:
        """Flows that may be model calls, have ended, and are not analysed yet."""
        return behind(self._dir)

    def needs_reanalysis(self) -> int:
        """Flows whose rows were made by an older analyser: `reanalyse` makes them anew."""
        with self._reading():
            row = self._db.execute("SELECT count(*) FROM parties WHERE version < ?", (ANALYSER_VERSION,)).fetchone()
            return int(row[0])

    def _named(self, *, archived: bool = True) -> list[NamedSession]:
        return [] if self._run is not None else sessions.load(self._dir, archived=archived)

    @property
    def _contents(self) -> Contents:
        if self._opened is None:
            self._opened = Contents(self._db, self._store, self._options)
        return self._opened

    def _where(self, selection: Selection, session: str | None, conversation: str | None = None) -> Where:
        where = loading.selected(self._db, selection)
        if session is not None:
            belongs = sessions.calls_in(sessions.find(self._dir, session))
            where = where.also(belongs.clause, *belongs.values)
        if conversation is not None:
            call = loading.find_call(self._db, conversation)
            where = where.also("calls.conversation = ?", call.conversation)
        return where

    def _title(self, conversation: str) -> str | None:
        call = loading.load_by_id(self._db, [conversation]).get(conversation)
        return self._contents.title(call) if call else None

    def _explanation(self, call: Call) -> CacheExplanation:
        report = trees.load_cache_report(self._db, call) or CacheReport(Verdict.NOT_REPORTED)
        before = loading.load_by_id(self._db, [report.previous]) if report.previous else {}
        return CacheExplanation(call, report, before.get(report.previous or ""))

    def _with_spend(self, session: NamedSession) -> NamedSession:
        belongs = sessions.calls_in(session)
        spend = reports.spend_of(self._db, session.name, belongs)
        return NamedSession(
            session.name,
            session.started_at,
            session.ended_at,
            session.run,
            session.project,
            session.archived,
            spend,
        )

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """One consistent view for several statements; SQLite's errors as ours."""
        try:
            self._db.execute("BEGIN")
            try:
                yield
            finally:
                self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise StoreUnavailable(
                f"the analysis cannot be read: {error}", "try again; it can be made anew: ccinspect reanalyse"
            ) from error


def _account(now: float, key: str, provider: str, seen_at: float, text: str) -> AccountState:
    state = AccountLimits.from_json(json.loads(text))
    retry_at = state.retry_at if state.retry_at is not None and state.retry_at > now else None
    account = key.removeprefix(f"{provider}:")
    return AccountState(account, provider, seen_at, state.status, state.binding, retry_at, limits_at(state, now))


def start_session(
    store_dir: Path, name: str, now: float, *, run: str | None = None, project: str | None = None
) -> None:
    """Open a named session: from `now` on, calls (of this run, of this project, or all) belong to it.

    `run` is a run's id, its beginning, or its name. Any number may be open at once. Raises SessionError when there is
    one of this name.
    """
    sessions.start(store_dir, name, now, run, project)


def end_session(store_dir: Path, name: str, now: float) -> None:
    """Close it: later calls do not belong to it. Raises SessionError."""
    sessions.end(store_dir, name, now)


def archive_session(store_dir: Path, name: str, now: float) -> None:
    """End it if it is open, and leave it out of lists. Raises SessionError."""
    sessions.end(store_dir, name, now, archive=True)


def reanalyse(store_dir: Path, options: AnalysisOptions, since: float | None, progress: Progress | None = None) -> int:
    """Make the analysis of all flows (since then) anew; the result is how many. Only while no daemon runs: ask it else.

    Raises StoreUnavailable when another process is analysing.
    """
    with Analyst.open(store_dir, options) as analyst:
        if analyst is not None:
            return analyst.reanalyse(since, progress)
    if (store_dir / schema.LOCK).exists():
        raise StoreUnavailable("another process is analysing", "wait for it, or ask the daemon: ccinspect reanalyse")
    return 0


__all__ = [
    "REPORTS", "AccountState", "Analysis", "CacheExplanation", "Call", "Context", "ConversationSummary",
    "ConversationTree", "Counts", "FlowFacts", "HostSpend", "NamedSession", "OpenedCall", "Price", "Progress", "Report",
    "Spend", "ToolSpend", "TurnNode", "archive_session", "end_session", "open_analysis", "reanalyse", "start_session",
]  # fmt: skip
