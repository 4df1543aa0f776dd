from __future__ import annotations

import pytest

from ccinspect.analyser.composition import Category, compose, measure
from ccinspect.analyser.identity import tool_identity
from ccinspect.analyser.tokens import Count, MemoryCache, Scheme, Span, TokenCounter, scheme_for
from ccinspect.wire.anthropic.decode import read_request as read_messages
from ccinspect.wire.model import (
    CacheMarker,
    Media,
    Refusal,
    Request,
    Signature,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Unknown,
)
from ccinspect.wire.openai_chat.decode import read_request
from tests.analyser.talk import COUNTS
from tests.analyser.test_media import png

O200K = Scheme("o200k_base", "anthropic", "claude-sonnet-4-5")

# The two examples of OpenAI's cookbook, "How to count tokens with tiktoken", with what its API counted for each model.
JARGON = [
    (
        "system",
        None,
        "You are a helpful, pattern-following assistant that translates corporate jargon into plain English.",
    ),
    ("system", "example_user", "New synergies will help drive top-line growth."),
    ("system", "example_assistant", "Things working well together will increase revenue."),
    (
        "system",
        "example_user",
        "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage.",
    ),
    ("system", "example_assistant", "Let's talk later when we're less busy about how to do better."),
    ("user", None, "This late pivot means we don't have time to boil the ocean for the client deliverable."),
]
WEATHER = [
    ("system", None, "You are a helpful assistant that can answer to questions about the weather."),
    ("user", None, "What's the weather like in San Francisco?"),
]
WEATHER_TOOL = {
    "type": "function",
    "function": {
        "name": "get_current_weather",
        "description": "Get the current weather in a given location",
        "parameters": {
            "type": "object",
            "properties": {
                "location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"},
                "unit": {
                    "type": "string",
                    "description": "The unit of temperature to return",
                    "enum": ["celsius", "fahrenheit"],
                },
            },
            "required": ["location"],
        },
    },
}


def chat(model, talk, **fields):
    messages = [{"role": role, "content": text, **({"name": name} if name else {})} for role, name, text in talk]
    return read_request({"model": model, "messages": messages, **fields})


@pytest.mark.parametrize(
    ("model", "talk", "tools", "counted"),
    [
        ("gpt-3.5-turbo", JARGON, None, 129),
        ("gpt-4-0613", JARGON, None, 129),
        ("gpt-4", JARGON, None, 129),
        ("gpt-4o", JARGON, None, 124),
        ("gpt-4o-mini", JARGON, None, 124),
        ("gpt-3.5-turbo", WEATHER, [WEATHER_TOOL], 105),
        ("gpt-4", WEATHER, [WEATHER_TOOL], 105),
        ("gpt-4o", WEATHER, [WEATHER_TOOL], 101),
        ("gpt-4o-mini", WEATHER, [WEATHER_TOOL], 101),
    ],
)
def test_estimates_are_what_openai_counted_in_its_examples(model, talk, tools, counted):
    request = chat(model, talk, **({"tools": tools} if tools else {}))
    assert compose(measure(request, TokenCounter(COUNTS)), None).total == counted


# The examples of Anthropic's page "Token counting", with what it answers for Claude Opus 5.
SCIENTIST = {"system": "You are a scientist", "messages": [{"role": "user", "content": "Hello, Claude"}]}
FORECAST = {
    "messages": [{"role": "user", "content": "What's the weather like in San Francisco?"}],
    "tools": [
        {
            "name": "get_weather",
            "description": "Get the current weather in a given location",
            "input_schema": {
                "type": "object",
                "properties": {
                    "location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"}
                },
                "required": ["location"],
            },
        }
    ],
}


@pytest.mark.parametrize(("body", "counted"), [(SCIENTIST, 14), (FORECAST, 403)])
def test_estimates_are_near_what_anthropic_counts_in_its_examples(body, counted):
    request = read_messages({"model": "claude-opus-5", **body})
    assert abs(compose(measure(request, TokenCounter(COUNTS)), None).total - counted) <= 0.05 * counted


@pytest.mark.parametrize(
    ("model", "tokenizer"),
    [("claude-opus-4-6", "claude-3"), ("claude-3-5-haiku-latest", "claude-3"), ("claude-opus-4-7", "claude-4.7"),
     ("claude-sonnet-5", "claude-4.7"), ("gpt-5", "openai"), ("gemini-3-pro", "gemini"), ("llama3", "other")],
)  # fmt: skip
def test_tokenizers(model, tokenizer):
    assert scheme_for("ollama", model).tokenizer == tokenizer


@pytest.mark.parametrize(
    ("dialect", "model", "scheme"),
    [
        ("anthropic", "claude-sonnet-4-5", ("o200k_base", "anthropic")),
        ("openai_chat", "anthropic/claude-sonnet-4.5", ("o200k_base", "anthropic")),
        ("openai_chat", "gpt-4", ("cl100k_base", "openai")),
        ("openai_responses", "gpt-5-codex", ("o200k_base", "openai")),
        ("anthropic", "gpt-5", ("o200k_base", "openai")),
        ("gemini", "gemini-2.5-pro", ("o200k_base", "gemini")),
        ("ollama", "llama3", ("o200k_base", "other")),
        ("openai_chat", None, ("o200k_base", "openai")),
    ],
)
def test_schemes(dialect, model, scheme):
    found = scheme_for(dialect, model)
    assert (found.encoding, found.family) == scheme


