"""Hook dispatch that looks handlers up once.

mitmproxy walks all of its forty-odd addons with `getattr` for every hook of every flow, about ten times a request; that
is a third of the time a small request takes. The set of handlers only changes when addons come and go, so it is kept
per hook.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import Any

from mitmproxy import exceptions, hooks
from mitmproxy.addonmanager import AddonManager

logger = logging.getLogger("ccinspect.addons")


class CachedDispatch:
    """Replaces `AddonManager.trigger_event` on one manager; same order, same errors, same `AddonHalt`."""

    def __init__(self, manager: AddonManager) -> None:
        self._manager = manager
        self._chain: list[Any] | None = None
        self._handlers: dict[str, list[Callable[..., Any]]] = {}
        self._slow = manager.trigger_event
        manager.trigger_event = self.trigger_event  # type: ignore[method-assign]

    async def trigger_event(self, event: hooks.Hook) -> None:
        if self._manager.master.options.scripts:
            # A user's scripts are reloaded when their files change: their handlers are not ours to keep.
            await self._slow(event)
            return
        if self._chain != self._manager.chain:
            self._chain = list(self._manager.chain)
            self._handlers.clear()
        handlers = self._handlers.get(event.name)
        if handlers is None:
            handlers = self._handlers[event.name] = [
                function for addon in self._manager.chain for _, function in self._manager._iter_hooks(addon, event)
            ]
        arguments = event.args()
        for function in handlers:
            try:
                result = function(*arguments)
                if result is not None and inspect.isawaitable(result):
                    await result
            except exceptions.AddonHalt:
                return
            except exceptions.OptionsError:
                raise
            except Exception:
                # As in mitmproxy: one addon's fault must not stop the traffic.
                logger.exception("an addon failed on %s", event.name)
