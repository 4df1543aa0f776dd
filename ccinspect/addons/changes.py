"""Changes requests on their way out and answers on their way back: rules, hooks, credentials, fallbacks.

A flow that nothing wants to change passes untouched and unread. One whose body is needed is read whole first; its
answer still streams, translated piece by piece where the client speaks another dialect than the upstream.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from mitmproxy import http

from ccinspect.addons.change import Change
from ccinspect.addons.outgoing import FactFinder
from ccinspect.addons.own_endpoints import OWN
from ccinspect.addons.plan import Plan
from ccinspect.auth.sentinel import find_sentinel
from ccinspect.pipeline.message import Headers

_CHANGE = "ccinspect.change"


class Changes:
    """Addon: stands before the inspector, which records what it did."""

    name = "ccinspect_changes"

    def __init__(self, facts: FactFinder, plan: Plan) -> None:
        self.facts = facts
        self.use(plan)

    def use(self, plan: Plan) -> None:
        """Change requests by this plan from now on; what has begun goes on with the old one."""
        self.plan = plan
        self._is_idle = plan.is_idle

    def requestheaders(self, captured: http.HTTPFlow) -> Awaitable[None] | None:
        if captured.response is not None or captured.is_replay or OWN in captured.metadata:
            return None
        sentinel = find_sentinel(Headers(captured.request.headers.fields), captured.request.path)
        if sentinel is None and self._is_idle and not self.plan.notifications.pending(None):
            return None
        change = Change(self.plan, self.facts.of(captured), captured, sentinel)
        if not change.is_wanted():
            return None
        change.exchange.attach(captured)
        captured.metadata[_CHANGE] = change
        if change.reads_body():
            change.exchange.reads_request = True
            return None
        return change.send()

    def request(self, captured: http.HTTPFlow) -> Awaitable[None] | None:
        change: Change | None = captured.metadata.get(_CHANGE)
        if change is None or not change.exchange.reads_request or captured.response is not None:
            return None
        return change.send()

    def responseheaders(self, captured: http.HTTPFlow) -> None:
        change: Change | None = captured.metadata.get(_CHANGE)
        if change is not None and not change.answered and captured.response is not None:
            change.take_head(captured.response)

    def response(self, captured: http.HTTPFlow) -> Awaitable[None] | None:
        change: Change | None = captured.metadata.pop(_CHANGE, None)
        if change is None:
            return None
        return change.finish()

    def error(self, captured: http.HTTPFlow) -> None:
        change: Change | None = captured.metadata.pop(_CHANGE, None)
        if change is not None:
            change.record()

    async def ccinspect_attempt_failed(self, captured: http.HTTPFlow) -> None:
        # The layer that brought the answer has to finish with it first.
        await asyncio.sleep(0)
        change: Change | None = captured.metadata.get(_CHANGE)
        if change is not None:
            await change.after_failure()
