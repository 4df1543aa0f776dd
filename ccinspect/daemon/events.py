"""Live events for `flows tail` and its like: finished flows, read back from the store so that they are redacted."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

from ccinspect.errors import StoreError
from ccinspect.store.recorder import Recorder

logger = logging.getLogger("ccinspect.events")

QUEUE_LIMIT = 10_000
_FLUSH_SECONDS = 10.0


class Events:
    """Hands finished flows to subscribers. Costs a flow nothing while nobody listens."""

    def __init__(self, recorder: Recorder, store_dir: Path) -> None:
        self._recorder = recorder
        self._store_dir = store_dir
        self._subscribers: dict[asyncio.Queue[dict[str, Any]], str | None] = {}
        self._finished: list[tuple[str, str | None]] = []
        self._task: asyncio.Task[None] | None = None

    def publish(self, record: dict[str, Any]) -> None:
        """Note that a flow has ended. Called on the proxy's loop for every flow."""
        if not self._subscribers or len(self._finished) >= QUEUE_LIMIT:
            return
        self._finished.append((record["id"], record["run"]))
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._deliver())

    def subscribe(self, run: str | None) -> asyncio.Queue[dict[str, Any]]:
        queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue(QUEUE_LIMIT)
        self._subscribers[queue] = run
        return queue

    def unsubscribe(self, queue: asyncio.Queue[dict[str, Any]]) -> None:
        self._subscribers.pop(queue, None)

    async def _deliver(self) -> None:
        # Also lets the flow that started this task be put into the recorder's queue first.
        await asyncio.sleep(0)
        while self._finished:
            batch, self._finished = self._finished, []
            await self._recorder.flush(_FLUSH_SECONDS)
            found = await asyncio.to_thread(self._read, [flow_id for flow_id, _ in batch])
            for flow_id, run in batch:
                if flow_id in found:
                    self._send(found[flow_id], run)

    def _send(self, record: dict[str, Any], run: str | None) -> None:
        for queue, wanted in self._subscribers.items():
            if wanted in (None, run) and not queue.full():
                queue.put_nowait(record)

    def _read(self, ids: list[str]) -> dict[str, dict[str, Any]]:
        from ccinspect.store.query import StoreReader

        try:
            with StoreReader(self._store_dir) as reader:
                return {flow_id: reader.get(flow_id) for flow_id in ids}
        except StoreError as error:
            logger.warning("cannot read finished flows for `flows tail`: %s", error.message)
            return {}
