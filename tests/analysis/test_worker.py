"""The analyst's process: killed at work, short of memory or of disk, and with its file taken away."""

from __future__ import annotations

import http.client
import json
import os
import resource
import select
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ccinspect.analysis import schema
from ccinspect.analysis.options import AnalysisOptions
from ccinspect.analysis.query import Analysis
from ccinspect.control.client import ControlClient
from ccinspect.store.selection import Selection
from tests.analysis.stored import MODEL, anthropic_call, fill, user
from tests.conftest import StartDaemon
from tests.support.daemon import Daemon

EVERYTHING = Selection()


@pytest.fixture
def daemon(start_daemon: StartDaemon) -> Daemon:
    """One for each test: all of them do harm to its analyst."""
    return start_daemon()


def post(daemon: Daemon, text: str, status: int = 200) -> None:
    body = json.dumps({"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": text}]})
    with closing(http.client.HTTPConnection("127.0.0.1", daemon.ports["reverse"], timeout=60)) as client:
        client.request("POST", "/v1/messages", body, {"content-type": "application/json", "x-api-key": "k" * 40})
        answer = client.getresponse()
        answer.read()
    assert answer.status == status


def control(daemon: Daemon, method: str) -> Any:
    with ControlClient.connect(daemon.paths.control_socket) as client:
        return client.call(method)


def status(daemon: Daemon) -> dict[str, Any]:
    found: dict[str, Any] = control(daemon, "status")["analysis"]
    return found


def analyst_at_rest(daemon: Daemon) -> int:
    """Have one call analysed; the analyst's pid."""
    post(daemon, "hello")
    control(daemon, "flush")
    return int(status(daemon)["pid"])


def readable(daemon: Daemon) -> list[bool]:
    """Of each call, oldest first, as the command line's commands would find them."""
    while status(daemon)["behind"]:
        control(daemon, "flush")
    with Analysis(daemon.paths.store_dir, AnalysisOptions()) as analysis:
        return [call.readable for call in analysis.calls(EVERYTHING)]


def much(megabytes: int) -> str:
    """Text that takes seconds to count: numbers, of which no two blocks are the same."""
    return " ".join(str(number * 7919) for number in range(megabytes * 120_000))


def test_one_that_is_killed_in_the_middle_of_a_flow_is_replaced(daemon: Daemon) -> None:
    analyst = analyst_at_rest(daemon)
    # The kernel kills it as soon as it has used another second; no wish and no handler can stop that.
    used = int(_processor_seconds(analyst)) + 1
    resource.prlimit(analyst, resource.RLIMIT_CPU, (used, used))
    post(daemon, "<file path='a.py'>" + "```b.py\n" * 1_500_000)
    post(daemon, "and another")
    assert readable(daemon) == [True, True, True]
    assert status(daemon)["restarts"] == 1
    assert status(daemon)["pid"] != analyst


def _processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("room", [1_000_000, 4_000_000, 8_000_000])
def test_a_flow_for_which_there_is_no_memory_costs_no_other(daemon: Daemon, room: int) -> None:
    analyst = analyst_at_rest(daemon)
    size = int(Path(f"/proc/{analyst}/statm").read_text().split()[0]) * resource.getpagesize()
    resource.prlimit(analyst, resource.RLIMIT_AS, (size + room, size + room))
    post(daemon, much(8))
    post(daemon, "and another")
    # Without memory it passes the flow over, or dies of it and its successor reads it.
    first, _, last = readable(daemon)
    assert first
    assert last


def test_a_full_disk_stops_the_analysis_and_nothing_else(daemon: Daemon) -> None:
    """Its successor would fail as well, so that none is started for a while; who asks analyses what is left."""
    analyst = analyst_at_rest(daemon)
    process = os.pidfd_open(analyst)
    resource.prlimit(analyst, resource.RLIMIT_FSIZE, (4096, 4096))
    for number in range(5):
        post(daemon, f"question {number} " + "about this and that " * 200)
    try:
        assert select.select([process], [], [], 20)[0]
    finally:
        os.close(process)
    assert status(daemon)["behind"]
    assert "disk" in status(daemon)["last_error"]
    assert len(daemon.flows()) == 6
    assert daemon.json("report", "--json")["total"]["calls"] == 6


def test_a_file_that_is_taken_away_is_made_anew(daemon: Daemon) -> None:
    analyst = analyst_at_rest(daemon)
    for path in daemon.paths.store_dir.glob("analysis.db*"):
        path.unlink()
    post(daemon, "hello again")
    assert readable(daemon) == [True, True]
    assert status(daemon)["pid"] == analyst


def test_a_damaged_page_is_mended_by_itself(daemon: Daemon) -> None:
    analyst_at_rest(daemon)
    path = daemon.paths.store_dir / "analysis.db"
    daemon.stop()
    with path.open("r+b") as file:
        file.seek(2 * 4096)
        file.write(b"\x5a" * 8 * 4096)
    daemon.start()
    post(daemon, "hello again")
    assert readable(daemon) == [True, True]


def test_a_flow_is_analysed_when_its_run_has_ended(daemon: Daemon) -> None:
    """However short the run."""
    script = (
        "import http.client, json, os, urllib.parse as p\n"
        "base = p.urlsplit(os.environ['ANTHROPIC_BASE_URL'])\n"
        "client = http.client.HTTPConnection(base.hostname, base.port)\n"
        f"body = {{'model': '{MODEL}', 'max_tokens': 9, 'messages': [{{'role': 'user', 'content': 'hi'}}]}}\n"
        "client.request('POST', base.path + '/v1/messages', json.dumps(body), {'content-type': 'application/json'})\n"
        "assert client.getresponse().read()\n"
        "os._exit(0)\n"
    )
    daemon.run("run", "--", sys.executable, "-c", script, check=True)
    [flow] = daemon.flows()
    shown = daemon.json("flows", "context", flow["id"], "--json")
    assert shown["call"]["readable"] is True


def test_two_commands_at_once_without_a_daemon_both_tell_all(tmp_path: Path) -> None:
    """One analyses; the other waits for it and shows the same."""
    store = tmp_path / "data" / "store"
    fill(store, *(message for number in range(300) for message in anthropic_call(user(f"question {number}"))))
    (tmp_path / "ccinspect.yaml").write_text("{}")
    command = [sys.executable, "-P", "-m", "ccinspect", "--config", str(tmp_path), "report", "--json"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    told = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    first, second = (json.loads(out) for out, _ in told)
    assert first == second
    assert first["total"]["calls"] == 300


def test_what_stopped_it_is_told_and_it_is_tried_again_when_asked(daemon: Daemon) -> None:
    analyst_at_rest(daemon)
    path = daemon.paths.store_dir / "analysis.db"
    daemon.stop()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    daemon.start()
    post(daemon, "hello again")
    control(daemon, "flush")
    assert "newer ccinspect" in status(daemon)["last_error"]
    assert status(daemon)["behind"]
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS)}")
    control(daemon, "reload")
    post(daemon, "and again")
    assert readable(daemon) == [True, True, True]
    assert status(daemon)["last_error"] == ""
