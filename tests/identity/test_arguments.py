"""Credentials in command lines."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccinspect.identity.arguments import without_secrets

SECRET = "sk-ant-api03-Zm9vYmFyYmF6cXV4"


@pytest.mark.parametrize(
    ("argv", "shown"),
    [
        (["curl", "-H", f"x-api-key: {SECRET}", "https://x"], ["curl", "-H", "x-api-key: ***", "https://x"]),
        (["curl", "-H", "Authorization: Bearer abcdefghijk"], ["curl", "-H", "Authorization: Bearer ***"]),
        (["curl", "--header", "Cookie: a=b; c=d", "x"], ["curl", "--header", "Cookie: ***", "x"]),
        (
            ["bash", "-c", "curl -H 'Authorization: AWS4 Credential=x, y' h"],
            ["bash", "-c", "curl -H 'Authorization: ***' h"],
        ),
        (["aider", "--api-key", "anthropic-secret"], ["aider", "--api-key", "***"]),
        (["aider", "--openai-api-key=abc123", "--model", "m"], ["aider", "--openai-api-key=***", "--model", "m"]),
        (["tool", "--token", "--verbose"], ["tool", "--token", "--verbose"]),
        (["env", "GITHUB_TOKEN=abc", "gh"], ["env", "GITHUB_TOKEN=***", "gh"]),
        (
            ["bash", "-c", f"export ANTHROPIC_API_KEY='{SECRET}'; claude"],
            ["bash", "-c", "export ANTHROPIC_API_KEY=***; claude"],
        ),
        (["git", "clone", "https://me:pa55@host/x.git"], ["git", "clone", "https://me:***@host/x.git"]),
        (
            ["curl", "https://h/v1/models?key=AIzaSyB0123456789&alt=sse"],
            ["curl", "https://h/v1/models?key=***&alt=sse"],
        ),
        (["x", f"say {SECRET} aloud"], ["x", "say sk-*** aloud"]),
        (["x", "ghp_0123456789abcdef0123"], ["x", "ghp_***"]),
        (["git", "commit", "-m", "Count tokens: faster"], ["git", "commit", "-m", "Count tokens: faster"]),
        (["python", "-m", "tokenizer", "--max-tokens", "100"], ["python", "-m", "tokenizer", "--max-tokens", "100"]),
        (["node", "/usr/lib/key-value/index.js"], ["node", "/usr/lib/key-value/index.js"]),
        ([], []),
    ],
)
def test_what_looks_like_a_credential_is_hidden(argv: list[str], shown: list[str]) -> None:
    assert without_secrets(argv) == shown


@given(st.lists(st.text()))
def test_nothing_raises_and_no_argument_is_lost(argv: list[str]) -> None:
    assert len(without_secrets(argv)) == len(argv)


@pytest.mark.parametrize(
    "argument", ["token" * 50, "a-" * 128, "://" * 85, "x-api-key:" * 25, "bearer " * 36, "?key" * 64]
)
def test_hostile_arguments_cost_little(argument: str) -> None:
    started = time.process_time()
    without_secrets([argument[:256]] * 32)
    assert time.process_time() - started < 0.5
