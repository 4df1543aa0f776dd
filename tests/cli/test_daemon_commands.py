"""start, stop, restart, status, logs, init against a real daemon."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ccinspect.cli.status import exit_bits, status_lines
from ccinspect.demo.provider import Provider
from tests.cli.conftest import Place
from tests.cli.pseudo_terminal import Terminal
from tests.conftest import StartDaemon
from tests.support.daemon import Daemon, settings_for

OddStart = tuple[Daemon, subprocess.CompletedProcess[str]]


@pytest.fixture
def stopped(provider: Provider, tmp_path: Path) -> Iterator[Daemon]:
    """A daemon that was not started; whatever the test started is stopped."""
    daemon = Daemon(tmp_path / "instance", settings_for(provider, tmp_path))
    yield daemon
    daemon.run("stop", check=True)


@pytest.mark.parametrize(("words", "bits"), [([], 3), (["--proxy"], 1), (["--inspect"], 2), (["--mcp"], 4),
                                             (["--proxy", "--inspect", "--mcp"], 7)])  # fmt: skip
def test_status_without_a_daemon(place: Place, words: list[str], bits: int) -> None:
    done = place.run("status", *words)
    assert done.returncode == bits
    assert b"not running" in done.stdout
    found = place.run("status", *words, "--json")
    assert found.returncode == bits
    assert json.loads(found.stdout)["proxy"] is False


def test_status_has_the_same_keys_up_or_down(daemon: Daemon, place: Place) -> None:
    up, down = daemon.json("status", "--json"), json.loads(place.run("status", "--json").stdout)
    assert up.keys() == down.keys()
    assert up["inspector"].keys() == down["inspector"].keys()
    assert up["mcp"].keys() == down["mcp"].keys()


def test_status_of_a_daemon(daemon: Daemon) -> None:
    for words, bits in [((), 0), (("--proxy", "--inspect"), 0), (("--mcp",), 4), (("--mcp", "--proxy"), 4)]:
        assert daemon.run("status", *words).returncode == bits
    said = daemon.run("status").stdout
    for port in daemon.ports.values():
        assert f"http://127.0.0.1:{port}" in said
    assert daemon.status["inspector"]["url"] in said


@pytest.mark.parametrize(
    ("proxy", "web", "mcp", "asked", "bits"),
    [
        (True, True, None, (), 0), (False, True, None, (), 1), (True, False, None, (), 2), (True, True, False, (), 4),
        (True, True, True, (), 0), (False, False, False, ("proxy",), 1), (False, False, None, ("mcp", "inspect"), 6),
    ],
)  # fmt: skip
def test_exit_bits(proxy: bool, web: bool, mcp: bool | None, asked: tuple[str, ...], bits: int) -> None:
    status = {"proxy": proxy, "inspector": {"running": web}, "mcp": {"enabled": mcp is not None, "running": bool(mcp)}}
    assert exit_bits(status, **{name: name in asked for name in ("proxy", "inspect", "mcp")}) == bits


@pytest.fixture(scope="module")
def odd_start(shared_provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OddStart]:
    """A daemon started inside of a run, and where a file of the user's is named as a module; and what that said."""
    directory = tmp_path_factory.mktemp("odd")
    (directory / "json.py").write_text("raise SystemExit('taken over')")
    daemon = Daemon(directory / "instance", settings_for(shared_provider, directory))
    own = {"CCINSPECT_RUN_ID": "x", "CCINSPECT_PROJECT": "y", "CCINSPECT_TAGS": "a=b"}
    try:
        # It returns at end of file: a daemon that kept our stdout or stderr would hold it up.
        yield daemon, daemon.run("start", "--detach", cwd=directory, env=own, timeout=20)
    finally:
        daemon.run("stop", check=True)


def test_start_says_what_listens_and_lets_go_of_its_pipes(odd_start: OddStart) -> None:
    daemon, said = odd_start
    ports = daemon.json("status", "--json")["inspector"]["ports"]
    assert f"http://127.0.0.1:{ports['reverse']}" in said.stdout
    assert "/?token=" in said.stdout


def test_the_daemon_has_a_session_and_a_directory_of_its_own(odd_start: OddStart) -> None:
    daemon, _ = odd_start
    pid = daemon.json("status", "--json")["pid"]
    assert os.getsid(pid) == pid
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    assert [os.readlink(f"/proc/{pid}/fd/{number}") for number in (0, 1, 2)] == [
        "/dev/null", str(daemon.paths.log_file), str(daemon.paths.log_file),
    ]  # fmt: skip


def test_a_run_does_not_leak_its_tags_into_the_daemon(odd_start: OddStart) -> None:
    daemon, _ = odd_start
    pid = daemon.json("status", "--json")["pid"]
    environ = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    assert [
        entry for entry in environ if entry.startswith((b"CCINSPECT_RUN", b"CCINSPECT_PRO", b"CCINSPECT_TAGS"))
    ] == []


def test_a_file_of_the_user_does_not_stand_in_for_a_module(odd_start: OddStart) -> None:
    daemon, said = odd_start
    assert said.returncode == 0, said.stderr
    assert daemon.run("status", cwd=daemon.paths.config_dir.parent).returncode == 0


