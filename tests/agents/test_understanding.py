"""Real agents as their makers ship them, jailed and unprivileged: is every call to a model understood?

The agents are told by the user's words which tools to use (see `ccinspect/demo/mind.py`).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from ccinspect.demo import anthropic_messages
from ccinspect.demo.answers import Gate, event_stream, json_answer
from ccinspect.demo.mind import Reply
from ccinspect.demo.provider import Provider
from tests.agents import sky_server
from tests.agents.conftest import install
from tests.agents.understood import askers, assert_understood, calls_of, composition_of
from tests.support import unprivileged
from tests.support.daemon import Daemon, Record

pytestmark = [pytest.mark.slow, pytest.mark.jail, pytest.mark.timeout(900)]

SKY_URL = "http://api.openai.com/v1/models"
ANTHROPIC = {"ANTHROPIC_API_KEY": "sk-ant-api03-not-a-real-key"}
BONN = '{"city": "Bonn"}'

Run = Callable[..., str]


@pytest.fixture
def project(workplace: Path) -> Path:
    """A directory for an agent to work in, with a file and its MCP server."""
    directory = workplace / "project"
    directory.mkdir()
    shutil.copy(sky_server.__file__, directory / "sky_server.py")
    (directory / "notes.txt").write_text("Buy milk.\n" * 40)
    give_away(directory)
    return directory


def give_away(directory: Path) -> None:
    """Make a tree the agents' own."""
    if os.geteuid() == 0:
        account = unprivileged.user()
        for path in (directory, *directory.rglob("*")):
            os.chown(path, account.pw_uid, account.pw_gid)


@pytest.fixture
def run(user_daemon: Daemon, project: Path) -> Run:
    """A function that runs a program in a jail, in the project, and returns what it printed."""

    def run_jailed(*command: str, env: Mapping[str, str], needs: Sequence[Path] = ()) -> str:
        done = user_daemon.run("run", "--inspect", "--", *command, env=env, cwd=project, needs=needs, timeout=120)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    return run_jailed


def sky_command(project: Path) -> list[str]:
    return ["/usr/bin/python3", str(project / "sky_server.py"), SKY_URL]


def write_json(path: Path, document: object) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(document))
    give_away(path.parent)
    return path


def purposes(calls: Sequence[Record]) -> list[str]:
    return [call["purpose"] for call in calls]


def one_conversation(calls: Sequence[Record]) -> str:
    """The conversation that all these calls belong to; they are its turns in their order."""
    assert len({call["conversation"] for call in calls}) == 1
    for before, call in pairwise(calls):
        assert call["parent"] == before["id"]
        assert call["turn"] == before["turn"] + 1
    conversation: str = calls[0]["conversation"]
    return conversation


