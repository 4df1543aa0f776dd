"""Calls with their content, read again from the stored bodies: what analysis.db does not keep."""

from __future__ import annotations

import json
import sqlite3
from itertools import islice

from ccinspect.analyser.analyse import Analyser, Exchange
from ccinspect.analyser.answers import Answer
from ccinspect.analyser.composition import Basis, Composition, blocks_in_order
from ccinspect.analyser.differences import changed_block
from ccinspect.analyser.expansion import Expander
from ccinspect.analyser.tokens import TokenCounter
from ccinspect.analysis.analyst import look_up
from ccinspect.analysis.loading import find_flow
from ccinspect.analysis.memory import StoredCounts
from ccinspect.analysis.options import AnalysisOptions
from ccinspect.analysis.reading import FlowReader, Spoken
from ccinspect.analysis.results import Call, Context, OpenedCall
from ccinspect.errors import NoModelCall
from ccinspect.identity.declarative import Declarations
from ccinspect.identity.providers import Providers
from ccinspect.identity.settings import ProviderSettings
from ccinspect.store.query import StoreReader
from ccinspect.wire.model import Media, Message, Request, Response, Text, Thinking, Tool, ToolCall, ToolResult

TITLE = 200
"""Characters of the title of a conversation."""
_FACETS = {
    "category": "categories",
    "kind": "kinds",
    "source": "sources",
    "activity": "activities",
    "tool": "tools",
    "server": "servers",
    "file": "files",
}


def load_context(db: sqlite3.Connection, call: Call) -> Context:
    """What is kept of a context's composition. Raises NoModelCall when its content was not."""
    if not call.readable:
        raise not_kept(call)
    number, context, basis, visible, unattributed, coverage, answer, cached = db.execute(
        "SELECT number, context, context_basis, visible, unattributed, coverage, answer, cache_read FROM calls "
        "WHERE id = ?",
        (call.id,),
    ).fetchone()
    tables: dict[str, dict[str, int]] = {name: {} for name in (*_FACETS.values(), "definitions")}
    estimated: dict[str, int] = {}
    for facet, name, tokens, seen in db.execute(
        "SELECT facet, name, tokens, visible FROM context_parts WHERE id = ? ORDER BY tokens DESC", (call.id,)
    ):
        if facet == "category" and seen:
            estimated[name] = seen
        if tokens:
            tables[_FACETS[facet]][name] = tokens
    for name, tokens in db.execute(
        "SELECT names.name, tokens FROM tools JOIN names ON names.number = tools.tool "
        "WHERE tools.call = ? AND tokens > 0 ORDER BY tokens DESC",
        (number,),
    ):
        tables["definitions"][name] = tokens
    reported = basis == Basis.PROVIDER.value
    composition = Composition(
        total=context,
        basis=Basis(basis),
        visible=visible,
        provider=context if reported else None,
        cached=cached,
        unattributed=unattributed,
        coverage=coverage,
        **tables,
    )
    return Context(call, composition, estimated, Answer.from_json(json.loads(answer)) if answer else None)


class Contents:
    """Opens calls of one store. Nothing is written; counts that are not kept are made again."""

    def __init__(self, db: sqlite3.Connection, store: StoreReader, options: AnalysisOptions) -> None:
        settings = {name: ProviderSettings.model_validate(one) for name, one in options.providers.items()}
        self._db = db
        self._store = store
        self._declarations = Declarations(settings)
        self._reader = FlowReader(store, Providers(settings), self._declarations)
        self._counter = TokenCounter(StoredCounts(db, writable=False))
        self._expander = Expander(self._said_in)

    def close(self) -> None:
        self._declarations.close()

    def open(self, call: Call) -> OpenedCall:
        """Raises NoModelCall when the content was not kept, FlowNotFound when it is gone."""
        spoken = self._spoken(call)
        expanded = self._expander.expand(spoken.request)
        # Alone, without those before it: its parts do not depend on them.
        analyser = Analyser(counter=self._counter, expander=self._expander)
        found = analyser.analyse(Exchange(call.id, spoken.request, spoken.response, call.started_at, call.provider))
        return OpenedCall(
            call,
            expanded.request,
            spoken.response,
            found.parts,
            found.tokens,
            found.analysis.composition.basis,
            expanded.complete,
        )

    def title(self, call: Call) -> str | None:
        """The beginning of what the user said first; None when it was not kept or says nothing."""
        try:
            request = self._spoken(call).request
        except NoModelCall:
            return None
        return next((text for message in request.messages if (text := _words(message))), None)

    def changed(self, previous: Call, call: Call, at: int) -> tuple[str, str] | None:
        """(what block number `at` of two requests is, how it differs); None when one of them was not kept."""
        try:
            old, new = (self._expander.expand(self._spoken(one).request).request for one in (previous, call))
        except NoModelCall:
            return None
        return _describe(new, at) or _describe(old, at), changed_block(old, new, at)

    def _spoken(self, call: Call) -> Spoken:
        record = self._store.get(find_flow(self._db, call.flow))
        position = int(call.id.partition("#")[2] or 0)
        found = next((one for one in self._reader.read(record).calls if one.position == position), None)
        if found is None or not found.readable:
            raise not_kept(call)
        return found

    def _said_in(self, response_id: str) -> tuple[Request, Response] | None:
        return look_up(self._db, self._store, self._reader, response_id)


def not_kept(call: Call) -> NoModelCall:
    return NoModelCall(
        f"nothing is known of what was said in {call.id}: {call.note or 'its content was not kept'}",
        "`ccinspect flows show` shows what was kept of it",
    )


def _describe(request: Request, at: int) -> str:
    """What a block is, in words; empty when there is none."""
    item = next(islice(blocks_in_order(request), at, None), None)
    match item:
        case None:
            return ""
        case Tool():
            return f"tool definition {item.name}"
        case ToolCall():
            return f"tool call {item.name}"
        case ToolResult():
            return f"tool result {item.name or ''}".rstrip()
        case Thinking():
            return "thinking"
        case Media():
            return item.kind
    if any(item is block for block in request.system):
        return "system prompt"
    role = next((one.role for one in request.messages if any(item is block for block in one.blocks)), "")
    return f"{role} message".lstrip()


def _words(message: Message) -> str | None:
    """The user's own words in a message; reminders that agents put before them are none."""
    if message.role != "user":
        return None
    for block in message.blocks:
        if isinstance(block, Text) and (text := block.text.strip()) and not text.startswith("<"):
            return " ".join(text[: 4 * TITLE].split())[:TITLE]
    return None
