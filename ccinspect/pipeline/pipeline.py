"""The hooks of both stages, loaded and ordered, and the way of one request through a stage."""

from __future__ import annotations

from collections.abc import Sequence

from ccinspect.pipeline.context import Head, State
from ccinspect.pipeline.declaration import STAGES, Stage
from ccinspect.pipeline.hooks_loop import HooksLoop
from ccinspect.pipeline.loading import Library, steps_of
from ccinspect.pipeline.message import Facts, Outgoing
from ccinspect.pipeline.order import Plan, Step, make_plan
from ccinspect.pipeline.overrides import NO_OVERRIDES, Overrides
from ccinspect.pipeline.records import HookRecord, StageResult
from ccinspect.pipeline.running import StageRun, wanted
from ccinspect.pipeline.services import NO_SERVICES, Services
from ccinspect.pipeline.settings import HooksConfig
from ccinspect.pipeline.workers import Workers


class Pipeline:
    """Used on one event loop at a time."""

    def __init__(self, steps: dict[Stage, Sequence[Step]], threads: int = 16, services: Services = NO_SERVICES) -> None:
        """Raises HookError when hooks wait for each other."""
        self.plans: dict[Stage, Plan] = {stage: make_plan(stage, steps.get(stage, ())) for stage in STAGES}
        self.names = {step.name for plan in self.plans.values() for step in plan.steps}
        self.names |= {name.partition("#")[0] for name in self.names}
        self._services = services
        self._workers = Workers(threads)
        self._loop = HooksLoop()

    @classmethod
    def load(cls, config: HooksConfig, library: Library, services: Services = NO_SERVICES) -> Pipeline:
        """Find and order the configured hooks. Raises HookError."""
        steps: dict[Stage, Sequence[Step]] = {
            stage: steps_of(stage, getattr(config, stage), library, config.timeout) for stage in STAGES
        }
        return cls(steps, config.threads, services)

    def needs_body(
        self, facts: Facts, outgoing: Outgoing, overrides: Overrides = NO_OVERRIDES, stages: Sequence[Stage] = STAGES
    ) -> bool:
        """Whether a hook that may run needs the body; decided by what is known before it was read. Never raises."""
        for stage in stages:
            plan = self.plans[stage]
            if plan.steps:
                state = State(stage, outgoing, facts, self._services)
                if any(_needs_body(step, state, overrides) for step in plan.steps):
                    return True
        return False

    async def run(
        self,
        stage: Stage,
        outgoing: Outgoing,
        facts: Facts,
        overrides: Overrides = NO_OVERRIDES,
        records: list[HookRecord] | None = None,
    ) -> StageResult:
        """Send a request through a stage. `outgoing` itself is not changed.

        Raises CredentialsError, and nothing else: the request must not go on without its credentials. `records` is
        filled as hooks end, so that it says who ran also then.
        """
        records = [] if records is None else records
        unknown = overrides.unknown(self.names) if overrides.wanted else []
        plan = self.plans[stage]
        if not plan.steps:
            return StageResult(outgoing, facts.session, records, unknown=unknown)
        state = State(stage, outgoing, facts, self._services)
        run = StageRun(plan, state, overrides, records, self._workers, self._loop)
        refusal = await run.go()
        changed = state.differs_from(outgoing)
        left = state.outgoing() if changed else outgoing
        return StageResult(left, state.session, records, refusal, state.notes, unknown, changed)

    def close(self) -> None:
        """Let the threads end. A hook that still runs keeps its own until it is done."""
        self._workers.close()
        self._loop.close()


def _needs_body(step: Step, state: State, overrides: Overrides) -> bool:
    """Errors of guards are told when the hook's turn comes."""
    hook = step.hook
    said = wanted(step, overrides)
    if hook.needs_body is False or said is False:
        return False
    try:
        if not said and hook.guard is not None and not hook.guard(Head(state, step.params)):
            return False
        return bool(hook.needs_body(Head(state, step.params))) if callable(hook.needs_body) else True
    except (Exception, SystemExit):
        return False
