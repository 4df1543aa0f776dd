"""Real agents started without `run`, after `ccinspect setup AGENT --write` in a home of their own: do they reach us?"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.agents.conftest import install
from tests.support.daemon import Daemon, Record, clean_environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

KEYS = {
    "ANTHROPIC_API_KEY": "sk-ant-api03-not-a-real-key",
    "OPENAI_API_KEY": "sk-not-a-real-key",
    "CODEX_API_KEY": "sk-not-a-real-key",
    "GEMINI_API_KEY": "AIza-not-a-real-key",
}
AIDER = ["--no-git", "--yes-always", "--no-check-update", "--no-show-model-warnings", "--analytics-disable"]


def is_call(flow: Record, host: str, source: str) -> bool:
    return flow["type"] == "http" and (flow["request"]["host"], flow["source"]) == (host, source)


@pytest.mark.parametrize(
    ("name", "package", "mode", "words", "host"),
    [
        ("claude", "claude-code", "--base-url", ["-p", "hello"], "api.anthropic.com"),
        ("codex", "codex", "--proxy", ["exec", "--skip-git-repo-check", "hello"], "api.openai.com"),
        # One agent by each mode each time; the others take as long and show little more.
        pytest.param(
            *("gemini", "gemini-cli", "--base-url", ["-p", "hello"], "generativelanguage.googleapis.com"),
            marks=pytest.mark.long,
        ),
        pytest.param(
            *("opencode", "opencode", "--base-url"),
            ["run", "-m", "anthropic/claude-sonnet-4-5", "hello"],
            "api.anthropic.com",
            marks=pytest.mark.long,
        ),
        pytest.param(
            *("aider", "aider", "--proxy"),
            ["--model", "openai/gpt-fake-large", "--message", "hello", *AIDER],
            "api.openai.com",
            marks=pytest.mark.long,
        ),
    ],
)
def test_an_agent_that_was_set_up_reaches_the_daemon(
    daemon: Daemon, tmp_path: Path, name: str, package: str, mode: str, words: list[str], host: str
) -> None:
    program = install(package)
    home = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / ".config")}
    daemon.run("setup", name, mode, "--write", check=True, env=home, cwd=tmp_path)
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    environ = clean_environment() | KEYS | home | {"GEMINI_CLI_TRUST_WORKSPACE": "true"}
    done = subprocess.run(
        [program, *words], env=environ, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, timeout=180
    )
    assert b"Hello from the fake provider. You said: hello" in done.stdout, f"{done.stdout!r}\n{done.stderr!r}"
    source = "proxy" if mode == "--proxy" else "reverse"
    daemon.wait_for(1, lambda flow: is_call(flow, host, source))
    if mode == "--base-url":
        jailed = daemon.raw(daemon.argv("run", "-i", "--", str(program), *words), env=environ, cwd=tmp_path)
        assert b"Hello from the fake provider. You said: hello" in jailed.stdout, jailed.stderr
        assert daemon.wait_for(1, lambda flow: is_call(flow, host, source) and flow["run"] is not None)
    daemon.run("setup", name, "--undo", check=True, env=home, cwd=tmp_path)
    address = b"127.0.0.1:%d" % daemon.ports[source]
    assert written
    assert not any(address in path.read_bytes() for path in written if path.exists())


def test_a_python_sdk_reads_the_env_file(daemon: Daemon, tmp_path: Path) -> None:
    daemon.run("setup", "python", "--proxy", "--write", check=True, cwd=tmp_path)
    values = dict(line.split("=", 1) for line in (tmp_path / ".env").read_text().splitlines() if "=" in line)
    code = "import anthropic; anthropic.Anthropic(max_retries=0).models.list(limit=1)"
    environ = clean_environment() | KEYS | values
    subprocess.run([*daemon.argv()[:1], "-c", code], env=environ, timeout=60, check=True, capture_output=True)
    [flow] = daemon.wait_for(1, lambda flow: is_call(flow, "api.anthropic.com", "proxy"))
    assert (flow["request"]["method"], flow["request"]["path"]) == ("GET", "/v1/models?limit=1")
