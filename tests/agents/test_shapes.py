"""Shapes of what real agents send: nothing of the person, the machine or the session is in them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ccinspect.demo.provider import Provider
from tests.agents.conftest import install
from tests.support.daemon import Daemon

pytestmark = [pytest.mark.slow, pytest.mark.jail, pytest.mark.timeout(900)]

KEY = "sk-ant-api03-not-a-real-key"
SAID = "my-unmistakable-question"
AGENTS = {
    "claude-code": (["-p", SAID], {"ANTHROPIC_API_KEY": KEY}, ".system"),
    "gemini-cli": (["-p", SAID], {"GEMINI_API_KEY": KEY, "GEMINI_CLI_TRUST_WORKSPACE": "true"}, ".systemInstruction"),
    "opencode": (["run", "--model", "anthropic/claude-sonnet-4-5", SAID], {"ANTHROPIC_API_KEY": KEY}, ".system"),
}


# What a shape keeps is told by the dialect: one agent is enough each time.
@pytest.mark.parametrize(
    "name",
    [
        "claude-code",
        pytest.param("gemini-cli", marks=pytest.mark.long),
        pytest.param("opencode", marks=pytest.mark.long),
    ],
)
def test_a_shape_of_an_agent_names_nobody(user_daemon: Daemon, provider: Provider, workplace: Path, name: str) -> None:
    words, environment, system = AGENTS[name]
    program = str(install(name))
    done = user_daemon.run("run", "--inspect", "--", program, *words, env=environment, cwd=workplace, timeout=180)
    assert done.returncode == 0, done.stderr
    user_daemon.run("shapes", "save", "thin", check=True)
    user_daemon.run("shapes", "save", "armed", "--keep", ".tools", check=True)
    for shape in ("thin", "armed"):
        text = user_daemon.run("shapes", "show", shape, check=True).stdout
        assert f"agent: {name}\n" in text
        for private in (KEY, SAID, str(workplace), "user-agent", "User-Agent", "REDACTED", "billing"):
            assert private not in text
        body = text.partition("\nmethod:")[2]
        assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-|[0-9a-f]{32}", body)
        user_daemon.run("shapes", "audit", shape, check=True)
    refused = user_daemon.run("shapes", "save", "all", "--keep", system)
    assert refused.returncode == 1
    assert "something private is left in it" in refused.stderr
    assert not (user_daemon.paths.config_dir / "shapes" / "all.yaml").exists()
