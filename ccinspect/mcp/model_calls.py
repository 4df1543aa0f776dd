"""context_breakdown, explain_cache, conversations, usage_report, limits, list_models: what model calls were made of."""

from __future__ import annotations

import time
from typing import Any, Literal

from pydantic import Field

from ccinspect.analysis.results import (
    CacheExplanation,
    Call,
    ConversationSummary,
    ConversationTree,
    HostSpend,
    Spend,
    ToolSpend,
)
from ccinspect.mcp.answers import Answer, JsonObject, fitting, heaviest, known, moment, page, plain, short
from ccinspect.mcp.captured import Captured
from ccinspect.mcp.flow_content import Flow
from ccinspect.mcp.session_span import SESSION, narrowed
from ccinspect.mcp.tool import Arguments, Tool
from ccinspect.policy.unreadable import masked
from ccinspect.store.selection import Selection, parse_time

_ENTRIES = 12
_DIFF = 1_500


class Paged(Arguments):
    offset: int = Field(0, ge=0, description="From `next` of the answer before.")
    limit: int = Field(20, ge=1, le=100, description="Rows in one answer.")


class Span(Paged):
    since: str | None = Field(None, description="An age (45m, 1h, 7d), `today`, or a date: 2026-01-31T12:00.")
    until: str | None = Field(None, description="The same.")
    run: str | None = Field(None, description="A run's id or name, or `last`.")
    host: str | None = Field(None, description="A host and its subdomains, or a pattern with *.")
    session: str | None = Field(None, description=SESSION)

    def selection(self, captured: Captured) -> Selection:
        """Raises BadSelection, SessionError."""
        chosen = Selection(
            since=None if self.since is None else parse_time(self.since),
            until=None if self.until is None else parse_time(self.until),
            run=self.run,
            host=self.host,
        )
        return narrowed(captured, chosen, self.session)


class ContextBreakdown(Flow):
    flow: str = Field("last", description="A flow's id, or the beginning of it; `last` is the newest model call.")


def context_breakdown(captured: Captured, asked: ContextBreakdown) -> Answer:
    """What one model call cost, and why: tokens in and out, price, and its context window by category, tool, MCP
    server, file and source. `basis` says who counted: the provider, or we (estimated).

    What the prompt cache did, and why it missed, is told by explain_cache.
    """
    with captured.analysis() as analysis:
        if asked.flow == "last":
            found = [call for call in analysis.calls(Selection(limit=200)) if call.kind == "generate"]
            context = analysis.context(found[-1].id if found else asked.flow)
        else:
            context = analysis.context(asked.flow)
        cache = analysis.cache(context.call.id).report
    made = context.composition
    return Answer(
        {
            "call": _call(context.call),
            "context": known(
                tokens=made.total,
                basis=str(made.basis),
                cached=made.cached,
                unattributed=made.unattributed or None,
                categories=heaviest(made.categories, _ENTRIES),
                tools=heaviest(made.tools, _ENTRIES) or None,
                definitions=heaviest(made.definitions, _ENTRIES) or None,
                mcp_servers=heaviest(made.servers, _ENTRIES) or None,
                files=heaviest(made.files, _ENTRIES) or None,
                sources=heaviest(made.sources, _ENTRIES) or None,
            ),
            "cache": known(verdict=str(cache.verdict), missed=cache.missed or None, extra_dollars=plain(cache.cost)),
        }
    )


class ExplainCache(Flow):
    conversation: bool = Field(False, description="All calls of its conversation, a row each.")
    offset: int = Field(0, ge=0, description="From `next` of the answer before.")
    limit: int = Field(30, ge=1, le=100, description="Rows in one answer.")


def explain_cache(captured: Captured, asked: ExplainCache) -> Answer:
    """Why the prompt cache hit or missed in a model call: the verdict, what it cost, and the block that changed."""
    with captured.analysis() as analysis:
        if asked.conversation:
            found = analysis.cache_of_conversation(asked.flow)

            return page("calls", found, asked.offset, asked.limit, _explained)
        explained = analysis.cache(asked.flow)
    report = plain(explained.report)
    content = {"call": _call(explained.call), "cache": report}
    if explained.changed:
        content["changed"] = explained.changed
    if explained.diff:
        content["difference"] = short(masked(explained.diff), _DIFF)
    return Answer(content, truncated=bool(explained.diff and len(explained.diff) > _DIFF))


def _explained(each: CacheExplanation) -> JsonObject:
    report = plain(each.report)
    left_out = {"markers": None, "previous": None}
    return known(call=each.call.id[:13], turn=each.call.turn, **(report | left_out))


class Conversations(Span):
    flow: str | None = Field(None, description="A flow of a conversation: shows that one, turn by turn.")
    all_kinds: bool = Field(False, description="Also sub-agents and side calls.")


def conversations(captured: Captured, asked: Conversations) -> Answer:
    """Conversations with models, the newest first: turns, context, cost. With `flow`: its turns, retries, branches."""
    with captured.analysis() as analysis:
        if asked.flow is not None:
            tree = analysis.conversation(asked.flow)
            answer = page("turns", _turns(tree, 0), asked.offset, asked.limit, lambda turn: turn)
            title = None if tree.title is None else masked(short(tree.title, 200))
            head = known(conversation=_summary(tree.summary), title=title)
            return Answer(head | answer.content, answer.total, answer.truncated, answer.next)
        found, total = analysis.conversations_page(
            asked.selection(captured), asked.offset, asked.limit, session=asked.session, all_kinds=asked.all_kinds
        )
    chosen = fitting([_summary(one) for one in found])
    end = asked.offset + len(chosen)
    return Answer({"conversations": chosen}, total, end < total, {"offset": end} if end < total else None)


