"""Telling systemd how we are: ready, reloading, stopping, alive (sd_notify(3), the protocol of `Type=notify`).

Where nobody supervises us, nothing is said: there is no socket then. What is sent are datagrams of `NAME=value` lines;
none is ever waited for.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from ccinspect.errors import CcinspectError

logger = logging.getLogger("ccinspect.daemon")

_SOCKET = "NOTIFY_SOCKET"
_WATCHDOG, _WATCHDOG_PID = "WATCHDOG_USEC", "WATCHDOG_PID"


class ServiceManager:
    """`watchdog` is within how many seconds systemd wants to hear from us, or None."""

    def __init__(self, address: str | None = None, watchdog: float | None = None) -> None:
        self._address = address
        self.watchdog = watchdog

    @classmethod
    def from_environment(cls, environ: MutableMapping[str, str] | None = None) -> ServiceManager:
        """Take what systemd says to us out of the environment: our children are not the service."""
        env = os.environ if environ is None else environ
        address = env.pop(_SOCKET, "")
        usec, pid = env.pop(_WATCHDOG, ""), env.pop(_WATCHDOG_PID, "")
        if not address.startswith(("/", "@")):
            return cls()
        meant = usec.isdigit() and int(usec) > 0 and pid in ("", str(os.getpid()))
        return cls(address, int(usec) / 1e6 if meant else None)

    @property
    def supervised(self) -> bool:
        return self._address is not None

    def ready(self, status: str) -> None:
        self._say("READY=1", f"STATUS={status}")

    def stopping(self) -> None:
        self._say("STOPPING=1", "STATUS=storing what was captured")

    def busy(self, status: str, seconds: float) -> None:
        """Something takes long while we start: we will be heard of again within `seconds`."""
        self._say(f"STATUS={status}", f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")

    async def keep_watchdog(self) -> None:
        """Say that the event loop turns, for as long as it does; until cancelled."""
        while self.watchdog is not None:
            self._say("WATCHDOG=1")
            await asyncio.sleep(self.watchdog / 3)

    async def reload(self, reload: Callable[[], Awaitable[dict[str, Any]]], status: str) -> None:
        """Read the settings anew because a signal said so: there is nobody to raise an error to, so it is logged."""
        self._say("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            await reload()
            logger.info("the settings were read anew")
        except CcinspectError as error:
            logger.error("the settings were not read anew, those before stay: %s (%s)", error.message, error.hint)
        finally:
            self.ready(status)

    def _say(self, *lines: str) -> None:
        if self._address is None:
            return
        # An address in the abstract namespace is written with @ for its leading zero byte.
        address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.setblocking(False)
            with contextlib.suppress(OSError):
                channel.sendto("\n".join(lines).encode(), address)
