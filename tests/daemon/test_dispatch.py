"""The cached dispatch behaves as mitmproxy's own does."""

from __future__ import annotations

import asyncio
import logging

import pytest
from mitmproxy import addonmanager, exceptions, hooks
from mitmproxy.addons.script import ScriptLoader
from mitmproxy.test import taddons, tflow

from ccinspect.daemon.dispatch import CachedDispatch


class Recorder:
    def __init__(self, name: str, log: list[str], error: Exception | None = None) -> None:
        self.name = name
        self.log = log
        self.error = error

    def update(self, flows: object) -> None:
        self.log.append(self.name)
        if self.error:
            raise self.error


class Async(Recorder):
    async def update(self, flows: object) -> None:
        await asyncio.sleep(0)
        super().update(flows)


def dispatch(*addons: Recorder, later: tuple[Recorder, ...] = ()) -> None:
    async def go() -> None:
        with taddons.context(ScriptLoader()) as context:
            manager: addonmanager.AddonManager = context.master.addons
            manager.add(*addons)
            CachedDispatch(manager)
            event = hooks.UpdateHook([tflow.tflow()])
            await manager.trigger_event(event)
            manager.add(*later)
            for addon in addons:
                manager.remove(addon)
            if later:
                await manager.trigger_event(event)

    asyncio.run(go())


def test_handlers_run_in_the_order_of_the_chain_and_are_awaited() -> None:
    log: list[str] = []
    dispatch(Async("a", log), Recorder("b", log))
    assert log == ["a", "b"]


def test_an_addon_that_comes_or_goes_is_noticed() -> None:
    log: list[str] = []
    dispatch(Recorder("a", log), later=(Recorder("b", log),))
    assert log == ["a", "b"]


def test_an_addon_that_fails_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    log: list[str] = []
    with caplog.at_level(logging.ERROR, "ccinspect.addons"):
        dispatch(Recorder("a", log, RuntimeError("broken")), Recorder("b", log))
    assert log == ["a", "b"]
    assert "update" in caplog.text


def test_addon_halt_stops_the_others() -> None:
    log: list[str] = []
    dispatch(Recorder("a", log, exceptions.AddonHalt()), Recorder("b", log))
    assert log == ["a"]
