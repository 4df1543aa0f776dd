"""A model call as a person reads it."""

from __future__ import annotations

import json
from typing import Any

from ccinspect.cli.text import width
from ccinspect.cli.understanding.conversation_view import View, request_lines, response_lines
from ccinspect.wire.model import Request, Response
from ccinspect.wire.registry import DIALECTS
from tests.cli.flows.test_flows import EVIL, assert_harmless

ANTHROPIC = DIALECTS["anthropic"]


def decoded(**changes: Any) -> Request:
    body = {
        "model": "claude-sonnet-5",
        "system": [{"type": "text", "text": "You help.", "cache_control": {"type": "ephemeral"}}],
        "tools": [
            {"name": "Bash", "input_schema": {"type": "object"}},
            {"name": "mcp__github__search", "input_schema": {}},
        ],
        "messages": [
            {"role": "user", "content": "explain this\nplease"},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
                    {"type": "redacted_thinking", "data": "c2VhbGVk"},
                    {"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": "git status", "n": 3}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "t1", "is_error": True, "content": "fatal: no repository"},
                    {
                        "type": "image",
                        "source": {"type": "base64", "media_type": "image/png", "data": "aGVsbG8gd29ybGQ="},
                    },
                ],
            },
        ],
    }
    return ANTHROPIC.decode_request(json.dumps(body | changes).encode(), "/v1/messages")


def said(request: Request, **view: Any) -> str:
    return "\n".join(request_lines(request, View(80, **view)))


def test_every_kind_of_block_is_told() -> None:
    shown = said(decoded())
    for words in (
        "tools: 2 definitions",
        "mcp__github__search",
        "You help.",
        "user [0]",
        "    please",
        "thinking, sealed",
        "-> Bash",
        "command: git status",
        "n: 3",
        "<- result",
        "failed",
        "fatal: no repository",
        "image image/png 12 bytes",
    ):
        assert words in shown, words


def test_tokens_stand_at_the_right_end_and_say_when_they_are_estimated() -> None:
    request = decoded()
    tokens = {tool.path: count for tool, count in zip(request.tools, (100, 2_000), strict=True)}
    tokens |= {request.system[0].path: 7}
    lines = list(request_lines(request, View(60, tokens=tokens, basis="estimated")))
    tools = next(line for line in lines if line.startswith("tools"))
    assert tools.endswith("~2,100")
    assert width(tools) == 60
    # The heaviest tool comes first.
    assert lines[2].split() == ["mcp__github__search", "~2,000"]
    lines = list(request_lines(request, View(60, tokens=tokens)))
    assert next(line for line in lines if line.startswith("system")).split() == ["system", "7"]


def test_long_blocks_are_cut_unless_all_is_wanted() -> None:
    request = decoded(messages=[{"role": "user", "content": "\n".join(f"line {n}" for n in range(100))}])
    assert "... 90 lines more: --full" in said(request, lines=10)
    assert "line 99" not in said(request, lines=10)
    assert "line 99" in said(request, lines=None)
    long = decoded(messages=[{"role": "user", "content": "x" * 10_000}])
    assert "8,000 characters more" in said(long)
    assert "x" * 10_000 in said(long, lines=None)


def test_an_answer_says_how_it_ended() -> None:
    body = {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "text", "text": "Done."}],
        "stop_reason": "max_tokens",
        "usage": {"input_tokens": 1, "output_tokens": 2},
    }
    response: Response = ANTHROPIC.decode_response(json.dumps(body).encode(), 200)
    shown = list(response_lines(response, View(40, answer=[5], answer_basis="estimated")))
    assert shown[1] == "answer (max_tokens)"
    assert shown[2].split() == ["text", "~5"]
    assert shown[3].strip() == "Done."
    error = {"type": "error", "error": {"type": "overloaded_error", "message": EVIL}}
    shown = list(response_lines(ANTHROPIC.decode_response(json.dumps(error).encode(), 529), View(40)))
    assert "overloaded" in "\n".join(shown)
    assert_harmless("\n".join(shown))


def test_nothing_said_in_it_reaches_the_terminal() -> None:
    result = {"type": "tool_result", "tool_use_id": EVIL, "content": [{"type": "text", "text": EVIL}]}
    call = {"type": "tool_use", "id": EVIL, "name": EVIL, "input": {EVIL: EVIL}}
    image = {"type": "image", "source": {"type": "url", "url": EVIL, "media_type": EVIL}}
    request = decoded(
        system=EVIL,
        tools=[{"name": EVIL, "description": EVIL, "input_schema": {}}],
        messages=[
            {"role": EVIL, "content": EVIL},
            {"role": "assistant", "content": [call, {"type": EVIL, "text": EVIL}]},
            {"role": "user", "content": [result, image, {"type": "text", "text": EVIL}]},
        ],
    )
    assert_harmless(said(request))
    assert_harmless(said(request, lines=None))
