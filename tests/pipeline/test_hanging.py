"""Hooks that hang: the request goes on, the next one too, and somebody says so."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from ccinspect.pipeline.context import Context
from ccinspect.pipeline.declaration import Hook, hook
from ccinspect.pipeline.order import Step
from ccinspect.pipeline.pipeline import Pipeline
from tests.pipeline.running import FACTS, request, states


def step(hook: Hook, timeout: float) -> Step:
    return Step(hook.name, hook, None, timeout)


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What hanging hooks wait for; opened at the end, so that no thread outlives its test for long."""
    event = threading.Event()
    yield event
    event.set()


def hangs_in_a_call(gate: threading.Event) -> Hook:
    def wait(ctx: Context) -> None:
        ctx.headers.set("x", "hung")
        gate.wait()

    return hook(name="hangs", writes=("headers",))(wait)


def hangs_in_python(gate: threading.Event) -> Hook:
    def spin(ctx: Context) -> None:
        while not gate.is_set():
            pass

    return hook(name="hangs", writes=("headers",))(spin)


def waits_for_ever(gate: threading.Event) -> Hook:
    async def wait(ctx: Context) -> None:
        await asyncio.Event().wait()

    return hook(name="hangs", writes=("headers",))(wait)


def waits_for_ever_on_the_proxys_loop(gate: threading.Event) -> Hook:
    async def wait(ctx: Context) -> None:
        await asyncio.Event().wait()

    return hook(name="hangs", writes=("headers",), inline=True)(wait)


def refuses_to_be_cancelled(gate: threading.Event) -> Hook:
    async def wait(ctx: Context) -> None:
        opened = asyncio.ensure_future(asyncio.to_thread(gate.wait))
        while not opened.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(opened)

    return hook(name="hangs", writes=("headers",))(wait)


def blocks_its_loop(gate: threading.Event) -> Hook:
    async def block(ctx: Context) -> None:
        gate.wait()

    return hook(name="hangs", writes=("headers",))(block)


HANGING = [
    hangs_in_a_call, hangs_in_python, waits_for_ever, waits_for_ever_on_the_proxys_loop, refuses_to_be_cancelled,
    blocks_its_loop,
]  # fmt: skip


async def through(pipeline: Pipeline, **headers: str) -> dict[str, str]:
    result = await pipeline.run("inbound", request(**headers), FACTS)
    assert "hung" not in [value.decode() for _, value in result.outgoing.headers.fields]
    return states(result)


@pytest.mark.parametrize("make", HANGING)
def test_its_time_is_up_and_the_request_goes_on(make: Any, gate: threading.Event) -> None:
    plain = hook(name="plain", reads=("headers",))(lambda ctx: None)

    @hook(name="coroutine", reads=("headers",))
    async def coroutine(ctx: Context) -> None: ...

    async def requests() -> None:
        pipeline = Pipeline({"inbound": [step(make(gate), 0.05), step(plain, 10), step(coroutine, 10)]}, threads=4)
        for _ in range(3):
            assert await through(pipeline) == {"hangs": "timeout", "plain": "ran", "coroutine": "ran"}
        pipeline.close()

    asyncio.run(requests())


def test_the_loop_goes_on_while_a_hook_hangs(gate: threading.Event) -> None:
    async def beside() -> None:
        pipeline = Pipeline({"inbound": [step(hangs_in_a_call(gate), 0.3)]})
        going = asyncio.ensure_future(through(pipeline))
        turns = 0
        while not going.done():
            await asyncio.sleep(0)
            turns += 1
        assert turns > 100
        pipeline.close()

    asyncio.run(beside())


def test_when_all_threads_hang_further_hooks_are_skipped_at_once(gate: threading.Event) -> None:
    hanging = hook(name="hangs")(lambda ctx: gate.wait() and None)

    async def requests() -> None:
        pipeline = Pipeline({"inbound": [step(hanging, 0.05)]}, threads=2)
        assert [await through(pipeline) for _ in range(2)] == [{"hangs": "timeout"}] * 2
        result = await pipeline.run("inbound", request(), FACTS)
        assert states(result) == {"hangs": "skipped"}
        assert "all 2 threads" in (result.records[0].error or "")
        assert result.records[0].ms < 50
        # Threads that return after all are used again.
        gate.set()
        for _ in range(1000):
            if await through(pipeline) == {"hangs": "ran"}:
                break
            await asyncio.to_thread(lambda: None)
        assert await through(pipeline) == {"hangs": "ran"}
        pipeline.close()

    asyncio.run(requests())


