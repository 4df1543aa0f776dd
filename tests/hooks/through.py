"""A request through a pipeline that has services."""

from __future__ import annotations

import asyncio

from ccinspect.pipeline.declaration import Hook, Stage
from ccinspect.pipeline.message import Facts, Outgoing
from ccinspect.pipeline.order import Step
from ccinspect.pipeline.overrides import NO_OVERRIDES, Overrides
from ccinspect.pipeline.pipeline import Pipeline
from ccinspect.pipeline.records import StageResult
from ccinspect.pipeline.services import Services
from tests.pipeline.running import FACTS


def through(
    pipeline: Pipeline, stage: Stage, outgoing: Outgoing, facts: Facts = FACTS, overrides: Overrides = NO_OVERRIDES
) -> StageResult:
    return asyncio.run(pipeline.run(stage, outgoing, facts, overrides))


def run_hook(
    hook: Hook,
    outgoing: Outgoing,
    *services: object,
    params: dict[str, object] | None = None,
    facts: Facts = FACTS,
    overrides: Overrides = NO_OVERRIDES,
) -> StageResult:
    """One built-in hook as configured, in its own stage."""
    stage: Stage = hook.stage or "inbound"
    given = hook.params.model_validate(params or {}) if hook.params else None
    pipeline = Pipeline({stage: [Step(hook.name, hook, given, hook.timeout or 30)]}, services=Services(*services))
    try:
        return through(pipeline, stage, outgoing, facts, overrides)
    finally:
        pipeline.close()