class TestClaudeCode:
    VERSION = "2.1.329"

    @pytest.fixture
    def claude(self, run: Run, project: Path) -> Run:
        """Runs `claude -p`."""
        program = str(install("claude-code"))
        sky, *arguments = sky_command(project)
        servers = write_json(project / "mcp.json", {"mcpServers": {"sky": {"command": sky, "args": arguments}}})
        allowed = ["--mcp-config", str(servers), "--allowedTools", "mcp__sky__weather", "Bash", "Agent", "Read"]
        return lambda *words, **env: run(program, *words, *allowed, env=ANTHROPIC | env)

    def test_a_tool_of_an_mcp_server(self, claude: Run, user_daemon: Daemon, provider: Provider) -> None:
        said = claude("-p", f"Use the tool mcp__sky__weather with {BONN}", ENABLE_TOOL_SEARCH="false")
        assert said == "The tool has answered: rain, then sun\n"
        calls = assert_understood(user_daemon, provider, "claude-code", self.VERSION)
        assert purposes(calls) == ["user_turn", "tool_continuation"]
        assert {(call["provider"], call["dialect"]) for call in calls} == {("anthropic", "anthropic")}
        assert {(call["certainty"], call["method"]) for call in calls} == {("exact", "session_id")}
        one_conversation(calls)
        composition = composition_of(user_daemon, calls[1])
        assert list(composition["servers"]) == ["sky"]
        assert "mcp:sky/weather" in composition["sources"]
        rows = {row["key"]: row for row in user_daemon.json("report", "--by", "mcp-server", "--json")["rows"]}
        assert rows["sky"]["calls"] == 1
        assert askers(user_daemon, "api.openai.com") == {
            "/v1/models?by=server": Path("/usr/bin/python3").resolve().name,
            "/v1/models?by=curl": "curl",
        }
        assert set(askers(user_daemon, "api.anthropic.com").values()) == {"claude"}

    @pytest.mark.long
    def test_a_tool_that_must_be_searched_first(self, claude: Run, user_daemon: Daemon, provider: Provider) -> None:
        claude("-p", 'Use the tool ToolSearch with {"query": "select:mcp__sky__weather", "max_results": 3}')
        said = claude("-c", "-p", f"Use the tool mcp__sky__weather with {BONN}")
        assert said == "The tool has answered: rain, then sun\n"
        calls = assert_understood(user_daemon, provider, "claude-code", self.VERSION)
        assert purposes(calls) == ["user_turn", "tool_continuation"] * 2
        one_conversation(calls)
        assert [list(composition_of(user_daemon, call)["servers"]) for call in calls] == [[], ["sky"], ["sky"], ["sky"]]

    def test_a_sub_agent(self, claude: Run, user_daemon: Daemon, provider: Provider) -> None:
        errand = {
            "description": "look around",
            "prompt": 'Use the tool Bash with {"command": "cat notes.txt", "description": "read"}',
            "subagent_type": "general-purpose",
        }
        claude("-p", f"Use the tool Agent with {json.dumps(errand)}")
        calls = assert_understood(user_daemon, provider, "claude-code", self.VERSION)
        first = calls[0]
        children = [call for call in calls if call["conversation"] != first["conversation"]]
        assert purposes(children) == ["user_turn", "tool_continuation"]
        one_conversation(children)
        assert children[0]["relation"] == "sub_agent"
        assert children[0]["origin"] == first["id"]
        assert composition_of(user_daemon, children[1])["sources"]["bash:cat"] > 0
        own = [call for call in calls if call["conversation"] == first["conversation"]]
        # The sub-agent works in the background: that it has ended is told in a turn of its own.
        assert purposes(own) == ["user_turn", "tool_continuation", "tool_continuation"]
        one_conversation(own)

    @pytest.mark.long
    def test_counting_and_compacting(self, claude: Run, user_daemon: Daemon, provider: Provider) -> None:
        claude("-p", "hello")
        claude("-c", "-p", "/context")
        claude("-c", "-p", "/compact")
        claude("-c", "-p", "and then?")
        calls = assert_understood(user_daemon, provider, "claude-code", self.VERSION)
        assert purposes(calls) == ["user_turn", "compaction", "user_turn"]
        one_conversation(calls)
        assert calls[2]["relation"] == "compaction"
        counted = [call for call in calls_of(user_daemon) if call["kind"] == "count_tokens"]
        assert len(counted) > 5
        assert {call["purpose"] for call in counted} == {"count_tokens"}
        assert {call["price"]["dollars"] for call in counted} == {0}

    def test_what_the_tools_run(self, claude: Run, user_daemon: Daemon, provider: Provider) -> None:
        # In quotes: Claude runs it with the user's shell, and to zsh a bare `?` is a pattern.
        command = f"curl -sS '{SKY_URL}?by=tool'; git ls-remote http://api.openai.com/x.git"
        said = claude("-p", f"Use the tool Bash with {json.dumps({'command': command, 'description': 'look'})}")
        assert "no API key was sent" in said
        assert "could not read Username for 'http://api.openai.com'" in said
        calls = assert_understood(user_daemon, provider, "claude-code", self.VERSION)
        assert purposes(calls) == ["user_turn", "tool_continuation"]
        assert "bash:curl" in composition_of(user_daemon, calls[1])["sources"]
        assert set(askers(user_daemon, "api.openai.com").values()) == {"curl", "git-remote-http"}

    def test_an_answer_that_is_broken_off(self, user_daemon: Daemon, provider: Provider, project: Path) -> None:
        reply = Reply("0" * 24, "claude-fake-large", "", "one two three four", None, 1234, 99)
        gate = Gate()
        begun = list(anthropic_messages.events(reply))[:6]
        provider.answer_with(event_stream([*begun, gate]), when=lambda request: request.path == "/v1/messages")
        command = user_daemon.argv("run", "--inspect", "--", str(install("claude-code")), "-p", "hello")
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with user_daemon.popen(command, env=ANTHROPIC, cwd=project, **pipes) as process:
            gate.wait_reached(60)
            process.send_signal(signal.SIGTERM)
            process.wait(30)
        (call,) = calls_of(user_daemon)
        assert (call["outcome"], call["counts"]["input"]) == ("client_disconnected", 1234)
        assert (call["agent"], call["purpose"]) == ("claude-code", "user_turn")
        assert "one two three" in user_daemon.run("flows", "show", call["flow"], check=True).stdout