def test_more_requests_than_threads_wait_for_their_turn() -> None:
    running, most = [0], [0]
    lock = threading.Lock()
    # Nobody goes on before there are three of them.
    together = threading.Barrier(3)

    def busy(ctx: Context) -> None:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        together.wait(20)
        with lock:
            running[0] -= 1

    async def requests() -> None:
        pipeline = Pipeline({"inbound": [step(hook(name="busy")(busy), 30)]}, threads=3)
        assert await asyncio.gather(*(through(pipeline) for _ in range(42))) == [{"busy": "ran"}] * 42
        pipeline.close()

    asyncio.run(requests())
    assert most[0] == 3


def test_who_found_no_thread_in_time_is_skipped_and_said(gate: threading.Event) -> None:
    def slow(ctx: Context) -> None:
        gate.wait(0.3)

    async def requests() -> None:
        # `slow` keeps the only thread for longer than `quick` may take.
        slow_one, quick = step(hook(name="slow")(slow), 30), step(hook(name="quick")(lambda ctx: None), 0.05)
        pipeline = Pipeline({"inbound": [slow_one, quick]}, threads=1)
        result = await pipeline.run("inbound", request(), FACTS)
        assert states(result) == {"quick": "skipped", "slow": "ran"}
        assert "became free" in (result.records[0].error or "")
        pipeline.close()

    asyncio.run(requests())


def test_a_blocked_loop_takes_its_other_coroutines_with_it_but_not_those_to_come(gate: threading.Event) -> None:
    # Of each request, for each may have a loop of its own.
    both_began, waited = asyncio.Event(), asyncio.Event()

    @hook(name="waits")
    async def waits(ctx: Context) -> None:
        await both_began.wait()
        if ctx.headers.get("block"):
            gate.wait()
        waited.set()

    @hook(name="bystander")
    async def bystander(ctx: Context) -> None:
        both_began.set()
        await waited.wait()

    async def requests() -> None:
        nonlocal both_began, waited
        pipeline = Pipeline({"inbound": [step(waits, 0.1), step(bystander, 30)]})
        assert await through(pipeline, block="1") == {"waits": "timeout", "bystander": "skipped"}
        both_began, waited = asyncio.Event(), asyncio.Event()
        assert await through(pipeline) == {"waits": "ran", "bystander": "ran"}
        pipeline.close()

    asyncio.run(requests())


def test_a_client_that_leaves_frees_what_worked_for_it(gate: threading.Event) -> None:
    begun, cancelled = threading.Event(), threading.Event()

    @hook(name="waits")
    async def waits(ctx: Context) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async def leave() -> None:
        pipeline = Pipeline({"inbound": [step(waits, 30), step(hangs_in_a_call(gate), 0.05)]}, threads=1)
        running = asyncio.ensure_future(pipeline.run("inbound", request(), FACTS))
        assert await asyncio.to_thread(begun.wait, 20)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert await asyncio.to_thread(cancelled.wait, 20)
        pipeline.close()

    asyncio.run(leave())


def test_a_pipeline_outlives_an_event_loop() -> None:
    pipeline = Pipeline({"inbound": [step(hook(name="plain")(lambda ctx: None), 10)]}, threads=1)
    for _ in range(3):
        assert asyncio.run(through(pipeline)) == {"plain": "ran"}
    pipeline.close()


@pytest.mark.parametrize("way", ["thread", "coroutine"])
def test_closing_lets_requests_that_are_under_way_finish(way: str) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def body(ctx: Context) -> None:
        begun.set()
        ctx.headers.set("x", "1")

    async def coroutine(ctx: Context) -> None:
        begun.set()
        await asyncio.to_thread(go_on.wait, 20)
        ctx.headers.set("x", "1")

    def plain(ctx: Context) -> None:
        body(ctx)
        go_on.wait(20)

    before = set(threading.enumerate())
    it = hook(name="it", writes=("headers.x",))(plain if way == "thread" else coroutine)

    async def requests() -> None:
        pipeline = Pipeline({"inbound": [step(it, 30)]}, threads=1)
        under_way = [asyncio.ensure_future(pipeline.run("inbound", request(), FACTS)) for _ in range(3)]
        assert await asyncio.to_thread(begun.wait, 20)
        pipeline.close()
        go_on.set()
        assert [states(each) for each in await asyncio.gather(*under_way)] == [{"it": "ran"}] * 3

    asyncio.run(requests())
    ours = [each for each in set(threading.enumerate()) - before if each.name.startswith("ccinspect-hook")]
    for thread in ours:
        thread.join(20)
        assert not thread.is_alive()