_BY = Literal["model", "provider", "agent", "project", "run", "day", "hour", "session", "tool", "mcp-server", "host"]


class UsageReport(Span):
    by: _BY = Field("model", description="What the rows are.")


def usage_report(captured: Captured, asked: UsageReport) -> Answer:
    """Where tokens and money went, most spent first: by model, project, run, day, tool, MCP server, ...; by `host`: who
    is phoned, all traffic."""
    with captured.analysis() as analysis:
        report = analysis.report(asked.by, asked.selection(captured), session=asked.session)
    answer = page("rows", report.rows, asked.offset, asked.limit, _spent)
    return Answer(
        {"by": report.by} | answer.content | {"all": _spent(report.total)}, answer.total, answer.truncated, answer.next
    )


class ListModels(Span):
    pass


def list_models(captured: Captured, asked: ListModels) -> Answer:
    """The models that were called, each with its provider, calls and cost; most spent first."""
    with captured.analysis() as analysis:
        selection = asked.selection(captured)
        providers = analysis.providers(selection, session=asked.session)
        rows = analysis.report("model", selection, session=asked.session).rows

    def line(row: Spend) -> JsonObject:
        return known(model=row.key, providers=sorted(providers.get(row.key, set())), calls=row.calls) | known(
            dollars=plain(row.dollars), newest=moment(row.last_at)
        )

    return page("models", rows, asked.offset, asked.limit, line)


def limits(captured: Captured, asked: Paged) -> Answer:
    """The newest state of each account's rate limits and quotas, as the providers told it."""
    now = time.time()
    with captured.analysis() as analysis:
        accounts = analysis.limits(now)
    return page("accounts", accounts, asked.offset, asked.limit, lambda account: _account(account, now))


def _account(account: Any, now: float) -> JsonObject:
    made: JsonObject = plain(account)
    made["seen_at"] = moment(account.seen_at)
    wait = None if account.retry_at is None else round(account.retry_at - now)
    made["limits"] = [
        known(**(plain(limit) | {"seen_at": None, "resets_at": moment(limit.resets_at)})) for limit in account.limits
    ]
    return known(**(made | {"retry_at": None}), wait_seconds=wait)


def _call(call: Call) -> JsonObject:
    counts = call.counts
    return known(
        id=call.id,
        at=moment(call.started_at),
        provider=call.provider,
        model=call.model,
        agent=call.agent,
        purpose=call.purpose,
        turn=call.turn or None,
        status=call.status,
        stop_reason=call.stop_reason,
        error=call.error_kind,
        seconds=plain(call.duration),
        tokens=known(
            basis=str(counts.basis),
            new=counts.input,
            cache_read=counts.cache_read,
            cache_write=counts.cache_write,
            output=counts.output,
            reasoning=counts.reasoning,
        ),
        dollars=plain(call.price.dollars),
        saved_by_cache=plain(call.price.saved),
        price_source=call.price.source,
        note=call.note,
    )


def _summary(one: ConversationSummary) -> JsonObject:
    return known(
        id=one.id[:13],
        started=moment(one.started_at),
        newest=moment(one.ended_at),
        relation=None if one.relation == "root" else one.relation,
        agent=one.agent,
        models=list(one.models),
        calls=one.calls,
        turns=one.turns,
        context_last=one.context_last,
        context_peak=one.context_peak,
        cache_hit_rate=plain(one.counts.cache_hit_rate),
        output=one.counts.output,
        basis=str(one.counts.basis),
        dollars=plain(one.dollars),
        unpriced=one.unpriced or None,
        errors=one.errors or None,
        children=one.children or None,
        project=one.project,
    )


def _turns(tree: ConversationTree, depth: int) -> list[JsonObject]:
    """All calls of a conversation and of what came from it, in the order of a tree that is read from the top."""
    rows: list[JsonObject] = []
    for node in tree.turns:
        for call in (node.call, *node.retries):
            rows.append(
                known(
                    call=call.id[:13],
                    depth=depth or None,
                    turn=call.turn,
                    relation=None if call.relation in ("root", "continuation") else call.relation,
                    purpose=call.purpose,
                    model=call.model,
                    context=call.counts.context,
                    output=call.counts.output,
                    dollars=plain(call.price.dollars),
                    cache=str(node.cache.verdict) if node.cache is not None and call is node.call else None,
                    error=call.error_kind,
                )
            )
        for child in node.children:
            rows += _turns(child, depth + 1)
    return rows


def _spent(row: Spend | ToolSpend | HostSpend) -> JsonObject:
    made: JsonObject = {"key": "(none)"} | plain(row)
    for name in ("first_at", "last_at"):
        if name in made:
            made[name] = moment(made[name])
    return {name: value for name, value in made.items() if value != 0 or name in ("dollars", "calls")}


TOOLS = (
    Tool(context_breakdown, ContextBreakdown),
    Tool(explain_cache, ExplainCache),
    Tool(conversations, Conversations),
    Tool(usage_report, UsageReport),
    Tool(list_models, ListModels),
    Tool(limits, Paged),
)
