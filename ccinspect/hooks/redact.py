"""The hook `redact`: keep in what must not leave, by the rules of `redact`. When it cannot look, nothing leaves."""

from __future__ import annotations

from ccinspect.pipeline.context import Context, Head
from ccinspect.pipeline.declaration import hook
from ccinspect.policy.secrets import MAX_SECONDS, Redactor
from ccinspect.wire.model import ErrorKind

_MOST_NOTED = 30


def _has_rules(head: Head) -> bool:
    redactor = head.services.find(Redactor)
    return redactor is not None and redactor.wants("upstream", head.facts)


@hook(
    reads=("body",),
    writes=("body",),
    guard=_has_rules,
    stage="outbound",
    fail_closed=True,
    # The search has a bound of its own, and says what it did not get through.
    timeout=2 * MAX_SECONDS,
)
def redact(ctx: Context) -> None:
    """Stop, mask or note what the rules of `redact` find in a body."""
    done = ctx.services.get(Redactor).apply(ctx.request, ctx.facts)
    if done.stopped is not None:
        ctx.refuse(ErrorKind.PERMISSION, f"ccinspect did not send this request: {done.stopped}")
    if done.findings or done.unsearched:
        record = done.as_record()
        ctx.notes["redact"] = record | {"findings": record["findings"][:_MOST_NOTED]}