class TestCodex:
    VERSION = "0.169.0"

    @pytest.fixture
    def codex(self, run: Run) -> Run:
        """Runs `codex exec`."""
        program = str(install("codex"))
        options = ["--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"]
        return lambda *words: run(program, "exec", *options, *words, env={"CODEX_API_KEY": "sk-not-real"})

    def test_over_a_websocket(self, codex: Run, user_daemon: Daemon, provider: Provider) -> None:
        assert codex("Use the tool exec").startswith("The tool has answered: ")
        calls = assert_understood(user_daemon, provider, "codex", self.VERSION)
        assert purposes(calls) == ["user_turn", "tool_continuation"]
        assert {(call["provider"], call["dialect"]) for call in calls} == {("openai", "openai_responses")}
        assert {call["certainty"] for call in calls} == {"exact"}
        one_conversation(calls)
        (flow,) = {call["flow"] for call in calls}
        (warm_up,) = [call for call in calls_of(user_daemon) if call["kind"] == "warm_up"]
        assert (warm_up["flow"], warm_up["purpose"], warm_up["counts"]["total"]) == (flow, "housekeeping", 0)
        assert composition_of(user_daemon, calls[1])["sources"]["tool:functions.exec"] > 0
        assert set(askers(user_daemon, "api.openai.com").values()) == {"codex"}

    @pytest.mark.long
    def test_tools_that_a_script_runs(self, codex: Run, project: Path, user_daemon: Daemon, provider: Provider) -> None:
        sky, *arguments = sky_command(project)
        settings = [f'mcp_servers.sky.command="{sky}"', f"mcp_servers.sky.args={json.dumps(arguments)}"]
        options = [word for setting in settings for word in ("-c", setting)]
        scripts = [
            "text(await tools.mcp__sky__weather({city: 'Bonn'}))",
            "text(await tools.exec_command({cmd: 'cat notes.txt'}))",
        ]
        for resume, script in zip(([], ["resume", "--last"]), scripts, strict=True):
            codex(*options, *resume, f"Use the tool exec with {json.dumps({'input': script})}")
        calls = assert_understood(user_daemon, provider, "codex", self.VERSION)
        assert purposes(calls) == ["user_turn", "tool_continuation"] * 2
        one_conversation(calls)
        sources = composition_of(user_daemon, calls[-1])["sources"]
        assert sources["mcp:sky/weather"] > 0
        assert sources["bash:cat"] > 100
        assert set(askers(user_daemon, "api.openai.com").values()) == {
            "codex",
            Path("/usr/bin/python3").resolve().name,
            "curl",
        }

    @pytest.mark.long
    def test_over_http_where_websockets_are_refused(self, codex: Run, user_daemon: Daemon, provider: Provider) -> None:
        for _ in range(5):
            refusal = json_answer(426, {"error": {"message": "no WebSockets here", "type": "invalid_request_error"}})
            provider.answer_with(refusal, when=lambda request: request.header("upgrade") == "websocket")
        assert codex("Use the tool exec").startswith("The tool has answered: ")
        calls = assert_understood(user_daemon, provider, "codex", self.VERSION)
        assert purposes(calls) == ["user_turn", "tool_continuation"]
        assert {(call["dialect"], call["status"]) for call in calls} == {("openai_responses", 200)}
        one_conversation(calls)
        assert composition_of(user_daemon, calls[1])["sources"]["tool:functions.exec"] > 0


