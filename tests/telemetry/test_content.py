"""What was said, as attributes: bounded, without keys, and in the form of the conventions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ccinspect.telemetry.content import MOST, MOST_ARGUMENTS, arguments_text, content_of, result_text
from ccinspect.wire.model import Media, Message, Request, Response, Text, Thinking, Tool, ToolCall, ToolResult

KEY = "sk-ant-api03-this-is-a-secret-of-the-test-0001"
# What the conventions' JSON schemas demand of each kind of part; any other kind needs only its type.
REQUIRED = {
    "text": {"content"},
    "reasoning": {"content"},
    "tool_call": {"name"},
    "tool_call_response": {"response"},
    "server_tool_call": {"name", "server_tool_call"},
    "uri": {"modality", "uri"},
    "file": {"modality", "file_id"},
}


def request(*texts: str) -> Request:
    return Request("anthropic", messages=tuple(Message("user", (Text(text=text),)) for text in texts))


def full(asked: Request, response: Response | None = None) -> dict[str, Any]:
    return {name: json.loads(str(value)) for name, value in content_of(asked, response, "full").items()}


def test_every_kind_of_part_has_what_the_schemas_demand() -> None:
    blocks = (
        Text(text="hello"),
        Thinking(text="hm"),
        ToolCall(id="1", name="Read", arguments={"path": "a"}),
        ToolCall(id="2", name="web_search", arguments={"query": "b"}, executor="provider", kind="web_search"),
        ToolResult(call_id="1", content=(Text(text="c"),)),
        Media(kind="image", url="https://example.com/a.png"),
        Media(kind="document", file_id="file_1"),
        Media(kind="image", media_type="image/png", data="aGVsbG8="),
    )
    asked = Request(
        "anthropic", messages=(Message("assistant", blocks),), system=blocks[:1], tools=(Tool(name="Read"),)
    )
    found = full(asked, Response("anthropic", blocks=blocks[:3]))
    parts = [*found["gen_ai.input.messages"][0]["parts"], *found["gen_ai.system_instructions"]]
    parts += found["gen_ai.output.messages"][0]["parts"]
    assert len(parts) == len(blocks) + 1 + 3
    for part in parts:
        assert REQUIRED.get(part["type"], set()) <= part.keys(), part
    assert {part["type"] for part in parts} >= REQUIRED.keys()
    assert found["gen_ai.output.messages"][0]["role"] == "assistant"
    assert found["gen_ai.tool.definitions"] == [{"type": "function", "name": "Read"}]


def test_keys_are_masked_wherever_they_stand() -> None:
    blocks = (ToolCall(id="1", name="Bash", arguments={KEY: ["export", {"x": f"A={KEY}"}]}), Text(text=f"it is {KEY}."))
    asked = Request("anthropic", messages=(Message("user", blocks),), system=(Text(text=KEY),))
    said = content_of(asked, Response("anthropic", blocks=blocks), "full")
    assert len(said) == 3
    assert KEY not in str(said)
    assert "it is █" in str(said)
    assert KEY not in arguments_text(f'{{"a": "{KEY}"}}')
    assert KEY not in result_text(ToolResult(content=(Text(text=KEY),)))


def test_of_too_long_a_conversation_the_newest_messages_are_told() -> None:
    asked = request(*(f"{number} {'word ' * 20_000}" for number in range(20)))
    written = str(content_of(asked, None, "full")["gen_ai.input.messages"])
    assert MOST * 0.8 < len(written.encode()) <= MOST
    left_out, *kept = json.loads(written)
    assert left_out["parts"] == [{"type": "ccinspect.left_out", "messages": 20 - len(kept)}]
    assert kept[-1]["parts"][0]["content"].startswith("19 word")


@pytest.mark.parametrize("character", ["x", "é", "漢", "\0", "\udc80", "😀"])
def test_one_text_of_any_length_and_letters_fits(character: str) -> None:
    asked = request("first", character * 2 * MOST)
    written = str(content_of(asked, None, "full")["gen_ai.input.messages"])
    assert len(written.encode()) <= MOST
    _, last = json.loads(written)
    assert last["parts"][0]["content"].endswith("…")
    assert len(arguments_text({"content": character * MOST}).encode()) <= MOST_ARGUMENTS
    assert len(arguments_text(character * MOST).encode("utf-8")) <= MOST_ARGUMENTS + 3


def test_a_thousand_long_parts_fit_too() -> None:
    asked = Request("anthropic", system=tuple(Text(text="word " * 1_000) for _ in range(1_000)))
    written = str(content_of(asked, None, "full")["gen_ai.system_instructions"])
    assert len(written.encode()) <= MOST
    assert json.loads(written)[999]["content"].startswith("word")


def test_metadata_says_kinds_and_lengths_and_no_word() -> None:
    said = content_of(request("a secret plan"), Response("anthropic", blocks=(Text(text="ok"),)), "metadata")
    assert json.loads(str(said["ccinspect.input.outline"])) == [
        {"role": "user", "parts": [{"type": "text", "size": 13}]}
    ]
    assert "secret" not in str(said)
    assert content_of(request("a secret plan"), None, "none") == {}


def test_a_key_that_would_be_cut_in_two_is_masked_first() -> None:
    for place in range(MOST_ARGUMENTS - 60, MOST_ARGUMENTS, 7):
        assert "sk-ant" not in arguments_text("x" * place + " " + KEY + " and more")
