"""Blocking calls in threads of their own.

Not the loop's executor: a keyring that asks its user for a password would keep one of its few threads for good, and
the process from ending. These threads end with the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable


async def run_apart[T](function: Callable[[], T]) -> T:
    """Call `function` in a thread and wait for it. Cancelling stops the waiting, not the call."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()

    def settle(value: T | None, error: BaseException | None) -> None:
        if result.done():
            return
        if error is not None:
            result.set_exception(error)
        else:
            result.set_result(value)  # type: ignore[arg-type]

    def call() -> None:
        value: T | None = None
        error: BaseException | None = None
        try:
            value = function()
        except StopIteration as stopped:
            # A future cannot carry this one.
            error = RuntimeError(str(stopped))
        except BaseException as raised:
            error = raised
        # The loop may have ended meanwhile.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, value, error)

    threading.Thread(target=call, name="ccinspect-credentials", daemon=True).start()
    return await result
