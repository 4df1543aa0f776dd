"""mitmproxy's commands, called through its command manager."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import exceptions
from mitmproxy.flow import Flow
from mitmproxy.test import taddons, tflow

from ccinspect.addons.commands import Commands
from ccinspect.paths import resolve_paths
from tests.store.records import ended, flow, record


def opened(ident: str) -> Flow:
    made = tflow.tflow()
    made.id = ident
    return made


def call(store_dir: Path, config_dir: Path, name: str, *arguments: Any) -> Any:
    """Call a command, and wait until it is carried out."""

    async def work() -> Any:
        addon = Commands(store_dir, config_dir)
        with taddons.context(addon) as context:  # type: ignore[no-untyped-call]
            try:
                result = context.master.commands.call(name, *arguments)
                await asyncio.gather(*addon.tasks)
                return result
            finally:
                # It would go on to log to a loop that is closed.
                context.master._legacy_log_events.uninstall()

    return asyncio.run(work())


def told(caplog: pytest.LogCaptureFixture) -> Sequence[tuple[int, str]]:
    return [(each.levelno, each.getMessage()) for each in caplog.records if each.name == "ccinspect"]


def test_the_clients_request(tmp_path: Path) -> None:
    made = flow()
    made["client_request"] = made["request"] | {"headers": [[b"X-Api-Key", b"sk-very-secret-0123456789"]]}
    asyncio.run(record(tmp_path, ended(made, b"{}", b"{}", client_request_body=b'{"a":1}')))
    said = json.loads(call(tmp_path, tmp_path, "ccinspect.clientrequest", opened(made["id"])))
    assert (said["method"], said["url"]) == ("POST", "https://api.example.com/v1/messages")
    assert said["body"] == {"a": 1}
    assert said["headers"][0][1].startswith("REDACTED~")
    with pytest.raises(exceptions.CommandError, match="no flow has the id"):
        call(tmp_path, tmp_path, "ccinspect.clientrequest", opened("nope"))


def test_flows_are_dumped_as_har(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ccinspect")
    flows = [flow(), flow()]
    asyncio.run(record(tmp_path, *(ended(made, b"{}", b"{}") for made in flows)))
    path = tmp_path / "out.har"
    call(tmp_path, tmp_path, "ccinspect.dump", [opened(made["id"]) for made in flows], str(path))
    assert [page["id"] for page in json.loads(path.read_bytes())["log"]["pages"]] == [made["id"] for made in flows]
    assert told(caplog) == [(logging.INFO, f"ccinspect.dump: 2 flows written to {path}")]


@pytest.mark.parametrize(("ident", "name"), [("nope", "out.har"), (None, "no/such/directory.har")])
def test_a_dump_that_fails_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, ident: str | None, name: str
) -> None:
    made = flow()
    asyncio.run(record(tmp_path, ended(made, b"{}", b"{}")))
    call(tmp_path, tmp_path, "ccinspect.dump", [opened(ident or made["id"])], str(tmp_path / name))
    assert [level for level, _ in told(caplog)] == [logging.ERROR]


def test_a_shape_is_saved(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ccinspect")
    config_dir = tmp_path / "config"
    config_dir.mkdir(0o700)
    store_dir = resolve_paths(config_dir).store_dir
    body = {"model": "claude-sonnet-4-5", "max_tokens": 10, "messages": [{"role": "user", "content": "hello"}]}
    made = flow()
    asyncio.run(record(store_dir, ended(made, json.dumps(body).encode(), b"{}")))
    call(store_dir, config_dir, "ccinspect.shape", opened(made["id"]), "team")
    assert (config_dir / "shapes" / "team.yaml").exists(), told(caplog)
    call(store_dir, config_dir, "ccinspect.shape", opened(made["id"]), "--help")
    assert [level for level, _ in told(caplog)] == [logging.INFO, logging.ERROR]
