"""What the commands say of calls that were made a moment ago, with the daemon at work."""

from __future__ import annotations

import json
import re
import sys

import yaml

from tests.cli.pseudo_terminal import Terminal
from tests.conftest import StartDaemon
from tests.support.daemon import Daemon

CLIENT = [sys.executable, "-P", "-m", "ccinspect.demo.clients.anthropic_sdk"]
ENV = {"ANTHROPIC_API_KEY": "sk-ant-demo-not-a-real-key-0004"}

ASK_TWICE = """if True:
    import anthropic
    client = anthropic.Anthropic(max_retries=0)
    for number in range(2):
        try:
            client.messages.create(model="{model}", max_tokens=9, messages=[dict(role="user", content="hello")])
        except anthropic.BadRequestError:
            pass
"""


def run_client(daemon: Daemon, *options: str) -> None:
    """Run the SDK in a run of its own."""
    done = daemon.run("run", *options, "--", *CLIENT, env=ENV)
    assert done.returncode == 0, done.stderr


def test_a_run_is_understood_when_it_is_over(daemon: Daemon) -> None:
    run_client(daemon, "--project", "web")
    listed = [line.split("\t") for line in daemon.run("flows", "list", "--run", "last", check=True).stdout.splitlines()]
    calls = [row for row in listed if row[4] == "/v1/messages"]
    assert calls
    assert all(row[5] == "anthropic-python" and row[6] and row[7] for row in calls)
    context = daemon.json("flows", "context", calls[0][0], "--json")
    assert context["composition"]["basis"] == "provider"
    assert context["call"]["project"] == "web"
    report = daemon.json("report", "--by", "project", "--run", "last", "--json")
    assert [row["key"] for row in report["rows"]] == ["web"]
    assert report["total"]["calls"] == len(calls)


def test_a_run_says_what_it_cost_when_it_is_over(daemon: Daemon) -> None:
    words = {
        "claude-sonnet-5": r"2 flows recorded, 2 model calls of 28 tokens for \$0\.000\d: ccinspect flows list",
        "nobodys-model": r"2 flows recorded, 2 model calls of 28 tokens at an unknown price: ccinspect flows list",
        "error-400": r"2 flows recorded, 2 model calls of ~?\d+ tokens for ~?\$0: ",
    }
    # The analyst's process takes its time to start on a busy machine, and a prompt must come back.
    run_client(daemon)
    assert daemon.json("report", "--json")["total"]["calls"]
    for model, expected in words.items():
        code = ASK_TWICE.format(model=model)
        argv = daemon.argv("run", "--", sys.executable, "-c", code)
        with Terminal(argv, daemon.environment() | ENV) as terminal:
            status, said = terminal.finish()
        assert status == 0, said
        assert re.search(expected, said), said


def test_a_session_of_the_last_run(daemon: Daemon) -> None:
    run_client(daemon)
    assert daemon.run("session", "start", "again", "--run", "last").returncode == 0
    [session] = daemon.json("session", "list", "--json")
    assert session["run"] == daemon.json("runs", "list", "--json")[-1]["id"]
    unknown = daemon.run("session", "start", "never", "--run", "no-such-run")
    assert unknown.returncode in (1, 2)
    assert "no-such-run" in unknown.stderr


def test_the_daemon_analyses_again(daemon: Daemon) -> None:
    run_client(daemon)
    before = daemon.json("report", "--json")
    flows = len(daemon.flows(None, "--type", "http"))
    done = daemon.run("reanalyse", check=True)
    assert f"{flows} flow" in done.stderr
    assert daemon.json("report", "--json") == before
    assert daemon.run("reanalyse", "--since", "2035-01-01", check=True).stderr == "ccinspect: 0 flows analysed\n"


def test_providers_are_read_anew(start_daemon: StartDaemon) -> None:
    daemon = start_daemon()
    settings = dict(daemon.settings)
    path = daemon.paths.config_file
    path.write_text(
        yaml.safe_dump(settings | {"providers": {"acme": {"hosts": ["acme.example"], "dialect": "ollama"}}})
    )
    assert "has read its settings anew" in daemon.run("reload", check=True).stderr
    path.write_text(yaml.safe_dump(settings | {"providers": {"acme": {"hosts": ["acme.example"], "dialect": "latin"}}}))
    wrong = daemon.run("reload")
    assert wrong.returncode == 2
    assert "latin" in wrong.stderr or "dialect" in wrong.stderr
    assert json.loads(daemon.run("status", "--json").stdout)["proxy"] is True