class TestGeminiCli:
    VERSION = "0.61.0"

    def test_a_tool_of_an_mcp_server(self, run: Run, project: Path, user_daemon: Daemon, provider: Provider) -> None:
        sky, *arguments = sky_command(project)
        servers = {"sky": {"command": sky, "args": arguments, "trust": True}}
        write_json(project / ".gemini" / "settings.json", {"mcpServers": servers})
        # Settings of a project count only where it is trusted, those of a home always.
        env = {"GEMINI_API_KEY": "AIza-not-a-real-key", "GEMINI_CLI_HOME": str(project)}
        words = ["--yolo", "--skip-trust", "-p", f"Use the tool mcp_sky_weather with {BONN}"]
        said = run(str(install("gemini-cli")), *words, env=env)
        assert "rain, then sun" in said
        routing, *calls = assert_understood(user_daemon, provider, "gemini-cli", self.VERSION)
        assert (routing["purpose"], routing["relation"], routing["stream"]) == ("housekeeping", "side_call", False)
        assert purposes(calls) == ["user_turn", "tool_continuation"]
        assert {(call["provider"], call["dialect"]) for call in calls} == {("gemini", "gemini")}
        one_conversation(calls)
        composition = composition_of(user_daemon, calls[1])
        assert list(composition["servers"]) == ["sky"]
        assert "mcp:sky/weather" in composition["sources"]
        assert set(askers(user_daemon, "api.openai.com").values()) == {Path("/usr/bin/python3").resolve().name, "curl"}
        assert set(askers(user_daemon, "generativelanguage.googleapis.com").values()) == {"node"}


class TestOpencode:
    VERSION = "1.18.33"

    @pytest.mark.parametrize(
        ("model", "provider_name", "dialect"),
        [
            ("anthropic/claude-sonnet-4-6", "anthropic", "anthropic"),
            pytest.param("openai/gpt-5", "openai", "openai_responses", marks=pytest.mark.long),
        ],
    )
    def test_a_tool_of_an_mcp_server(
        self,
        run: Run,
        project: Path,
        user_daemon: Daemon,
        provider: Provider,
        model: str,
        provider_name: str,
        dialect: str,
    ) -> None:
        server = {"type": "local", "command": sky_command(project), "enabled": True}
        settings = write_json(project / "opencode.json", {"mcp": {"sky": server}})
        env = ANTHROPIC | {"OPENAI_API_KEY": "sk-not-a-real-key", "OPENCODE_CONFIG": str(settings)}
        run(str(install("opencode")), "run", "--model", model, "Use the tool sky_weather", env=env)
        titles, calls = [], []
        for call in assert_understood(user_daemon, provider, "opencode", self.VERSION):
            (titles if call["purpose"] == "housekeeping" else calls).append(call)
        assert [call["relation"] for call in titles] == ["side_call"]
        assert purposes(calls) == ["user_turn", "tool_continuation"]
        assert {(call["provider"], call["dialect"]) for call in calls} == {(provider_name, dialect)}
        one_conversation(calls)
        assert set(askers(user_daemon, "api.openai.com").values()) >= {Path("/usr/bin/python3").resolve().name, "curl"}


class TestAider:
    @pytest.mark.parametrize(
        ("model", "provider_name", "dialect"),
        [
            ("openai/gpt-fake-large", "openai", "openai_chat"),
            pytest.param("anthropic/claude-fake-large", "anthropic", "anthropic", marks=pytest.mark.long),
            pytest.param("gemini/gemini-fake-large", "gemini", "gemini", marks=pytest.mark.long),
        ],
    )
    def test_a_question_about_a_file(
        self,
        run: Run,
        user_daemon: Daemon,
        provider: Provider,
        project: Path,
        model: str,
        provider_name: str,
        dialect: str,
    ) -> None:
        aider = install("aider")
        options = ["--model", model, "--no-git", "--yes-always", "--no-check-update", "--read", "notes.txt"]
        quiet = ["--no-show-model-warnings", "--analytics-disable", "--no-pretty"]
        run(
            *(str(aider), *options, *quiet, "--message", "what should I buy?"),
            env=ANTHROPIC | {"OPENAI_API_KEY": "sk-not-a-real-key", "GEMINI_API_KEY": "AIza-not-a-real-key"},
            needs=[(aider.parent / "python").resolve().parents[1]],
        )
        calls = assert_understood(user_daemon, provider, "aider", None)
        assert purposes(calls) == ["user_turn"]
        assert {(call["provider"], call["dialect"]) for call in calls} == {(provider_name, dialect)}
        assert composition_of(user_daemon, calls[0])["files"]["notes.txt"] > 0
