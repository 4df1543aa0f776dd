"""Holds model calls to their budgets: what earlier calls cost decides whether the next one may go."""

from __future__ import annotations

import asyncio
import datetime
import logging
from collections.abc import Awaitable, Callable

from mitmproxy import http

from ccinspect.addons.egress import POLICY
from ccinspect.addons.outgoing import FactFinder
from ccinspect.pipeline.message import Facts
from ccinspect.policy.budgets import Judgement, Ledger, Scope, Spent
from ccinspect.transform.answers import denied

logger = logging.getLogger("ccinspect.budgets")

# How long a call waits for the analysis of those before it. What is not known by then is not counted, so this is more
# than the analyst needs to start on a busy machine.
_SETTLE_SECONDS = 10.0


class Spending:
    """Addon: judges model calls of runs and days that have a budget; no other call waits for anything."""

    name = "ccinspect_spending"

    def __init__(
        self,
        facts: FactFinder,
        ledger: Ledger,
        settle: Callable[[float], Awaitable[object]],
        read: Callable[[Scope], Spent],
        tell: Callable[[str | None, str], None],
        ask: Callable[[str | None, str], Awaitable[bool | None]],
    ) -> None:
        """`settle` waits, so many seconds at most, until what has ended is analysed; `read` says what it came to;
        `tell` says a line to whoever started a run (None: nobody did), `ask` asks them; None: nobody answers."""
        self._tell = tell
        self._ask = ask
        self._questions: dict[tuple[Scope, str | None], asyncio.Task[bool]] = {}
        self.facts = facts
        self.ledger = ledger
        self._settle = settle
        self._read = read

    def requestheaders(self, captured: http.HTTPFlow) -> Awaitable[None] | None:
        if not self.ledger.active or captured.response is not None or captured.is_replay:
            return None
        facts = self.facts.of(captured)
        # A WebSocket may bring many calls; it is judged when it is opened.
        return self._judge(captured, facts) if facts.dialect is not None and facts.kind == "generate" else None

    async def _judge(self, captured: http.HTTPFlow, facts: Facts) -> None:
        now = datetime.datetime.now(datetime.UTC)
        scopes = self.ledger.scopes(facts, now, facts.run_name)
        if not scopes:
            return
        await self._settle(_SETTLE_SECONDS)
        for scope in scopes:
            self.ledger.restore(scope, await asyncio.to_thread(self._read, scope))
        judgement = self.ledger.judge(facts, now, facts.run_name)
        while judgement.on_exceed == "ask" and await self._is_agreed(judgement, facts.run):
            captured.metadata[POLICY] = {**judgement.as_record(), "kind": "agreed"}
            judgement = self.ledger.judge(facts, now, facts.run_name)
        if judgement.kind == "ok":
            return
        captured.metadata[POLICY] = judgement.as_record()
        if judgement.kind == "warn":
            logger.warning("%s", judgement.message)
            self._tell(facts.run, judgement.message)
            return
        if judgement.scope is not None and self.ledger.is_first_refusal(judgement.scope, facts.run):
            self._tell(facts.run, f"{judgement.message}; further model calls are refused")
        answer = denied(facts.dialect, 429, f"ccinspect: {judgement.message}")
        captured.response = http.Response.make(answer.status, answer.body, http.Headers(answer.headers.fields))

    async def _is_agreed(self, judgement: Judgement, run: str | None) -> bool:
        """Whether somebody agrees to spend the same again. Calls that come meanwhile wait for the same answer."""
        scope = judgement.scope
        if scope is None or self.ledger.is_declined(scope, run):
            return False
        question = self._questions.get((scope, run))
        if question is None:
            question = asyncio.create_task(self._question(scope, run, judgement.message))
            self._questions[scope, run] = question
            question.add_done_callback(lambda _: self._questions.pop((scope, run), None))
        # A client that hangs up must not take the question away from the others.
        return await asyncio.shield(question)

    async def _question(self, scope: Scope, run: str | None, message: str) -> bool:
        agreed = await self._ask(run, f"{message}. Spend the same again?")
        if agreed:
            logger.info("%s; it may be spent again", message)
            self.ledger.spend_again(scope)
        elif agreed is False:
            self.ledger.decline(scope, run)
        return bool(agreed)
