"""Commands of mitmproxy, for mitmweb's command bar: a flow as its client sent it, as HAR, as a shape.

What takes long is done by a thread or a process of its own: commands are called on the proxy's loop. How it ended is
logged.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

from mitmproxy import command, exceptions, flow, types

from ccinspect.errors import CcinspectError
from ccinspect.store.decode import decode_body
from ccinspect.store.har import write_har
from ccinspect.store.har_entry import url_of
from ccinspect.store.query import StoreReader
from ccinspect.store.record import header
from ccinspect.wire.jsontext import parse

logger = logging.getLogger("ccinspect")

_SHOWN_BYTES = 4 * 1024 * 1024
_SECONDS = 60


class Commands:
    """Addon: `ccinspect.clientrequest`, `ccinspect.dump`, `ccinspect.shape`."""

    name = "ccinspect_commands"

    def __init__(self, store_dir: Path, config_dir: Path) -> None:
        self._store_dir = store_dir
        self._config_dir = config_dir
        self.tasks: set[asyncio.Task[None]] = set()
        """Commands that are still being carried out."""

    def done(self) -> None:
        for task in self.tasks:
            task.cancel()

    @command.command("ccinspect.clientrequest")  # type: ignore[untyped-decorator]
    def client_request(self, flow: flow.Flow) -> str:
        """A flow's request as its client sent it: {method, url, headers, body} as JSON, without secrets."""
        try:
            with StoreReader(self._store_dir) as store:
                record = store.get(flow.id)
                message = record.get("client_request") or record.get("request") or {}
                if record["type"] != "http" or not message:
                    raise exceptions.CommandError("this flow is no HTTP request")
                body = _body(store, flow.id, message)
        except CcinspectError as error:
            raise exceptions.CommandError(f"{error.message}; {error.hint}") from error
        told = {
            "method": message.get("method"),
            "url": url_of(message),
            "headers": message.get("headers"),
            "body": body,
        }
        return json.dumps(told, indent=2)

    @command.command("ccinspect.dump")  # type: ignore[untyped-decorator]
    def dump(self, flows: Sequence[flow.Flow], path: types.Path) -> None:
        """Write flows to a file as HAR 1.2, both ends of each."""
        self._do(self._dump([each.id for each in flows], Path(path).expanduser()))

    @command.command("ccinspect.shape")  # type: ignore[untyped-decorator]
    def shape(self, flow: flow.Flow, name: str) -> None:
        """Save a flow's request as a shape, as `ccinspect shapes save NAME FLOW` does."""
        self._do(self._shape(flow.id, name))

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _dump(self, flows: list[str], path: Path) -> None:
        try:
            written = await asyncio.to_thread(_write_har, self._store_dir, flows, path)
        except CcinspectError as error:
            logger.error("ccinspect.dump: %s; %s", error.message, error.hint)
        except OSError as error:
            logger.error("ccinspect.dump: %s cannot be written: %s", path, error.strerror or error)
        else:
            logger.info("ccinspect.dump: %d flows written to %s", written, path)

    async def _shape(self, flow_id: str, name: str) -> None:
        # Not asking for a name beforehand that begins with a dash: it is no option of ours.
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "ccinspect", "--config", str(self._config_dir)),
            *("shapes", "save", "--", name, flow_id),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            _, said = await asyncio.wait_for(process.communicate(), _SECONDS)
        except BaseException:
            process.kill()
            await process.wait()
            raise
        log = logger.error if process.returncode else logger.info
        log("ccinspect.shape: %s", " ".join(said.decode(errors="replace").split()))


def _body(store: StoreReader, flow_id: str, message: dict[str, Any]) -> Any:
    """The body as JSON where it is some, else as text."""
    chunks = store.stream_body(flow_id, "client_request")
    if chunks is None:
        return None
    data = decode_body(chunks, header(message, "content-encoding"), _SHOWN_BYTES).data
    value, problem = parse(data)
    return data.decode("utf-8", "replace") if problem else value


def _write_har(store_dir: Path, flows: list[str], path: Path) -> int:
    with StoreReader(store_dir) as store:
        records = [store.get(ident) for ident in flows]
        with path.open("wb") as out:
            return write_har(out, records, store).pages
