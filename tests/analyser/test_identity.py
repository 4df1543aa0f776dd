from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccinspect.analyser.identity import block_identity, digest, request_chain, said_hash, split_volatile, tool_identity
from ccinspect.wire.model import (
    Block,
    CacheMarker,
    Media,
    Refusal,
    Signature,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Unknown,
)
from tests.analyser.talk import assistant, call, request, result, user

BLOCKS: list[Block] = [
    Text("hello"),
    Thinking("hello"),
    Thinking(redacted=True, signature=Signature("sealed", "anthropic")),
    ToolCall(id="1", name="Read", arguments={"path": "a"}),
    ToolCall(id="1", name="Read", arguments='{"path": "a"'),
    ToolResult(call_id="1", content=(Text("hello"),)),
    ToolResult(call_id="1", content=(Text("hello"),), is_error=True),
    Media(data="aGVsbG8="),
    Media(url="hello"),
    Refusal("hello"),
    Unknown(kind="odd", raw={"type": "odd", "x": 1}),
]


def test_different_blocks_have_different_identities():
    assert len({block_identity(block) for block in BLOCKS}) == len(BLOCKS)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: type(block).__name__)
def test_cache_markers_and_places_are_no_part_of_the_identity(block):
    marked = replace(block, cache=CacheMarker("1h"), path=("messages", 7), extra={"more": 1})
    assert block_identity(marked) == block_identity(block)


def test_a_marker_in_a_block_nobody_knows_is_lifted_out_too():
    raw = {"type": "odd", "x": 1, "cache_control": {"type": "ephemeral"}}
    assert block_identity(Unknown(kind="odd", raw=raw)) == block_identity(BLOCKS[-1])


def test_ids_are_no_part_of_the_identity():
    assert block_identity(replace(BLOCKS[3], id="2")) == block_identity(BLOCKS[3])


def test_lines_that_change_with_each_call_are_lifted_out():
    one = "x-anthropic-billing-header: cc_version=2.1.3; cch=abc;\nYou are Claude Code."
    other = "x-anthropic-billing-header: cc_version=2.1.3; cch=def;\nYou are Claude Code."
    assert block_identity(Text(one)) == block_identity(Text(other)) == block_identity(Text("You are Claude Code."))
    assert split_volatile(one) == (one.split("\n")[0] + "\n", "You are Claude Code.")


def test_the_same_line_further_down_is_part_of_the_text():
    text = "Explain:\nx-anthropic-billing-header: 1"
    assert split_volatile(text) == ("", text)


def test_tools_differ_by_schema_and_server_but_not_by_marker():
    tool = Tool("Read", "reads", {"type": "object"})
    assert tool_identity(tool) == tool_identity(replace(tool, cache=CacheMarker(), path=("tools", 3)))
    others = [replace(tool, schema={}), replace(tool, server="s"), replace(tool, description="r"), Tool("Read")]
    assert len({tool_identity(each) for each in (tool, *others)}) == 5


@given(st.lists(st.text(), max_size=4), st.lists(st.text(), max_size=4))
def test_a_digest_stands_for_its_parts_and_their_borders(one, other):
    assert (digest(*one) == digest(*other)) == (one == other)


def test_lone_surrogates_can_be_hashed():
    assert block_identity(Text("\ud83d")) != block_identity(Text("\ud83e"))


def test_the_chain_of_a_longer_conversation_begins_with_that_of_the_shorter():
    talk = [user("hi"), assistant("yes?", call("1", "Read", path="a")), user(result("1", "text"))]
    shorter, _ = request_chain(request(*talk[:1]))
    longer, identities = request_chain(request(*talk))
    assert longer[:1] == shorter
    assert len(set(longer)) == 3
    assert [len(each) for each in identities] == [1, 2, 1]


def test_messages_of_one_role_in_a_row_are_as_one():
    apart, _ = request_chain(request(user("a"), user("b"), assistant("c"), assistant(call("1", "Read")), user()))
    joined, _ = request_chain(request(user("a", "b"), assistant("c", call("1", "Read"))))
    assert apart[-1] == joined[-1]
    swapped, _ = request_chain(request(user("b", "a"), assistant("c", call("1", "Read"))))
    assert swapped[-1] != joined[-1]


def test_the_chain_tells_calls_apart_that_have_the_same_words():
    one, _ = request_chain(request(user("hi"), assistant(call("1", "Read", path="a"))))
    other, _ = request_chain(request(user("hi"), assistant(call("2", "Read", path="a"))))
    assert one[0] == other[0]
    assert one[1] != other[1]


def test_an_answer_is_known_again_in_the_shape_that_history_gives_it():
    told = (Thinking("hm"), Text("I will "), Text("read it."), ToolCall(id="1", name="Read", arguments={"a": 1}))
    again = (Text("I will\nread it.", cache=CacheMarker()), ToolCall(id="x", name="Read", arguments='{"a":1}'))
    assert said_hash(told) == said_hash(again) is not None
    assert said_hash((Text("I will read that."),)) != said_hash(told)
    assert said_hash((Thinking("hm"),)) is None
