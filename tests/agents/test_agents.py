"""Real agents as their makers ship them, jailed, unprivileged, with a key that is none: is everything recorded?"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ccinspect.demo.answers import json_answer
from ccinspect.demo.http1 import Received, decompress
from ccinspect.demo.provider import Provider
from tests.agents.conftest import install
from tests.support.daemon import Daemon, Record

pytestmark = [pytest.mark.slow, pytest.mark.jail, pytest.mark.timeout(900)]

CLAUDE_ENVIRONMENT = {"ANTHROPIC_API_KEY": "sk-ant-api03-not-a-real-key"}


def model_calls(provider: Provider, path: str) -> list[Received]:
    """The requests for an answer of a model that reached the provider."""
    return [request for request in provider.requests if request.method == "POST" and request.path == path]


def assert_all_recorded(daemon: Daemon, provider: Provider, host: str) -> list[Record]:
    """Every request that reached the provider has a complete flow with its exact body; returns the flows of `host`."""
    flows = daemon.flows('map(select(.type == "http"))', "--limit", "1000")
    unmatched = [flow for flow in flows if flow["request"]["host"] == host]
    for request in provider.requests:
        if request.header("host") != host:
            continue
        method, target, _ = request.request_line
        match = next(
            (
                flow
                for flow in unmatched
                if (flow["request"]["method"], flow["request"]["path"]) == (method, target)
                and flow["request"]["contentHash"] == (request.sha256 if request.size else None)
            ),
            None,
        )
        assert match is not None, f"no flow for {method} {target} with {request.size} bytes"
        assert match["source"] == "wireguard"
        assert match["run"]
        unmatched.remove(match)
    return [flow for flow in flows if flow["request"]["host"] == host]


def recorded_request(daemon: Daemon, flows: list[Record], request: Received) -> dict[str, object]:
    """The JSON body of the flow that recorded `request`, after a comparison byte for byte."""
    flow = next(flow for flow in flows if flow["request"]["contentHash"] == request.sha256)
    body = daemon.body(flow["id"], "--request")
    assert body == bytes(request.content)
    document: dict[str, object] = json.loads(decompress(body, request.header("content-encoding")))
    return document


def test_claude_code_answers_and_is_seen(user_daemon: Daemon, provider: Provider, workplace: Path) -> None:
    claude = install("claude-code")
    done = user_daemon.run(
        "run", "--inspect", "--", str(claude), "-p", "hello", env=CLAUDE_ENVIRONMENT, cwd=workplace, timeout=180
    )
    assert (done.returncode, done.stdout) == (0, "Hello from the fake provider. You said: hello\n"), done.stderr
    calls = model_calls(provider, "/v1/messages")
    assert calls
    flows = assert_all_recorded(user_daemon, provider, "api.anthropic.com")
    document = recorded_request(user_daemon, flows, calls[-1])
    assert document["stream"] is True
    assert "hello" in json.dumps(document["messages"])
    assert document["tools"]
    answer = next(flow for flow in flows if flow["request"]["contentHash"] == calls[-1].sha256)
    assert answer["response"]["status_code"] == 200
    assert user_daemon.body(answer["id"], "--response").endswith(b'data: {"type": "message_stop"}\n\n')


@pytest.mark.long
def test_claude_code_runs_a_tool(user_daemon: Daemon, provider: Provider, workplace: Path) -> None:
    """Two turns: the model asks for a tool, the agent runs it and brings the result. Both are seen."""
    (workplace / "example file_path").write_text("a line of the file\n")
    claude = install("claude-code")
    words = ["-p", "Use the tool Glob", "--allowedTools", "Glob"]
    done = user_daemon.run(
        "run", "--inspect", "--", str(claude), *words, env=CLAUDE_ENVIRONMENT, cwd=workplace, timeout=180
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("The tool has answered: ")
    calls = model_calls(provider, "/v1/messages")
    flows = assert_all_recorded(user_daemon, provider, "api.anthropic.com")
    turns = [recorded_request(user_daemon, flows, call) for call in calls]
    assert any("tool_result" in json.dumps(turn["messages"]) for turn in turns)


def test_a_refusal_reaches_claude_code(user_daemon: Daemon, provider: Provider, workplace: Path) -> None:
    refusal = {"type": "error", "error": {"type": "invalid_request_error", "message": "no, never"}}
    for _ in range(20):
        provider.answer_with(json_answer(400, refusal), when=lambda request: request.path == "/v1/messages")
    claude = install("claude-code")
    done = user_daemon.run(
        "run", "--inspect", "--", str(claude), "-p", "hello", env=CLAUDE_ENVIRONMENT, cwd=workplace, timeout=180
    )
    assert done.returncode == 1
    flows = assert_all_recorded(user_daemon, provider, "api.anthropic.com")
    statuses = {flow["response"]["status_code"] for flow in flows if flow["request"]["path"].startswith("/v1/messages")}
    assert statuses == {400}


# Each time, aider answers in test_understanding.py.
@pytest.mark.long
@pytest.mark.parametrize(
    ("model", "host", "path"),
    [
        ("openai/gpt-fake-large", "api.openai.com", "/v1/chat/completions"),
        ("anthropic/claude-fake-large", "api.anthropic.com", "/v1/messages"),
    ],
)
def test_aider_answers_and_is_seen(
    user_daemon: Daemon, provider: Provider, workplace: Path, model: str, host: str, path: str
) -> None:
    aider = install("aider")
    options = ["--model", model, "--message", "hello", "--no-git", "--yes-always", "--no-check-update"]
    quiet = ["--no-show-model-warnings", "--analytics-disable", "--no-pretty"]
    done = user_daemon.run(
        *("run", "--inspect", "--", str(aider), *options, *quiet),
        env={"OPENAI_API_KEY": "sk-not-a-real-key", "ANTHROPIC_API_KEY": "sk-ant-not-a-real-key"},
        cwd=workplace,
        needs=[(aider.parent / "python").resolve().parents[1]],
        timeout=240,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "Hello from the fake provider. You said: " in done.stdout
    calls = model_calls(provider, path)
    assert calls, done.stdout
    flows = assert_all_recorded(user_daemon, provider, host)
    document = recorded_request(user_daemon, flows, calls[-1])
    assert document["stream"] is True
    assert "hello" in json.dumps(document["messages"])
