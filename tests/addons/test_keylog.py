"""Key logs: what tshark reads with them, who may read them, how large they grow."""

from __future__ import annotations

import http.client
import json
import os
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ccinspect.addons.keylog import KeyLog
from tests.addons.keylog_scenario import WORDS
from tests.conftest import StartDaemon
from tests.support.daemon import clean_environment
from tests.support.namespaces import unshared
from tests.support.unprivileged import ROOT


@pytest.fixture(scope="module")
def captured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What keylog_scenario.py tells."""
    directory = tmp_path_factory.mktemp("keylog")
    command = unshared(["--net"], [sys.executable, "-m", "tests.addons.keylog_scenario", directory])
    done = subprocess.run(command, cwd=ROOT, env=clean_environment(), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def tshark(capture: str, *arguments: str) -> str:
    command = ["tshark", "-r", capture, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def prompts(capture: str, port: int, keylog: str | None) -> str:
    """What tshark shows of requests over TLS."""
    keys = ["-o", f"tls.keylog_file:{keylog}"] if keylog else []
    return tshark(
        capture, *keys, "-d", f"tcp.port=={port},tls", "-Y", "json", "-T", "fields", "-e", "json.value.string"
    )


@pytest.mark.jail
def test_tshark_reads_the_prompt_on_both_sides(captured: dict[str, Any]) -> None:
    for capture, port in (("loopback", captured["port"]), ("jail", 443)):
        assert WORDS in prompts(captured[capture], port, captured["tls_keylog"]), capture
        assert WORDS not in prompts(captured[capture], port, None)


@pytest.mark.jail
def test_tshark_knows_the_tunnel_by_its_keys(captured: dict[str, Any]) -> None:
    fields = ("-Y", "wg.type == 1", "-T", "fields", "-e", "wg.static.known_privkey", "-e", "wg.handshake_ok")
    known = tshark(captured["loopback"], "-o", f"wg.keylog_file:{captured['wg_keylog']}", *fields)
    assert "1" in known.split() or "True" in known.split()
    assert not {"1", "True"} & set(tshark(captured["loopback"], *fields).split())


@pytest.mark.jail
def test_the_logs_are_for_their_owner_only(captured: dict[str, Any]) -> None:
    for name in ("tls_keylog", "wg_keylog"):
        assert stat.S_IMODE(os.stat(captured[name]).st_mode) == 0o600


def test_a_log_has_a_bound_and_keeps_the_newest(tmp_path: Path) -> None:
    log = KeyLog(tmp_path / "tls.keylog", max_bytes=100)
    for number in range(95):
        log(None, b"line %03d" % number)
    kept = sorted(tmp_path.iterdir())
    assert [path.name for path in kept] == ["tls.keylog", "tls.keylog.1"]
    assert sum(path.stat().st_size for path in kept) < 220
    assert (tmp_path / "tls.keylog").read_bytes().endswith(b"line 094\n")


def test_a_log_that_others_could_read_is_closed_and_no_link_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "tls.keylog"
    path.write_text("")
    path.chmod(0o644)
    KeyLog(path).write(b"x")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    link, elsewhere = tmp_path / "wg.keylog", tmp_path / "elsewhere"
    link.symlink_to(elsewhere)
    KeyLog(link).write(b"x")
    assert not elsewhere.exists()


def test_without_the_setting_nothing_is_logged_whatever_the_shell_says(
    start_daemon: StartDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "foreign"))
    monkeypatch.setenv("MITMPROXY_SSLKEYLOGFILE", str(tmp_path / "foreign"))
    daemon = start_daemon()
    monkeypatch.undo()
    with closing(http.client.HTTPConnection("127.0.0.1", daemon.ports["reverse"], timeout=20)) as client:
        client.request("POST", "/v1/messages", b"{}")
        assert client.getresponse().read()
    assert daemon.wait_for(1)[0]["server_conn"]["tls_version"]
    # Python opens the file as soon as somebody imports an HTTP client, and writes a comment.
    foreign = tmp_path / "foreign"
    assert not foreign.exists() or all(line.startswith("#") for line in foreign.read_text().splitlines())
    assert list(daemon.paths.data_dir.glob("*.keylog*")) == []
    # Nor does anything that the daemon starts, or connects to by itself.
    assert b"KEYLOGFILE" not in Path(f"/proc/{daemon.status['store']['pid']}/environ").read_bytes()
