from __future__ import annotations

from dataclasses import replace

import pytest

from ccinspect.analyser.purposes import Purpose, purpose_of, starts_from_summary
from tests.analyser.talk import assistant, call, request, result, tool, user

TOOLS = [tool("Read"), tool("Bash")]
COMPACT = "Your task is to create a detailed summary of the conversation so far, paying attention to the requests."

FINISHED = "<system-reminder>\n[SYSTEM NOTIFICATION]\n<task-notification>\n<task-id>a1</task-id>\n</task-notification>"


@pytest.mark.parametrize(
    ("what", "purpose"),
    [
        (request(user("Fix the bug"), tools=TOOLS), "user_turn"),
        (request(user("Please generate a title for my blog post"), tools=TOOLS), "user_turn"),
        (request(user("Generate a short title for my blog post")), "user_turn"),
        (request(user("x"), assistant("y"), user("What is a title generator?"), tools=TOOLS), "user_turn"),
        (
            request(user("x"), assistant(call("1", "Read", path="a")), user(result("1", "text")), tools=TOOLS),
            "tool_continuation",
        ),
        (
            request(user("x"), assistant(call("1", "Read")), user(result("1", "t"), "and hurry"), tools=TOOLS),
            "tool_continuation",
        ),
        (
            request(user("x"), assistant("y"), user("<system-reminder>todo</system-reminder>", FINISHED)),
            "tool_continuation",
        ),
        (request(user("x"), assistant("y"), user(FINISHED, "What did it find?")), "user_turn"),
        (request(user("x"), path="/v1/messages/count_tokens"), "count_tokens"),
        (request(user("x"), assistant("y"), user(COMPACT), tools=TOOLS), "compaction"),
        (request(user("quota"), max_tokens=1), "housekeeping"),
        (request(user("quota")), "housekeeping"),
        (request(user("Warmup"), tools=TOOLS), "user_turn"),
        (
            request(user("Fix the bug"), system="Generate a concise, sentence-case title (3-7 words) for this session"),
            "housekeeping",
        ),
        (request(user("Fix it"), system="You are a title generator. You output ONLY a thread title."), "housekeeping"),
        (request(user("Generate a title for this conversation:"), user("Fix it")), "housekeeping"),
        (
            request(user("x"), system="Analyze if this message indicates a new conversation topic. isNewTopic"),
            "housekeeping",
        ),
        (request(user("x"), assistant("y"), user("[SUGGESTION MODE: suggest what comes next]")), "housekeeping"),
        (
            request(
                user("history"), system="You summarize internal chat history into a given structure: <state_snapshot>"
            ),
            "compaction",
        ),
        (request(user("x"), assistant("Sure, {")), "unknown"),
        (request(), "unknown"),
        (request(user("x"), path="/v1/messages/batches"), "unknown"),
    ],
)
def test_purposes(what, purpose):
    assert purpose_of(what) is Purpose(purpose)


@pytest.mark.parametrize(
    ("kind", "purpose"),
    [("compact", "compaction"), ("warm_up", "housekeeping"), ("embeddings", "unknown"), ("other", "unknown")],
)
def test_kinds_of_requests_have_their_purpose(kind, purpose):
    assert purpose_of(replace(request(user("x")), kind=kind)) is Purpose(purpose)


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        (
            "This session is being continued from a previous conversation that ran out of context. Summary:",
            True,
        ),
        ("Another language model started to solve this problem and produced a summary of its thinking process.", True),
        ("<state_snapshot><overall_goal>x</overall_goal></state_snapshot>", True),
        ("Continue, please", False),
    ],
)
def test_conversations_that_begin_with_a_summary(text, summary):
    assert starts_from_summary(request(user(text), assistant("ok"), user("go on")).messages) is summary


def test_side_calls():
    assert {purpose for purpose in Purpose if purpose.is_side_call} == {Purpose.HOUSEKEEPING, Purpose.COUNT_TOKENS}
