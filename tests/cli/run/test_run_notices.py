"""While a command runs, its terminal is told what the daemon has to say: a budget that is nearly spent, or is."""

from __future__ import annotations

import sys

import pytest

from ccinspect.control.client import ControlClient
from ccinspect.demo.provider import Provider
from tests.addons.test_changes import ask
from tests.cli.pseudo_terminal import Terminal
from tests.support.daemon import Daemon

# Asks three times, and tells the status of each answer.
CLIENT = """
import json, os, urllib.error, urllib.request
body = json.dumps({"model": "claude-x", "max_tokens": 50, "messages": [{"role": "user", "content": "hello"}]}).encode()
base = os.environ.get("ANTHROPIC_BASE_URL", "https://api.anthropic.com")
for _ in range(3):
    asked = urllib.request.Request(base + "/v1/messages", body, {"x-api-key": "k", "content-type": "application/json"})
    try:
        with urllib.request.urlopen(asked) as answer:
            print(answer.status)
    except urllib.error.HTTPError as error:
        print(error.code)
        error.close()
"""


def tokens_of_a_call(daemon: Daemon) -> int:
    with ControlClient.connect(daemon.paths.control_socket) as control:
        run = control.call("run.start", mode="base-url", command=["x"])
        path = run["env"]["ANTHROPIC_BASE_URL"].partition("127.0.0.1:")[2].partition("/")[2]
        body = {"model": "claude-x", "max_tokens": 50, "messages": [{"role": "user", "content": "hello"}]}
        assert ask(daemon, body, path=f"/{path}/v1/messages")[0] == 200
        while control.call("status")["analysis"]["behind"]:
            control.call("flush")
        tokens: int = control.call("run.end", run_id=run["run_id"], exit_code=0)["spent"]["tokens"]
    return tokens


@pytest.mark.parametrize("mode", [[], pytest.param(["--inspect"], marks=pytest.mark.jail)], ids=["plain", "jail"])
def test_a_budget_is_said_once_when_it_is_nearly_spent_and_once_when_it_is(
    daemon: Daemon, provider: Provider, mode: list[str]
) -> None:
    limit = int(tokens_of_a_call(daemon) * 1.15)
    done = daemon.run("run", *mode, "--max-tokens", str(limit), "--", sys.executable, "-c", CLIENT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["200", "200", "429"]
    said = [line for line in done.stderr.splitlines() if "budget" in line]
    assert len(said) == 2, done.stderr
    assert said[0].startswith("ccinspect: the budget of this run is nearly spent: ")
    assert said[1].startswith("ccinspect: the budget of this run is spent: ")
    assert said[1].endswith("further model calls are refused")


def test_nobody_is_told_again_and_again(daemon: Daemon) -> None:
    done = daemon.run("run", "--max-tokens", "1", "--", sys.executable, "-c", CLIENT)
    assert done.stdout.split() == ["200", "429", "429"]
    assert done.stderr.count("budget") == 1


# Like a program that draws its own screen: its terminal is raw, and is to stay so.
SCREEN = f"""
import sys, termios, tty
tty.setraw(0)
def print(text):
    sys.stdout.write(f"<{{text}}>\\r\\n")
    sys.stdout.flush()
{CLIENT}
print("changed" if termios.tcgetattr(0)[3] & termios.ICANON else "raw")
"""


@pytest.mark.parametrize("mode", [[], pytest.param(["--inspect"], marks=pytest.mark.jail)], ids=["plain", "jail"])
def test_a_run_on_a_terminal_is_asked_before_calls_are_refused(
    daemon: Daemon, provider: Provider, mode: list[str]
) -> None:
    arguments = ["run", *mode, "--max-tokens", "1", "--ask", "--", sys.executable, "-c", SCREEN]
    with Terminal(daemon.argv(*arguments), daemon.environment()) as terminal:
        terminal.read_until("Spend the same again? [y/N] ")
        before, _, _ = terminal.output.partition("ccinspect: the budget of this run is spent")
        assert before.count("<200>") == 1
        terminal.type("y\n")
        while terminal.output.count("[y/N] ") < 2:
            terminal.read_more()
        terminal.type("\x03")
        status, said = terminal.finish()
    assert status == 0, said
    assert said.count("<200>") == 2
    assert said.count("<429>") == 1
    assert said.count("[y/N]") == 2
    assert "<raw>" in said


def test_who_said_no_is_not_asked_again(daemon: Daemon) -> None:
    arguments = ["run", "--max-tokens", "1", "--ask", "--", sys.executable, "-c", CLIENT]
    with Terminal(daemon.argv(*arguments), daemon.environment()) as terminal:
        terminal.read_until("[y/N] ")
        terminal.type("no\n")
        status, said = terminal.finish()
    assert status == 0, said
    assert said.count("[y/N]") == 1
    assert said.count("429") == 2


def test_a_run_without_a_terminal_is_refused_without_a_question(daemon: Daemon) -> None:
    done = daemon.run("run", "--max-tokens", "1", "--ask", "--", sys.executable, "-c", CLIENT)
    assert done.stdout.split() == ["200", "429", "429"]
    assert "[y/N]" not in done.stderr
