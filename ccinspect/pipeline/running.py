"""One request's way through the hooks of a stage: each as soon as those before it have ended, and as many at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from ccinspect.errors import CredentialsError
from ccinspect.pipeline.changes import Changes, changes_of
from ccinspect.pipeline.context import Context, Head, Refusal, State
from ccinspect.pipeline.hooks_loop import HooksLoop
from ccinspect.pipeline.order import Plan, Step
from ccinspect.pipeline.overrides import Overrides
from ccinspect.pipeline.records import HookRecord, HookState, describe_error
from ccinspect.pipeline.workers import NoThread, Outcome, TimedOut, Workers
from ccinspect.wire.model import ErrorKind


def wanted(step: Step, overrides: Overrides) -> bool | None:
    """What a request says of a hook; `name#2` also goes by `name`. Hooks that keep something in are not skipped."""
    if not overrides.wanted:
        return None
    said = overrides.wanted.get(step.name)
    if said is None:
        said = overrides.wanted.get(step.name.partition("#")[0])
    return None if said is False and step.hook.fail_closed else said


class StageRun:
    """Runs once. `state` is the request as far as it has come."""

    def __init__(
        self,
        plan: Plan,
        state: State,
        overrides: Overrides,
        records: list[HookRecord],
        workers: Workers,
        loop: HooksLoop,
    ) -> None:
        self.plan = plan
        self.state = state
        self.overrides = overrides
        self.records = records
        self.workers = workers
        self.loop = loop
        self.refusal: Refusal | None = None
        self.ended = [False] * len(plan.steps)
        self.running: dict[asyncio.Future[Outcome], tuple[int, Context, float]] = {}

    async def go(self) -> Refusal | None:
        """Raises CredentialsError when a hook does."""
        waiting = list(range(len(self.plan.steps)))
        try:
            while waiting or self.running:
                waiting = self._start(waiting)
                if self.refusal is not None:
                    return self._stop(waiting)
                if self.running:
                    done, _ = await asyncio.wait(self.running, return_when=asyncio.FIRST_COMPLETED)
                    for future in sorted(done, key=lambda each: self.running[each][0]):
                        self._settle(future)
        finally:
            for future in self.running:
                future.cancel()
        return self.refusal

    def _start(self, waiting: list[int]) -> list[int]:
        """Start what can be started. In one pass, since steps are in an order in which they can run."""
        left = []
        for index in waiting:
            if self.refusal is None and all(self.ended[first] for first in self.plan.before[index]):
                self._begin(index)
            else:
                left.append(index)
        return left

    def _stop(self, waiting: list[int]) -> Refusal | None:
        for index in sorted([*waiting, *(index for index, _, _ in self.running.values())]):
            self._record(index, "skipped", 0.0, f"{self.refusal.hook if self.refusal else ''} refused the request")
        return self.refusal

    def _begin(self, index: int) -> None:
        step, hook = self.plan.steps[index], self.plan.steps[index].hook
        started = time.perf_counter()
        said = wanted(step, self.overrides)
        if said is False:
            return self._record(index, "skipped", started, "the request asked for that")
        try:
            if not said and hook.guard is not None and not hook.guard(Head(self.state, step.params)):
                return self._record(index, "skipped", started, None)
            needs_body = hook.needs_body
            if callable(needs_body):
                needs_body = bool(needs_body(Head(self.state, step.params)))
        except (Exception, SystemExit) as error:
            told = describe_error(error, self.state.fields)
            return self._failed(index, "failed", started, f"its guard failed: {told}")
        if needs_body and self.state.body is None:
            return self._record(index, "skipped", started, "the body was not read")
        context = Context(self.state)
        if hook.inline and not hook.is_async:
            return self._finish(index, context, started, _called(step, context))
        try:
            future = self._submit(step, context)
        except NoThread as error:
            return self._failed(index, "skipped", started, str(error))
        except RuntimeError as error:
            # The system has no thread left.
            return self._failed(index, "failed", started, describe_error(error, self.state.fields))
        self.running[future] = (index, context, started)
        if future.done():
            self._settle(future)
        return None

    def _submit(self, step: Step, context: Context) -> asyncio.Future[Outcome]:
        if not step.hook.is_async:
            return self.workers.run(_work(step, context), step.timeout)
        if step.hook.inline:
            # Eager: one that does not wait for anything is done at once, and costs no turn of the loop.
            return asyncio.Task(_awaited_here(step, context), loop=asyncio.get_running_loop(), eager_start=True)
        return self.loop.run(_coroutine(step, context), step.timeout)

    def _settle(self, future: asyncio.Future[Outcome]) -> None:
        index, context, started = self.running.pop(future)
        self._finish(index, context, started, future.result())

    def _finish(self, index: int, context: Context, started: float, outcome: Outcome) -> None:
        changes, error = outcome
        step = self.plan.steps[index]
        if error is None:
            try:
                changes.apply(self.state, context.start[0], step.hook.writes)
            except Exception as failure:
                error = failure
        if error is None:
            return self._record(index, "ran", started, changes.remark, changes)
        if isinstance(error, CredentialsError):
            self._record(index, "failed", started, error.message)
            raise error
        if isinstance(error, Refusal):
            error.hook = step.name
            self.refusal = self.refusal or error
            return self._record(index, "refused", started, error.message[:300])
        if isinstance(error, NoThread):
            return self._failed(index, "skipped", started, str(error))
        if isinstance(error, TimedOut):
            return self._failed(index, "timeout", started, f"it took more than {step.timeout:g} s")
        return self._failed(index, "failed", started, describe_error(error, self.state.fields))

    def _failed(self, index: int, state: HookState, started: float, error: str) -> None:
        self._record(index, state, started, error)
        step = self.plan.steps[index]
        if step.hook.fail_closed and self.refusal is None:
            self.refusal = Refusal(
                ErrorKind.SERVER, f"ccinspect did not send this request: its hook {step.name} could not do its work"
            )
            self.refusal.hook = step.name

    def _record(
        self, index: int, state: HookState, started: float, error: str | None, changes: Changes | None = None
    ) -> None:
        self.ended[index] = True
        record = HookRecord(self.plan.steps[index].name, self.plan.stage, state, error=error)
        if started:
            record.ms = (time.perf_counter() - started) * 1e3
        if changes is not None:
            record.changed, record.dropped = changes.changed, changes.dropped
        self.records.append(record)


def _called(step: Step, context: Context) -> Outcome:
    """Run a plain function here and now."""
    try:
        return _work(step, context)(), None
    except KeyboardInterrupt:
        raise
    # Whatever a hook raises, `SystemExit` too.
    except BaseException as error:
        return None, error


def _work(step: Step, context: Context) -> Callable[[], Changes]:
    def work() -> Changes:
        left = step.hook.call(context, step.params)
        if isinstance(left, Coroutine):
            left.close()
            raise TypeError("it returned a coroutine; declare the function with `async def`")
        return _changes(step, context, left)

    return work


def _coroutine(step: Step, context: Context) -> Callable[[], Coroutine[Any, Any, Changes]]:
    async def work() -> Changes:
        left: object = step.hook.call(context, step.params)
        if isinstance(left, Awaitable):
            left = await left
        return _changes(step, context, left)

    return work


def _changes(step: Step, context: Context, returned: object) -> Changes:
    changes = changes_of(context, step.hook.writes)
    if returned is not None and returned is not context:
        changes.remark = f"what it returned ({type(returned).__name__:.80}) means nothing: a hook changes `ctx`"
    return changes


async def _awaited_here(step: Step, context: Context) -> Outcome:
    """Run a coroutine on the proxy's own loop. Cancelling this cancels it."""
    limit = asyncio.timeout(step.timeout)
    try:
        async with limit:
            return await _coroutine(step, context)(), None
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        return None, TimedOut() if limit.expired() else error