class Watching(MemoryCache):
    """A cache that tells what was counted anew."""

    def __init__(self):
        super().__init__()
        self.counted = []

    def put_many(self, counts):
        self.counted += counts
        super().put_many(counts)


def test_each_distinct_block_is_counted_once():
    cache = Watching()
    counter = TokenCounter(cache)
    block = Text("the same words")
    assert counter.count_block(block, O200K) == Count(3)
    assert len(cache.counted) == 1
    counter.count_block(Text("the same words", cache=CacheMarker(), path=("x",)), O200K)
    counter.count_block(Text("x-anthropic-billing-header: 7\nthe same words"), O200K)
    assert len(cache.counted) == 1
    counter.count_block(block, Scheme("cl100k_base", "openai", "gpt-4"))
    assert len(cache.counted) == 2


def test_lines_that_change_with_each_call_are_counted_all_the_same():
    plain = Request("anthropic", model="claude-sonnet-4-5", system=(Text("You are Claude Code."),))
    line = "x-anthropic-billing-header: cc_version=2.1.3;\n"
    billed = Request("anthropic", model="claude-sonnet-4-5", system=(Text(line + "You are Claude Code."),))
    totals = [
        compose(measure(each, TokenCounter(COUNTS)), None).categories["system_prompt"] for each in (plain, billed)
    ]
    assert totals[1] > totals[0]


def test_the_memory_cache_keeps_the_newest():
    cache = MemoryCache(limit=2)
    cache.put_many({"a": Count(1), "b": Count(2)})
    cache.get_many(["a"])
    cache.put_many({"c": Count(3)})
    assert cache.get_many(["a", "b", "c"]) == {"a": Count(1), "c": Count(3)}


def test_a_text_with_files_is_counted_in_stretches_that_sum_up():
    text = "Please fix\n\na.py\n```\nx = 1\n```\nand thank you"
    count = TokenCounter(COUNTS).count_block(Text(text), O200K)
    assert [span.file for span in count.spans] == [None, "a.py", None]
    assert sum(span.tokens for span in count.spans) == count.tokens
    assert Count.from_json(count.to_json()) == count
    assert count.spans[1] == Span(count.spans[1].tokens, "a.py")


@pytest.mark.parametrize(
    ("block", "opaque"),
    [
        (Text("words"), False),
        (Refusal("no"), False),
        (Thinking("hm, well"), False),
        (Thinking("hm, well", signature=Signature("s", "anthropic")), False),
        (Thinking(redacted=True, signature=Signature("sealed", "anthropic")), True),
        (Thinking("in short", summary=True), True),
        (Media(data=png(100, 100)), False),
        (Media(text="a plain document", kind="document"), False),
        (Media(file_id="file-1"), True),
        (Media(url="https://example.com/a.png"), True),
        (Unknown(kind="odd", text="words", raw={"type": "odd"}), False),
        (Unknown(kind="odd", raw={"type": "odd", "data": "x"}), True),
        (ToolCall(id="1", name="Read", arguments={"path": "a"}), False),
        (ToolResult(call_id="1", content=(Unknown(kind="odd", raw={"data": "x"}),)), True),
    ],
)
def test_blocks_that_cannot_be_seen_say_so(block, opaque):
    assert TokenCounter(COUNTS).count_block(block, O200K).opaque is opaque


def test_images_in_a_tool_result_are_parts_of_their_own():
    result = ToolResult(call_id="1", content=(Text("a picture"), Media(data=png(280, 280))))
    words = TokenCounter(COUNTS).count_block(result, O200K)
    assert words == Count(2)


def _of_tool(counter: TokenCounter, tool: Tool, scheme: Scheme) -> int:
    identity = tool_identity(tool)
    return counter.count_all([(identity, tool)], scheme)[identity].tokens


def test_schemas_of_openai_tools_count_at_any_depth_and_bounded():
    counter = TokenCounter(COUNTS)
    scheme = scheme_for("openai_chat", "gpt-4o")
    flat = {"type": "object", "properties": {"a": {"type": "string", "description": "An a"}}}
    nested = {"type": "object", "properties": {"a": {"type": "object", "description": "An a", "properties": {"b": {}}}}}
    listed = {"type": "object", "properties": {"a": {"type": "array", "description": "An a", "items": nested}}}
    counts = [_of_tool(counter, Tool("f", "Does.", schema), scheme) for schema in ({}, flat, nested, listed)]
    assert counts == sorted(counts)
    assert counts[0] < counts[1]
    deep: dict = {}
    for _ in range(150):
        deep = {"type": ["object", "null"], "properties": {"a": deep, "b": 5}, "enum": [1, None, {"x": []}]}
    assert _of_tool(counter, Tool("f", None, deep), scheme) > 0


def test_a_built_in_tool_counts_as_it_is_written():
    tool = Tool("web_search", kind="web_search_20250305", raw={"type": "web_search_20250305", "name": "web_search"})
    assert _of_tool(TokenCounter(COUNTS), tool, O200K) > 5


def test_the_frame_of_tools_depends_on_the_choice():
    def tools(**fields):
        request = chat("claude-sonnet-4-5", WEATHER, tools=[WEATHER_TOOL], **fields)
        parts = measure(request, TokenCounter(COUNTS))
        return sum(part.tokens for part in parts if part.kind == "framing" and part.category is Category.TOOLS)

    assert tools() == 346
    assert tools(tool_choice="required") == 313
