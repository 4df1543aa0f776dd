from __future__ import annotations

from dataclasses import replace

import pytest

from ccinspect.analyser.sessions import SessionMark, session_mark
from tests.analyser.talk import request, user

ID = "0b5c0f7e-1111-4000-8000-000000000000"


@pytest.mark.parametrize(
    ("user_id", "session"),
    [
        ('{"device_id": "d", "account_uuid": "", "session_id": "' + ID + '"}', ID),
        (f"user_abc_account__session_{ID}", ID),
        ("user-17", None),
        ("{broken", None),
        ("[" * 3_000, None),
        ('{"session_id": 5}', None),
    ],
)
def test_claude_code_says_its_session_in_the_body(user_id, session):
    mark = session_mark(request(user("x"), metadata={"user_id": user_id}), {})
    assert mark == SessionMark(session, said_by="metadata.user_id" if session else "")


@pytest.mark.parametrize(
    ("headers", "mark"),
    [
        ({}, SessionMark()),
        ({"x-session-id": "s"}, SessionMark("s", said_by="x-session-id")),
        ({"x-ccinspect-session": "mine", "x-session-id": "s"}, SessionMark("mine", said_by="x-ccinspect-session")),
        ({"x-claude-code-session-id": "s"}, SessionMark("s", said_by="x-claude-code-session-id")),
        (
            {"x-claude-code-session-id": "s", "x-claude-code-agent-id": "a", "x-claude-code-parent-agent-id": "p"},
            SessionMark("s", "a", "p", True, "x-claude-code-session-id"),
        ),
        ({"session-id": "s", "thread-id": "s"}, SessionMark("s", said_by="session-id")),
        (
            {"session-id": "s", "thread-id": "t", "x-codex-parent-thread-id": "s", "x-openai-subagent": "collab_spawn"},
            SessionMark("s", "t", "s", True, "session-id"),
        ),
        (
            {"x-opencode-session": "child", "x-parent-session-id": "main"},
            SessionMark("main", "child", "main", True, "x-opencode-session"),
        ),
        ({"session_id": "   "}, SessionMark()),
    ],
)
def test_headers_name_the_session(headers, mark):
    assert session_mark(request(user("x")), headers) == mark


def test_a_header_beats_the_body():
    asked = request(user("x"), metadata={"user_id": f"user_a_session_{ID}"})
    assert session_mark(asked, {"x-session-id": "s"}).session == "s"


def test_codex_and_gemini_cli_say_it_in_other_fields():
    plain = request(user("x"))
    assert session_mark(replace(plain, raw={"prompt_cache_key": "k"}), {}).session == "k"
    assert session_mark(replace(plain, raw={"request": {"session_id": "g"}}), {}).session == "g"
    assert session_mark(replace(plain, conversation_id="conv_1"), {}).session == "conv_1"


def test_ids_are_bounded():
    assert len(session_mark(request(user("x")), {"x-session-id": "s" * 10_000}).session or "") == 200
