"""The analyst: brings `analysis.db` up to date with the store. Only one process at a time can: it holds the lock.

for each HTTP flow that has ended, in the order in which they began:
    read what was said -> analyse each call -> write its rows, one transaction a flow
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sqlite3
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from ccinspect.analyser.analyse import Analyser, Exchange, Result
from ccinspect.analyser.expansion import Expander
from ccinspect.analyser.limits import AccountLimits, merge_limits
from ccinspect.analyser.money import Prices
from ccinspect.analyser.tokens import TokenCounter
from ccinspect.analysis import memory, parties, pending, schema
from ccinspect.analysis.loading import Where
from ccinspect.analysis.observer import Observer, SeenCall, SeenFlow, Witness
from ccinspect.analysis.options import AnalysisOptions
from ccinspect.analysis.pricing import make_prices
from ccinspect.analysis.reading import FlowReader, FlowReading, Spoken
from ccinspect.analysis.reports import spend_of
from ccinspect.analysis.results import Spend
from ccinspect.analysis.rows import RowWriter, Sender
from ccinspect.analysis.time_limit import time_limit
from ccinspect.errors import FlowNotFound, StoreUnavailable
from ccinspect.identity.declarative import Declarations
from ccinspect.identity.providers import UNKNOWN, Providers
from ccinspect.identity.settings import ProviderSettings
from ccinspect.store import schema as store_schema
from ccinspect.store.query import StoreReader
from ccinspect.store.record import Record, part
from ccinspect.store.redaction import Redactor, load_key
from ccinspect.wire.model import Request, Response
from ccinspect.wire.ratelimits import parse_rate_limits

Progress = Callable[[int, int], None]
"""Called with (flows done, flows in all)."""

Guard = Callable[[], contextlib.AbstractContextManager[None]]

_COMMIT_SECONDS = 0.25
_COMMIT_FLOWS = 50


class Analyst:
    """Made by `open`; use as a context manager, in one thread."""

    def __init__(
        self,
        store_dir: Path,
        db: sqlite3.Connection,
        store: StoreReader,
        options: AnalysisOptions,
        *,
        careful: bool,
        guard: Guard,
        observer: Observer | None,
    ) -> None:
        """The caller holds the lock, and closes `db` and `store` in the end."""
        self._careful = careful
        self._witness = Witness(observer)
        self._guard = guard
        self._db = db
        self._store = store
        self._redactor = Redactor(load_key(store_dir))
        self._declarations = Declarations({})
        self._turns = memory.StoredTurns(self._db)
        self._counts = memory.StoredCounts(self._db)
        self._prefixes = memory.StoredPrefixes(self._db)
        self._rows = RowWriter(self._db, self._redactor.url)
        self._runs: dict[str, Record] = {}
        self._tries: tuple[Spoken, ...] = ()
        self._files = {
            path: _file_id(path) for path in (store_dir / schema.DATABASE, store_dir / store_schema.DATABASE)
        }
        self.reload(options)

    @classmethod
    @contextlib.contextmanager
    def open(
        cls,
        store_dir: Path,
        options: AnalysisOptions,
        *,
        careful: bool = False,
        guard: Guard = time_limit,
        observer: Observer | None = None,
    ) -> Iterator[Analyst | None]:
        """Lock and open; None when another process is the analyst, or when there is no store yet.

        `careful`: the last analyst died: note each flow before it is read, and skip the one that killed it. `guard` is
        entered for each flow, and may raise TimeoutError in it. `observer` is told of each flow. Raises
        StoreUnavailable; when that is because the file was damaged, it is gone now, and the next call makes it anew.
        """
        if not store_schema.exists(store_dir):
            yield None
            return
        with _locked(store_dir) as is_ours:
            if not is_ours:
                yield None
                return
            try:
                with (
                    contextlib.closing(schema.open_for_writing(store_dir)) as db,
                    StoreReader(store_dir) as store,
                    contextlib.closing(
                        cls(store_dir, db, store, options, careful=careful, guard=guard, observer=observer)
                    ) as analyst,
                ):
                    analyst.remove_gone()
                    yield analyst
            except sqlite3.Error as error:
                schema.remove_if_damaged(store_dir, error)
                raise store_schema.cannot_open(store_dir / schema.DATABASE, error) from error

    def close(self) -> None:
        """Leave the database tidy and small."""
        self._declarations.close()
        with contextlib.suppress(sqlite3.Error):
            memory.trim(self._db)
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def reload(self, options: AnalysisOptions) -> None:
        """Take other settings for what is analysed from now on."""
        settings = {name: ProviderSettings.model_validate(one) for name, one in options.providers.items()}
        self._declarations.close()
        self._providers = Providers(settings)
        self._declarations = Declarations(settings)
        self._reader = FlowReader(self._store, self._providers, self._declarations)
        self._analyser = self._new_analyser(make_prices(options.prices, settings))

    def is_current(self) -> bool:
        """False when somebody removed or replaced one of the files: what is written now is seen by nobody."""
        return all(_file_id(path) == known for path, known in self._files.items())

    def catch_up(
        self, progress: Progress | None = None, stop: Callable[[], bool] = lambda: False, until: int | None = None
    ) -> int:
        """Analyse all flows that have ended and are not analysed yet; the result is how many.

        `stop` is asked between flows. `until` (flows.id): nothing that came after that flow is waited for. Raises
        sqlite3.Error when the database cannot be written.
        """
        done = total = 0
        for batch in pending.batches(self._db):
            if stop() or (until is not None and batch[0].number > until):
                break
            if progress is not None and done + len(batch) > total:
                total = done + pending.count(self._db, batch)
            for number in self._analyse_all(batch, stop):
                if progress is not None:
                    progress(done + number, total)
            done += len(batch)
        self._reader.forget()
        return done

    def reanalyse(
        self, since: float | None, progress: Progress | None = None, stop: Callable[[], bool] = lambda: False
    ) -> int:
        """Make all rows (of flows since then) anew; the result is how many flows."""
        self._begin()
        pending.start_over(self._db, since)
        self._db.execute("COMMIT")
        self._forget()
        with self._witness.silence():
            return self.catch_up(progress, stop)

    def find_run(self, ident: str) -> Record | None:
        """The stored record of a run, as it is now."""
        row = self._db.execute("SELECT record FROM runs WHERE id = ?", (ident,)).fetchone()
        return json.loads(row[0]) if row is not None else None

    def spend(self, run: str) -> Spend:
        """What the analysed calls of a run added up to."""
        return spend_of(self._db, run, Where("calls.run = ?", [run]))

    def remove_gone(self) -> None:
        """Remove what belongs to flows that the store does not have any more."""
        self._begin()
        pending.remove_gone(self._db)
        self._db.execute("COMMIT")
        self._forget()

    def _new_analyser(self, prices: Prices) -> Analyser:
        return Analyser(
            index=self._turns,
            counter=TokenCounter(self._counts),
            prices=prices,
            prefixes=self._prefixes,
            expander=Expander(self._said_in),
        )

    def _begin(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def _forget(self) -> None:
        """The database was changed other than by adding to it, or a transaction was rolled back."""
        self._turns.forget()
        self._counts.forget()
        self._prefixes.forget()
        self._rows.forget()
        self._reader.forget()
        self._analyser = self._new_analyser(self._analyser.prices)

    def _analyse_all(self, flows: list[pending.Flow], stop: Callable[[], bool]) -> Iterator[int]:
        """Analyse a batch, many flows a transaction; yields how many are done after each."""
        self._begin()
        began, since = time.monotonic(), 0
        try:
            for number, flow in enumerate(flows, 1):
                self._analyse_one(flow)
                since += 1
                if since >= _COMMIT_FLOWS or time.monotonic() - began > _COMMIT_SECONDS or stop():
                    self._db.execute("COMMIT")
                    self._begin()
                    began, since = time.monotonic(), 0
                yield number
                if stop():
                    break
            self._db.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
            self._forget()
            raise

    def _analyse_one(self, flow: pending.Flow) -> None:
        pending.mark(self._db, flow)
        if flow.state == "started":
            return
        killed = pending.was_attempted(self._db, flow)
        if self._careful and not killed:
            pending.attempt(self._db, flow)
            self._db.execute("COMMIT")
            self._begin()
        self._db.execute("SAVEPOINT flow")
        self._understand(flow, _KILLER if killed else None)
        self._db.execute("RELEASE flow")
        pending.done(self._db, flow)
        self._witness.tell()

    def _understand(self, flow: pending.Flow, refuse: str | None) -> None:
        """Write the rows of one flow, or why there are none: one that fails must not keep the others from being
        analysed. Raises what is no fault of the flow."""
        record: Record | None = None
        try:
            record = self._store.get(flow.uuid)
            with self._guard():
                self._flow(record, refuse)
        except FlowNotFound:
            # Removed a moment ago.
            self._undo()
        except Exception as error:
            why = _fault_of_flow(error)
            if why is None:
                raise
            self._undo()
            self._pass_over(flow, record, why)

    def _pass_over(self, flow: pending.Flow, record: Record | None, why: str) -> None:
        """Keep what can be told without its content; or else only that it was looked at."""
        try:
            if record is not None:
                self._flow(record, why)
                return
        except Exception as error:
            if _fault_of_flow(error) is None:
                raise
            self._undo()
        self._rows.party(flow.uuid, None, None)

    def _undo(self) -> None:
        self._witness.forget()
        if not self._db.in_transaction:
            # SQLite had no memory left and took the whole transaction back: nothing can be trusted to work here now.
            raise MemoryError
        self._db.execute("ROLLBACK TO flow")
        self._forget()

    def _flow(self, record: Record, refuse: str | None) -> None:
        """Write the rows of one flow; with `refuse`, only its metadata."""
        if refuse is not None:
            record = _without_content(record)
        reading = self._reader.read(record)
        run = self._run(record.get("run"))
        agent = parties.agent_of(record, run)
        match = reading.match
        self._rows.party(record["id"], match.provider if match else None, agent)
        status = part(record, "response").get("status_code")
        sender = Sender(
            record["id"],
            match.provider if match else UNKNOWN,
            agent,
            parties.account_of(reading.request_headers, reading.response_headers, self._redactor),
            status if isinstance(status, int) else None,
            parties.labels_of(record, run),
        )
        seen = SeenFlow(record, sender, reading.request_headers, run)
        if not reading.calls or match is None:
            self._witness.saw(seen)
            return
        for spoken in reading.calls:
            self._call(replace(spoken, note=refuse) if refuse else spoken, seen, reading)
        self._limits(record, reading, sender)

    def _call(self, spoken: Spoken, seen: SeenFlow, reading: FlowReading) -> None:
        sender = seen.sender
        ident = f"{sender.flow}#{spoken.position}" if spoken.position else sender.flow
        if not spoken.readable:
            self._rows.call(ident, spoken, sender, None)
            self._witness.saw(SeenCall(ident, seen, spoken, None))
            return
        result = self._analyse(ident, spoken, seen, reading)
        number = self._rows.call(ident, spoken, sender, result)
        self._turns.add(number, result.turn)
        self._prefixes.settle(number)
        self._witness.saw(SeenCall(ident, seen, spoken, result.analysis))

    def _analyse(self, ident: str, spoken: Spoken, seen: SeenFlow, reading: FlowReading) -> Result:
        sender = seen.sender
        self._tries = reading.calls
        exchange = Exchange(
            ident,
            spoken.request,
            spoken.response,
            spoken.started_at,
            None if sender.provider == UNKNOWN else sender.provider,
            headers_for_sessions(seen.record, sender.labels.said_session),
            sender.labels.run,
        )
        return self._analyser.analyse(exchange)

    def _limits(self, record: Record, reading: FlowReading, sender: Sender) -> None:
        told = parse_rate_limits(
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in reading.response_headers
        )
        if told is None:
            return
        account = f"{sender.provider}:{sender.account or sender.labels.host or ''}"
        row = self._db.execute("SELECT state FROM limits WHERE account = ?", (account,)).fetchone()
        state = AccountLimits.from_json(json.loads(row[0])) if row else None
        at = part(record, "response").get("timestamp_start") or part(record, "timing").get("ended_at") or 0.0
        state = merge_limits(state, told, float(at))
        self._db.execute(
            "INSERT OR REPLACE INTO limits VALUES (?, ?, ?, ?, ?)",
            (account, sender.provider, record["id"], state.seen_at, json.dumps(state.to_json())),
        )

    def _run(self, ident: object) -> Record | None:
        if not isinstance(ident, str):
            return None
        if ident not in self._runs:
            row = self._db.execute("SELECT record FROM runs WHERE id = ?", (ident,)).fetchone()
            if row is None:
                return None
            self._runs[ident] = json.loads(row[0])
        return self._runs[ident]

    def _said_in(self, response_id: str) -> tuple[Request, Response] | None:
        """The call that got this response: of the flow at hand, or read again from the store."""
        for spoken in self._tries:
            if spoken.response is not None and spoken.response.id == response_id:
                return spoken.request, spoken.response
        return look_up(self._db, self._store, self._reader, response_id)


_KILLER = "reading it ended the analyst"


def _fault_of_flow(error: Exception) -> str | None:
    """Why a flow cannot be analysed, for a person; None when the error says nothing about the flow."""
    if isinstance(error, MemoryError | RecursionError | TimeoutError):
        return f"reading it took too much ({type(error).__name__})"
    if isinstance(error, StoreUnavailable):
        return None if isinstance(error.__cause__, sqlite3.Error) else f"its content cannot be read: {error.message}"
    if isinstance(error, sqlite3.Error):
        return None
    at = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(at.filename).name}:{at.lineno}"
    return f"reading it failed, which is a fault of ccinspect ({type(error).__name__} at {where})"


def _file_id(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


@contextlib.contextmanager
def _locked(store_dir: Path) -> Iterator[bool]:
    """Hold the analyst's lock in the block; False when another process has it. Raises StoreUnavailable."""
    path = store_dir / schema.LOCK
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise store_schema.cannot_open(path, error) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(lock)


