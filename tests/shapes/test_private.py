"""What is private in a request, and what only looks so."""

from __future__ import annotations

import time
from typing import Any

import pytest

from ccinspect.shapes import private
from ccinspect.shapes.private import Finding


def kinds(text: str) -> set[str]:
    return {kind for kind, _ in private.in_text(text)}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("use sk-ant-api03-AbCdEfGhIjKl0123 here", "credential"),
        ("AIzaSyA1234567890abcdefghijklmnopqrstuv", "credential"),
        ("token ghp_0123456789abcdefABCD0123456789abcd", "credential"),
        ("Authorization: Bearer 0123456789abcdefghij", "credential"),
        ("REDACTED~abcd~0123456789ab", "credential"),
        ("postgres://alice:hunter2@db/prod", "credential"),
        ("export DB_PASSWORD=hunter2hunter2", "credential"),
        ('"client_secret": "abc123def456ghi"', "credential"),
        ("-----BEGIN RSA PRIVATE KEY-----", "credential"),
        ("-----BEGIN PRIVATE KEY-----", "credential"),
        ("sk-ant-oat-ccinspect-work", "sentinel"),
        ("SK-CCINSPECT-x", "sentinel"),
        ("write to alice.smith@corp.co.uk please", "e-mail address"),
        ("<a+b@c-d.io>", "e-mail address"),
        ("in /home/alice/src", "home directory"),
        ("/Users/alice", "home directory"),
        (r"C:\Users\alice\x", "home directory"),
        ("C:/Users/alice", "home directory"),
        ("~/.claude/projects/-home-alice-work", "home directory"),
        ("/root/secret-project", "home directory"),
        ("Here is where you are:\n<env>\n  Working directory: /srv/acme\n</env>", "surroundings"),
        ("# Environment\n - Primary working directory: /tmp/x", "surroundings"),
        ("\nCurrent branch: secret-feature\n", "surroundings"),
        ("\n  Today's date: Sat Nov 21 2026", "surroundings"),
        ("session 0f8fad5b-d9cb-469f-a165-70867728950e", "id"),
        ("user_3f2b8c0d9e1a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f901a2b3c4d", "random text"),
        ("ZmFrZS1rZXktMTIzNDU2Nzg5MGFiY2RlZmdo8Xz2Qk9", "random text"),
    ],
)
def test_private_things_are_found(text: str, kind: str) -> None:
    assert kind in kinds(text)
    assert kind in kinds(f"some words before, {text}, and after")


@pytest.mark.parametrize(
    "text",
    [
        "You are a helpful assistant that works on code.",
        "Co-Authored-By: Claude <noreply@anthropic.com>",
        "git clone git@github.com:owner/repo.git",
        "mail user@example.com or bob@host.test",
        "write to /home/user/project, /Users/username/x or /path/to/file",
        "/rootless/podman and /chroot/x",
        "the parameter token: the page to go on from",
        "max_tokens=64000, temperature=0.5",
        "api_key: string, password: string",
        "fine-grained-tool-streaming-2025-05-14,interleaved-thinking-2025-05-14",
        "https://json-schema.org/draft/2020-12/schema",
        "mcp__claude_ai_very_long_server_name__and_a_tool_of_it_2",
        "this_is_a_rather_long_name_of_some_function_2024_01_02",
        "TodoWrite, NotebookEdit, mcp__github__search_pull_requests",
        "@decorator and @types/node@20.1.0",
        "a===================================================b",
        "0000000000000000000000000000000000000000",
        "Working directory:\n\nThe place where commands run.",
        "Run it in the working directory: it is safe.",
        "the bearer of this letter",
        "claude-sonnet-4-5-20250929",
    ],
)
def test_public_things_are_not(text: str) -> None:
    assert kinds(text) == set()


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({"metadata": {"user_id": "abc"}}, [("id", "body.metadata.user_id")]),
        ({"metadata": {"session_id": 123456}}, [("id", "body.metadata.session_id")]),
        ({"user": "bob"}, [("id", "body.user")]),
        ({"options": {"api_key": "not of a known form"}}, [("credential", "body.options.api_key")]),
        ({"messages": [{"role": "user", "content": "x@y.org"}]}, [("prompt", "body.messages")]),
        ({"messages": []}, []),
        ({"tools": [{"input_schema": {"properties": {"session_id": {"type": "string"}}}}]}, []),
        ({"x": {"alice@corp.org": 1}}, [("e-mail address", "body.x (a key)")]),
        ({"x": [["/home/alice"]]}, [("home directory", "body.x[0][0]")]),
        ({"system": "x-anthropic-billing-header: cc_version=1"}, [("identity", "body.system")]),
        (
            {"system": [{"type": "text", "text": "You are Claude Code, Anthropic's official CLI for Claude."}]},
            [("identity", "body.system[0].text")],
        ),
    ],
)
def test_bodies_are_searched(body: dict[str, Any], found: list[tuple[str, str]]) -> None:
    assert [(each.kind, each.where) for each in private.find("/v1/messages", {}, body, "anthropic")] == found


def test_the_head_is_searched() -> None:
    headers = {"x-api-key": "k", "user-agent": "u", "x-request-id": "r", "host": "h", "x-mail": "a@corp.org"}
    headers |= {"anthropic-beta": "a-1,claude-code-20250219", "x-fine": "yes"}
    found = private.find("/v1/messages?key=abc&beta=true&user_id=5", headers, {}, "anthropic")
    assert [(each.kind, each.where) for each in found] == [
        ("credential", "path"),
        ("id", "path"),
        ("credential", "headers.x-api-key"),
        ("identity", "headers.user-agent"),
        ("id", "headers.x-request-id"),
        ("connection", "headers.host"),
        ("e-mail address", "headers.x-mail"),
        ("identity", "headers.anthropic-beta"),
    ]


def test_words_of_the_user_and_the_machine_are_found() -> None:
    body = {"system": "Alice's notebook zeta-3 and malice"}
    found = private.find("/", {}, body, "anthropic", ["alice", "zeta-3", "root", "me"])
    assert found == [Finding("name", "body.system", "Alice"), Finding("name", "body.system", "zeta-3")]


def test_a_finding_never_shows_a_whole_secret() -> None:
    secret = "sk-ant-api03-AbCdEfGhIjKlMnOp"
    body = {"system": f"{secret} alice@corp.org https://u:{secret}@h/ Bearer 0123456789abcdefXYZ"}
    shown = " ".join(map(str, private.find(f"/?key={secret}", {"x-a": secret}, body, "anthropic")))
    assert secret not in shown
    assert "alice@" not in shown
    assert "0123456789abcdef" not in shown


def test_findings_are_bounded() -> None:
    body = {"x": ["/home/alice/x"] * 1000}
    assert len(private.find("/", {}, body, "anthropic")) == private.MAX_FINDINGS


@pytest.mark.parametrize(
    "piece",
    ["a", "A1b2", "a@", "@", "a.", "/home/", "key=", "-", "=", "a1", "://a:", "bearer ", "0a1b2c3d-", "\n", "x y "],
)
def test_hostile_text_takes_bounded_time(piece: str) -> None:
    started = time.process_time()
    for _ in private.in_text(piece * (400_000 // len(piece))):
        pass
    assert time.process_time() - started < 5