def test_a_daemon_that_dies_without_a_word_is_reported_with_its_last_ones(stopped: Daemon, tmp_path: Path) -> None:
    broken = tmp_path / "broken" / "mitmproxy"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("import sys; sys.exit('the disk ate it')\n")
    started = stopped.run("start", "--detach", env={"PYTHONPATH": str(broken.parent)})
    assert started.returncode == 1
    assert "the disk ate it" in started.stderr
    assert "Traceback" not in started.stderr
    assert stopped.run("status").returncode == 3


def test_verbose_shows_where_an_error_comes_from(place: Place) -> None:
    place.paths.config_file.write_text("store: {bodys: none}\n")
    quiet, loud = place.run("start"), place.run("--verbose", "start")
    assert quiet.returncode == loud.returncode == 2
    assert b"Traceback" not in quiet.stderr
    assert len(quiet.stderr.splitlines()) == 2
    assert b"Traceback" in loud.stderr
    assert loud.stderr.endswith(quiet.stderr)


def test_stop_waits_until_the_process_is_gone_and_may_be_repeated(start_daemon: StartDaemon) -> None:
    daemon = start_daemon()
    daemon.run("stop", check=True)
    assert daemon.wait_gone(0)
    again = daemon.run("stop", check=True)
    assert "not running" in again.stderr


def test_restart(start_daemon: StartDaemon) -> None:
    daemon = start_daemon()
    first = daemon.pid
    daemon.run("restart", check=True)
    assert daemon.wait_gone(0)
    assert daemon.json("status", "--json")["pid"] != first
    daemon.run("stop", check=True)


def test_a_restart_with_broken_settings_costs_nothing(daemon: Daemon) -> None:
    good = daemon.paths.config_file.read_text()
    daemon.paths.config_file.write_text("store: {bodys: none}\n")
    refused = daemon.run("restart")
    daemon.paths.config_file.write_text(good)
    assert refused.returncode == 2
    assert not daemon.wait_gone(0)
    assert daemon.run("status").returncode == 0


def test_the_foreground_daemon_ends_on_ctrl_c(stopped: Daemon) -> None:
    with Terminal(stopped.argv("start"), stopped.environment(), columns=120) as terminal:
        terminal.read_until("mitmweb")
        assert stopped.run("status").returncode == 0
        terminal.type("\x03")
        status, said = terminal.finish()
    assert status in (0, 130)
    assert "Traceback" not in said
    assert stopped.run("status").returncode == 3


def test_logs(daemon: Daemon) -> None:
    assert "ready" in daemon.run("logs", check=True).stdout
    assert len(daemon.run("logs", "-n", "1", check=True).stdout.splitlines()) == 1


def test_logs_before_there_are_any(place: Place) -> None:
    done = place.run("logs")
    assert (done.returncode, done.stdout) == (0, b"")
    assert b"no log yet" in done.stderr


def test_logs_are_followed(stopped: Daemon) -> None:
    with subprocess.Popen(
        stopped.argv("logs", "-f"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=stopped.environment()
    ) as following:
        assert following.stdout is not None
        stopped.run("start", "--detach", check=True)
        assert b"ready" in following.stdout.readline()
        following.send_signal(signal.SIGINT)
        _, complaints = following.communicate(timeout=20)
    assert following.returncode == 130
    assert complaints == b""


def test_init(place: Place) -> None:
    assert place.lines("init") == [str(place.paths.config_file)]
    again = place.run("init")
    assert again.returncode == 2
    assert b"--force" in again.stderr
    assert place.run("init", "--force").returncode == 0


def test_a_directory_named_relatively_by_the_environment(stopped: Daemon) -> None:
    directory = stopped.paths.config_dir
    argv = stopped.argv("start", "--detach")
    at = argv.index("--config")
    del argv[at : at + 2]
    started = stopped.raw(argv, cwd=directory.parent, env={"CCINSPECT_CONFIG_DIR": directory.name})
    assert started.returncode == 0, started.stderr
    assert stopped.run("status").returncode == 0


def test_a_daemon_that_hangs(start_daemon: StartDaemon) -> None:
    daemon = start_daemon()
    os.kill(daemon.pid, signal.SIGSTOP)
    try:
        # Each waits for an answer as long as it does: both at once.
        with ThreadPoolExecutor() as threads:
            asked = threads.submit(daemon.run, "status", timeout=30)
            told = threads.submit(daemon.run, "stop", timeout=50)
            status, stopped = asked.result(), told.result()
    finally:
        os.kill(daemon.pid, signal.SIGCONT)
    assert status.returncode == 3
    assert "did not answer" in status.stdout
    assert stopped.returncode == 1
    assert f"kill -9 {daemon.pid}" in stopped.stderr


def test_init_leaves_the_mode_of_a_directory_alone(place: Place) -> None:
    place.paths.config_dir.chmod(0o755)
    assert place.run("init").returncode == 0
    assert place.paths.config_dir.stat().st_mode & 0o777 == 0o755


def test_losses_are_shown(daemon: Daemon) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"bodies": "none"}, "without bodies"),
        ({"lost_records": 1, "last_error": "disk full"}, "1 flow could not be stored: disk full"),
        ({"lost_records": 2, "lost_bodies": 3}, "2 flows and the bodies of 3 messages could not be stored"),
        ({"failing": True, "last_error": "disk full"}, "nothing is being stored right now: disk full"),
    ]
    healthy = "\n".join(status_lines(daemon.status))
    for store, words in cases:
        assert words not in healthy
        assert words in "\n".join(status_lines(daemon.status | {"store": daemon.status["store"] | store}))