def is_locked(store_dir: Path) -> bool:
    """Whether some process is the analyst at the moment."""
    with _locked(store_dir) as is_ours:
        return not is_ours


def look_up(
    db: sqlite3.Connection, store: StoreReader, reader: FlowReader, response_id: str
) -> tuple[Request, Response] | None:
    """The newest analysed call that was answered with this response, read again."""
    row = db.execute(
        "SELECT flow, position FROM calls WHERE response_id = ? ORDER BY number DESC LIMIT 1", (response_id,)
    ).fetchone()
    if row is None:
        return None
    try:
        calls = reader.read(store.get(row[0])).calls
    except (FlowNotFound, StoreUnavailable):
        return None
    found = next((spoken for spoken in calls if spoken.position == row[1]), None)
    return (found.request, found.response) if found is not None and found.response is not None else None


def headers_for_sessions(record: Record, said_session: str | None) -> dict[str, str]:
    """The client's headers by lower-case name, the first value of each."""
    headers: dict[str, str] = {}
    for name, value in parties.client_headers(record):
        headers.setdefault(name.decode("latin-1").lower(), value.decode("utf-8", "replace"))
    return headers | ({"x-ccinspect-session": said_session} if said_session else {})


def _without_content(record: Record) -> Record:
    bare = {side: {**part(record, side), "contentState": "lost"} for side in ("request", "response")}
    return {**record, **{side: block for side, block in bare.items() if record.get(side)}}
