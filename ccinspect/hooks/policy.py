"""The hook `policy`: judge a request by the rules of egress once hooks and routes have decided where it goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ccinspect.pipeline.context import Context, Head
from ccinspect.pipeline.declaration import hook
from ccinspect.pipeline.message import Facts
from ccinspect.policy.egress import Egress
from ccinspect.wire.model import ErrorKind


@dataclass(frozen=True, slots=True)
class EgressRules:
    """Where the rules of a flow are found: those of the configuration, and its run's own."""

    of: Callable[[Facts], Egress]


def _has_rules(head: Head) -> bool:
    rules = head.services.find(EgressRules)
    return rules is not None and rules.of(head.facts).active


@hook(reads=("url", "method"), guard=_has_rules, stage="outbound", inline=True, fail_closed=True)
def policy(ctx: Context) -> None:
    """Refuse a request whose destination the rules of `policy` do not allow."""
    egress = ctx.services.get(EgressRules).of(ctx.facts)
    request = ctx.request
    verdict = egress.decide(request.host, request.port, request.path, request.method, ctx.facts)
    if not verdict.allowed:
        ctx.notes["policy"] = verdict.as_record()
        ctx.refuse(ErrorKind.PERMISSION, verdict.reason, status=403)
