"""Questions about captured model calls, for the command line and everyone else who reads.

    with open_analysis(store_dir, options) as analysis:
        for call in analysis.calls(Selection(since=...)): ...

An id is a flow's or a call's, and may be shortened; `FLOW#N` is the N-th call of a WebSocket. Everything raises
StoreUnavailable when the store cannot be read; what takes an id raises FlowNotFound, AmbiguousFlowId, and NoModelCall
for a flow that is none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from ccinspect.analyser.unused import Unused
from ccinspect.analysis.options import AnalysisOptions
from ccinspect.analysis.results import (
    AccountState,
    CacheExplanation,
    Call,
    Context,
    ConversationSummary,
    ConversationTree,
    FlowFacts,
    HostSpend,
    NamedSession,
    OpenedCall,
    Report,
    Spend,
    ToolSpend,
    TurnNode,
)
from ccinspect.store.selection import Selection

Progress = Callable[[int, int], None]
"""Called with (flows done, flows in all)."""

REPORTS = (
    "model", "provider", "agent", "project", "run", "session", "conversation", "tool", "mcp-server", "host", "day",
    "hour",
)  # fmt: skip
"""What `report` can group by."""


def open_analysis(store_dir: Path, options: AnalysisOptions, progress: Progress | None = None) -> Analysis:
    """Bring the analysis up to date with the store, unless the daemon's analyst is at it, and open it.

    Ask a running daemon to `flush` first: it waits for its analyst. Raises StoreUnavailable.
    """
    raise NotImplementedError


class Analysis:
    """A read-only view of the store and its analysis; use as a context manager, in one thread."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None: ...

    def calls(
        self, selection: Selection, *, session: str | None = None, conversation: str | None = None
    ) -> list[Call]:
        """Model calls of the selected flows, oldest first; `limit` counts flows."""
        raise NotImplementedError

    def call(self, ident: str) -> Call:
        """One call; of a flow with several, the newest that generated something."""
        raise NotImplementedError

    def calls_of(self, flow: str) -> list[Call]:
        """All calls of one flow, in order; empty for a flow that is no model call."""
        raise NotImplementedError

    def facts(self, flows: Sequence[str]) -> dict[str, FlowFacts]:
        """What a table of flows shows of these (full ids); those of which nothing is known are left out."""
        raise NotImplementedError

    def context(self, ident: str) -> Context:
        """What was in the context window. Raises NoModelCall also when the content was not kept."""
        raise NotImplementedError

    def open_call(self, ident: str) -> OpenedCall:
        """Read the call again from the stored bodies: its blocks, each with its tokens.

        Raises NoModelCall also when the content was not kept.
        """
        raise NotImplementedError

    def conversations(
        self, selection: Selection, *, session: str | None = None, all_kinds: bool = False
    ) -> list[ConversationSummary]:
        """Conversations with a call among the selected flows, the newest last; side calls and sub-agents only with
        `all_kinds`."""
        raise NotImplementedError

    def conversation(self, ident: str) -> ConversationTree:
        """The conversation that a call belongs to (or that has this id), with all that came from it."""
        raise NotImplementedError

    def cache(self, ident: str) -> CacheExplanation:
        """Why the cache hit or missed in this call; reads both bodies for the difference."""
        raise NotImplementedError

    def cache_of_conversation(self, ident: str) -> list[CacheExplanation]:
        """The same for each call of its conversation, without differences; oldest first."""
        raise NotImplementedError

    def report(self, by: str, selection: Selection, *, session: str | None = None) -> Report:
        """Where the tokens went: one of REPORTS. Rows are `ToolSpend` by tool and mcp-server, `HostSpend` by host,
        `Spend` by anything else. `count_tokens` is never spend."""
        raise NotImplementedError

    def unused(
        self, selection: Selection, *, session: str | None = None, conversation: str | None = None
    ) -> Unused:
        """Tool definitions that were sent and never called, over the selected calls together."""
        raise NotImplementedError

    def limits(self, now: float) -> list[AccountState]:
        """The newest state of each account's limits as it stands at `now`, the latest seen first."""
        raise NotImplementedError

    def sessions(self, *, archived: bool = False) -> list[NamedSession]:
        """Named sessions, oldest first, each with its spend; archived ones only if asked for."""
        raise NotImplementedError

    def session(self, name: str) -> NamedSession:
        """Raises SessionError when there is none of this name."""
        raise NotImplementedError

    def needs_reanalysis(self) -> int:
        """Flows whose rows were made by an older analyser: `reanalyse` makes them anew."""
        raise NotImplementedError


def start_session(store_dir: Path, name: str, now: float, *, run: str | None = None, project: str | None = None) -> None:
    """Open a named session: from `now` on, calls (of this run, of this project, or all) belong to it.

    Any number may be open at once. Raises SessionError when one of this name is open.
    """
    raise NotImplementedError


def end_session(store_dir: Path, name: str, now: float) -> None:
    """Close it: later calls do not belong to it. Raises SessionError."""
    raise NotImplementedError


def archive_session(store_dir: Path, name: str, now: float) -> None:
    """End it if it is open, and leave it out of lists. Raises SessionError."""
    raise NotImplementedError


def reanalyse(store_dir: Path, options: AnalysisOptions, since: float | None, progress: Progress | None = None) -> int:
    """Make the analysis of all flows (since then) anew; the result is how many. Only while no daemon runs: ask it else.

    Raises StoreUnavailable when another process is analysing.
    """
    raise NotImplementedError


__all__ = [
    "REPORTS", "AccountState", "Analysis", "CacheExplanation", "Call", "Context", "ConversationSummary",
    "ConversationTree", "FlowFacts", "HostSpend", "NamedSession", "OpenedCall", "Progress", "Report", "Spend",
    "ToolSpend", "TurnNode", "archive_session", "end_session", "open_analysis", "reanalyse", "start_session",
]  # fmt: skip
