"""`ccinspect run` end to end: the command is run as if directly, and what it sent is recorded as this run's."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ccinspect.demo.provider import Provider
from tests.cli.pseudo_terminal import Terminal
from tests.conftest import StartDaemon
from tests.support.daemon import Daemon, settings_for

ASK = """
import json, os, sys, urllib.request
base = os.environ["ANTHROPIC_BASE_URL"]
body = {"model": "claude-test", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
headers = {"content-type": "application/json", "x-api-key": "sk-ant-secret-0123456789"}
urllib.request.urlopen(urllib.request.Request(base + "/v1/messages", json.dumps(body).encode(), headers)).read()
"""


@pytest.fixture
def stopped(provider: Provider, tmp_path: Path) -> Iterator[Daemon]:
    """A daemon that was not started; whatever the test started is stopped."""
    daemon = Daemon(tmp_path / "instance", settings_for(provider, tmp_path))
    yield daemon
    daemon.run("stop", check=True)


def test_flows_belong_to_their_run(daemon: Daemon, provider: Provider, tmp_path: Path) -> None:
    words = ["--project", "p", "--tag", "a=1", "--tag", "b=2", "--name", "n", "--", sys.executable, "-c", ASK]
    done = daemon.run("run", *words, cwd=tmp_path, env={"CCINSPECT_TAGS": "b=0,c=3"}, check=True)
    assert (done.stdout, done.stderr) == ("", "")
    (run,) = daemon.json("runs", "list", "--json")
    assert (run["mode"], run["project"], run["name"]) == ("base-url", "p", "n")
    assert run["tags"] == {"a": "1", "b": "2", "c": "3"}
    assert run["command"][:2] == [sys.executable, "-c"]
    assert (run["cwd"], run["exit_code"], run["git"]) == (str(tmp_path), 0, None)
    assert run["started_at"] < run["ended_at"]
    (flow,) = daemon.flows(None, "--run", run["id"])
    assert flow["run"] == run["id"]
    assert flow["request"]["pretty_host"] == "api.anthropic.com"
    assert daemon.flows(None, "--run", "last") == [flow]
    assert daemon.flows(None, "--run", "n") == [flow]


EXITS = [
    (["sh", "-c", "exit 7"], 7),
    (["sh", "-c", "kill -TERM $$"], 143),
    (["no-such-command-anywhere"], 127),
    (["/etc/passwd"], 126),
    (["/"], 126),
    ([""], 127),
]


@pytest.mark.parametrize("mode", [[], ["--proxy"]])
def test_exit_codes_are_a_shells(daemon: Daemon, mode: list[str]) -> None:
    for command, status in EXITS:
        done = daemon.run("run", *mode, "--", *command)
        assert (done.returncode, done.stdout) == (status, ""), command
        assert "Traceback" not in done.stderr
        assert bool(done.stderr) is (status in (126, 127)), done.stderr
    assert [run["exit_code"] for run in daemon.json("runs", "list", "--json")] == [status for _, status in EXITS]


def test_stdin_and_stdout_are_the_commands_byte_for_byte(daemon: Daemon) -> None:
    data = bytes(range(256)) * 4000
    done = subprocess.run(
        daemon.argv("run", "--", "cat"), input=data, capture_output=True, timeout=60, env=daemon.environment()
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, data, b"")


def test_the_checkout_is_recorded(daemon: Daemon, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", "-b", "trunk", str(tmp_path / "repo")], check=True)
    daemon.run("run", "--", "true", cwd=tmp_path / "repo", check=True)
    (run,) = daemon.json("runs", "list", "--json")
    assert run["git"] == {"root": str(tmp_path / "repo"), "branch": "trunk", "commit": None}


def test_the_run_knows_its_id(daemon: Daemon) -> None:
    said = daemon.run("run", "--", "sh", "-c", "echo $CCINSPECT_RUN_ID", check=True).stdout.strip()
    assert [run["id"] for run in daemon.json("runs", "list", "--json")] == [said]


def test_a_base_url_of_the_user_becomes_the_upstream(daemon: Daemon, provider: Provider) -> None:
    own = {"ANTHROPIC_BASE_URL": f"http://127.0.0.1:{provider.http_port}/gateway"}
    done = daemon.run("run", "--", sys.executable, "-c", ASK, env=own)
    (request,) = provider.wait_for(1)
    assert request.request_line[1] == "/gateway/v1/messages"
    assert done.stdout == ""


def test_the_proxy_mode_is_trusted_and_attributed(daemon: Daemon, provider: Provider) -> None:
    script = """
import ssl, urllib.request
context = ssl.create_default_context()
urllib.request.urlopen("https://api.anthropic.com/v1/models", context=context).read()
"""
    done = daemon.run("run", "--proxy", "--name", "by-proxy", "--", sys.executable, "-c", script)
    assert provider.wait_for(1)[0].request_line[1] == "/v1/models", done.stderr
    (flow,) = daemon.flows(None, "--run", "by-proxy", "--type", "http")
    assert (flow["source"], flow["response"]["status_code"]) == ("proxy", 200 if done.returncode == 0 else 401)


def test_a_directory_that_is_gone(daemon: Daemon, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    script = 'rmdir "$1"; shift; exec "$@"'
    done = subprocess.run(
        ["sh", "-c", script, "sh", str(gone), *daemon.argv("run", "--", "true")],
        cwd=gone, capture_output=True, timeout=60, env=daemon.environment(),
    )  # fmt: skip
    assert done.returncode == 1
    assert b"directory no longer exists" in done.stderr
    assert daemon.json("runs", "list", "--json") == []


def test_the_daemon_is_started_when_none_runs(stopped: Daemon) -> None:
    done = stopped.run("run", "--", "echo", "hello", check=True)
    assert done.stdout == "hello\n"
    assert len(done.stderr.splitlines()) == 1
    assert "starting the daemon" in done.stderr
    assert stopped.run("status").returncode == 0


def test_two_runs_at_once_start_one_daemon(stopped: Daemon) -> None:
    done: list[subprocess.CompletedProcess[str]] = []
    threads = [threading.Thread(target=lambda: done.append(stopped.run("run", "--", "true"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    assert [one.returncode for one in done] == [0, 0, 0], [one.stderr for one in done]
    assert len(stopped.json("runs", "list", "--json")) == 3


def test_no_daemon_is_started_when_the_settings_say_so(stopped: Daemon) -> None:
    done = stopped.run("run", "--", "echo", "hello", env={"CCINSPECT_DAEMON__AUTOSTART": "false"})
    assert (done.returncode, done.stdout) == (1, "")
    assert "ccinspect start" in done.stderr
    assert stopped.run("status").returncode == 3


def test_a_daemon_that_cannot_start_is_explained_and_nothing_is_run(stopped: Daemon, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    done = stopped.run("run", "--", "touch", str(witness), env={"CCINSPECT_STORE__BODIES": "some"})
    assert done.returncode == 2
    assert "CCINSPECT_STORE__BODIES" in done.stderr
    assert not witness.exists()


def test_a_daemon_that_dies_does_not_change_the_exit_code(start_daemon: StartDaemon) -> None:
    daemon = start_daemon()
    with subprocess.Popen(
        daemon.argv("run", "--", "sh", "-c", "echo started; read line; exit 5"),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=daemon.environment(),
    ) as running:  # fmt: skip
        assert running.stdout is not None
        assert running.stdout.readline() == b"started\n"
        daemon.kill()
        _, complaints = running.communicate(b"\n", timeout=30)
    assert running.returncode == 5
    assert b"could not be recorded" in complaints
    assert b"Traceback" not in complaints


def test_no_descriptor_reaches_the_command(daemon: Daemon) -> None:
    script = "import os; print(sorted(os.listdir('/proc/self/fd')))"
    for mode in ([], ["--proxy"]):
        said = daemon.run("run", *mode, "--", sys.executable, "-c", script, check=True).stdout
        # The listing itself holds one more.
        assert said.strip() == "['0', '1', '2', '3']"


def test_the_last_line_on_a_terminal_says_where_to_look(daemon: Daemon) -> None:
    argv = daemon.argv("run", "--", sys.executable, "-c", ASK)
    with Terminal(argv, daemon.environment(), columns=120) as terminal:
        status, said = terminal.finish()
    assert status == 0
    (run,) = daemon.json("runs", "list", "--json")
    assert "1 flow recorded" in said
    assert f": ccinspect flows list --run {run['id'][:8]}" in said
    assert daemon.flows(None, "--run", run["id"][:8])


@pytest.mark.parametrize(("mode", "told"), [([], "read base URLs"), (["--proxy"], "read proxy variables")])
def test_the_last_line_says_why_nothing_may_be_there(daemon: Daemon, mode: list[str], told: str) -> None:
    with Terminal(daemon.argv("run", *mode, "--", "true"), daemon.environment(), columns=120) as terminal:
        status, said = terminal.finish()
    assert status == 0
    assert f"0 flows recorded: if it sent any, it does not {told}; --inspect misses none" in said


def test_ctrl_c_reaches_the_command_once(daemon: Daemon) -> None:
    script = "trap 'echo caught; exit 42' INT; echo ready; while :; do sleep 0.1; done"
    with Terminal(daemon.argv("run", "--", "sh", "-c", script), daemon.environment()) as terminal:
        terminal.read_until("ready")
        terminal.type("\x03")
        status, said = terminal.finish()
    assert status == 42
    assert said.count("caught") == 1


def test_ctrl_c_on_a_command_that_does_not_care(daemon: Daemon) -> None:
    with Terminal(daemon.argv("run", "--", "sh", "-c", "echo ready; exec sleep 100"), daemon.environment()) as terminal:
        terminal.read_until("ready")
        terminal.type("\x03")
        status, said = terminal.finish()
    # A supervisor may also die by the signal itself, as its command did; a shell calls both 130.
    assert status in (130, -2)
    assert "Traceback" not in said
    assert daemon.json("runs", "list", "--json")[-1]["exit_code"] == 130


@pytest.mark.jail
def test_in_the_jail(daemon: Daemon, provider: Provider) -> None:
    script = "import ssl, urllib.request; urllib.request.urlopen('https://api.anthropic.com/v1/models').read()"
    done = daemon.run("run", "-i", "--name", "jailed", "--", sys.executable, "-c", script)
    assert provider.wait_for(1)[0].request_line[1] == "/v1/models", done.stderr
    kinds = {flow["type"] for flow in daemon.flows(None, "--run", "jailed")}
    assert kinds >= {"http", "dns"}
    assert daemon.json("runs", "list", "--json")[-1]["mode"] == "inspect"


def test_a_run_inside_of_a_run_that_cannot_reach_the_daemon(stopped: Daemon) -> None:
    done = stopped.run("run", "--", "true", env={"CCINSPECT_RUN_ID": "0123456789"})
    assert done.returncode == 1
    assert "inside of run 0123456789" in done.stderr
    assert stopped.run("status").returncode == 3
