"""Token counts: each provider's way of telling them, and genai-prices as a judge."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from genai_prices.data_snapshot import get_snapshot
from hypothesis import given
from hypothesis import strategies as st

from ccinspect.wire import usage as u
from ccinspect.wire.model import Usage
from tests.wire import samples

ANTHROPIC = {
    "input_tokens": 10,
    "cache_creation_input_tokens": 300,
    "cache_read_input_tokens": 5000,
    "cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 200},
    "output_tokens": 40,
    "output_tokens_details": {"thinking_tokens": 15},
    "server_tool_use": {"web_search_requests": 2},
}
CHAT = {
    "prompt_tokens": 1000,
    "completion_tokens": 50,
    "total_tokens": 1050,
    "prompt_tokens_details": {"cached_tokens": 600, "cache_write_tokens": 100},
    "completion_tokens_details": {"reasoning_tokens": 20},
}
RESPONSES = {
    "input_tokens": 1000,
    "input_tokens_details": {"cached_tokens": 600, "cache_write_tokens": 100},
    "output_tokens": 50,
    "output_tokens_details": {"reasoning_tokens": 20},
    "total_tokens": 1050,
}
GEMINI = {
    "promptTokenCount": 1000,
    "cachedContentTokenCount": 600,
    "candidatesTokenCount": 30,
    "thoughtsTokenCount": 20,
    "toolUsePromptTokenCount": 7,
    "totalTokenCount": 1057,
}
CONVERSE = {
    "inputTokens": 10,
    "cacheReadInputTokens": 5000,
    "cacheWriteInputTokens": 300,
    "cacheDetails": [{"ttl": "5m", "inputTokens": 100}, {"ttl": "1h", "inputTokens": 200}],
    "outputTokens": 40,
    "totalTokens": 5350,
}

CASES: list[tuple[Callable[[Any], Usage | None], dict[str, Any], Usage]] = [
    (u.anthropic_usage, ANTHROPIC, Usage(10, 5000, 100, 200, None, 40, 15, 2)),
    (u.anthropic_usage, {"input_tokens": 3, "output_tokens": 4}, Usage(input=3, output=4)),
    (u.anthropic_usage, {"input_tokens": 3, "cache_creation_input_tokens": 9}, Usage(input=3, cache_write_5m=9)),
    (
        u.anthropic_usage,
        {"cache_creation_input_tokens": 9, "cache_creation": {"ephemeral_1h_input_tokens": 4}},
        Usage(cache_write_1h=4, cache_write_other=5),
    ),
    (u.openai_chat_usage, CHAT, Usage(input=300, cache_read=600, cache_write_other=100, output=50, reasoning=20)),
    (
        u.openai_chat_usage,
        {"prompt_tokens": 10, "completion_tokens": 5, "prompt_cache_hit_tokens": 4},
        Usage(input=6, cache_read=4, output=5),
    ),
    (u.openai_chat_usage, {"prompt_tokens": 10, "cached_tokens": 4}, Usage(input=6, cache_read=4)),
    (
        u.openai_chat_usage,
        {
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "total_tokens": 22,
            "completion_tokens_details": {"reasoning_tokens": 7},
        },
        Usage(input=10, output=12, reasoning=7),
    ),
    (u.openai_chat_usage, {"prompt_tokens": 3, "total_tokens": 3}, Usage(input=3)),
    (u.openai_responses_usage, RESPONSES, Usage(300, 600, None, None, 100, 50, 20)),
    (u.gemini_usage, GEMINI, Usage(input=407, cache_read=600, output=50, reasoning=20)),
    (u.gemini_usage, {"promptTokenCount": 5}, Usage(input=5)),
    (u.converse_usage, CONVERSE, Usage(10, 5000, 100, 200, None, 40)),
    (u.converse_usage, {"inputTokens": 1, "cacheWriteInputTokens": 3}, Usage(input=1, cache_write_other=3)),
    (u.ollama_usage, {"prompt_eval_count": 26, "eval_count": 290}, Usage(input=26, output=290)),
    (
        u.amazon_q_usage,
        {"uncachedInputTokens": 5, "cacheReadInputTokens": 6, "outputTokens": 7},
        Usage(input=5, cache_read=6, output=7),
    ),
]


@pytest.mark.parametrize(("read", "raw", "expected"), CASES)
def test_counts_are_told_apart(read: Callable[[Any], Usage | None], raw: dict[str, Any], expected: Usage) -> None:
    assert read(raw) == expected


def test_the_whole_context_is_the_same_whether_the_cache_is_told_inside_or_outside() -> None:
    inside, outside = u.openai_chat_usage(CHAT), u.anthropic_usage(ANTHROPIC)
    assert inside is not None
    assert outside is not None
    assert inside.total_input == CHAT["prompt_tokens"]
    assert outside.total_input == 10 + 300 + 5000
    assert inside.total == 1050


READERS = [u.anthropic_usage, u.openai_chat_usage, u.openai_responses_usage, u.gemini_usage, u.converse_usage]
HOSTILE = st.dictionaries(
    st.sampled_from([*ANTHROPIC, *CHAT, *RESPONSES, *GEMINI, *CONVERSE]),
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=3)
    | st.just(10**500)
    | st.lists(
        st.dictionaries(st.sampled_from(["ttl", "inputTokens"]), st.integers() | st.text(max_size=2)), max_size=2
    )
    | st.dictionaries(st.sampled_from(["cached_tokens", "reasoning_tokens"]), st.integers() | st.floats(), max_size=2),
)


@pytest.mark.parametrize("read", READERS)
@given(raw=HOSTILE)
def test_no_count_is_ever_negative_or_raises(read: Callable[[Any], Usage | None], raw: dict[str, Any]) -> None:
    found = read(raw)
    assert found is not None
    counts = [found.input, found.cache_read, found.cache_write, found.output, found.reasoning, found.total]
    assert all(count is None or 0 <= count <= 2**56 for count in counts)


@pytest.mark.parametrize("value", [None, [], "x", 5])
def test_no_usage_is_none_and_not_zero(value: Any) -> None:
    assert all(read(value) is None for read in READERS)


def test_the_final_report_replaces_what_it_says_and_keeps_the_rest() -> None:
    first = u.anthropic_usage({**ANTHROPIC, "output_tokens": 1})
    last = u.anthropic_usage({"input_tokens": 12, "cache_creation_input_tokens": 300, "output_tokens": 99})
    assert first is not None
    assert last is not None
    merged = u.merge_usage(first, last)
    assert (merged.input, merged.cache_write_5m, merged.cache_write_1h, merged.output) == (12, 100, 200, 99)
    assert merged.cache_read == 5000


# genai-prices ships, per provider and API flavor, where in a usage object each count stands. From each of these
# extractors that belongs to a dialect of ours an object is made, and both readers must find the same in it.

AMOUNTS = {
    "input_tokens": 10_000,
    "cache_read_tokens": 300,
    "cache_write_tokens": 200,
    "cache_write_5m_tokens": 120,
    "cache_write_1h_tokens": 80,
    "output_tokens": 500,
    "output_reasoning_tokens": 100,
    "web_searches": 3,
}
# Not dialects of this room: speech, pictures, scans, decisions, and vendors' own formats.
OTHER_FLAVORS = {
    "realtime",
    "images",
    "live",
    "ocr",
    "ocr_annotated",
    "decisions",
    "systemone",
    "usage-event",
    "tokens",
}
OTHER_PROVIDERS = {
    "cohere": "a format of its own",
    "perplexity": "bills citations and reasoning beside its completion, and says no total that would show it",
    "typesafe": "decisions",
    "openai-decisions": "decisions",
}


def reader_for(fields: set[str]) -> Callable[[Any], Usage | None] | None:
    if "prompt_tokens" in fields:
        return u.openai_chat_usage
    if "promptTokenCount" in fields:
        return u.gemini_usage
    if "inputTokens" in fields:
        return u.converse_usage
    if "cache_read_input_tokens" in fields or "cache_creation_input_tokens" in fields:
        return u.anthropic_usage
    return u.openai_responses_usage if "input_tokens" in fields else None


def steps_of(path: Any) -> list[Any]:
    return [path] if isinstance(path, str) else list(path)


def sample_of(extractor: Any) -> dict[str, Any]:
    """A usage object with an amount at each place the extractor reads one from."""
    taken = {steps_of(m.path)[0] for m in extractor.mappings if m.dest not in ("input_tokens", "output_tokens")}
    out: dict[str, Any] = {}
    for mapping in extractor.mappings:
        steps = steps_of(mapping.path)
        if mapping.dest not in AMOUNTS or (mapping.dest.startswith(("input", "output_t")) and steps[0] in taken):
            continue
        place: Any = out
        for step, following in zip(steps, [*steps[1:], None], strict=True):
            if isinstance(step, str):
                if following is None:
                    place[step] = AMOUNTS[mapping.dest]
                else:
                    place = place.setdefault(step, {} if isinstance(following, str) else [])
            else:
                place.append({step.field: step.match.equals})
                place = place[-1]
    return out


def judged() -> list[Any]:
    cases = []
    for provider in get_snapshot().providers:
        for extractor in provider.extractors or []:
            fields = {steps_of(mapping.path)[0] for mapping in extractor.mappings}
            read = reader_for(fields)
            mine = provider.id not in OTHER_PROVIDERS and extractor.api_flavor not in OTHER_FLAVORS
            if read is not None and mine:
                cases.append(pytest.param(extractor, read, id=f"{provider.id}-{extractor.api_flavor}"))
    return cases


CASES_OF_OTHERS = judged()


def test_the_judge_has_something_to_say() -> None:
    assert len(CASES_OF_OTHERS) > 50


@pytest.mark.parametrize(("extractor", "read"), CASES_OF_OTHERS)
def test_genai_prices_counts_the_same(extractor: Any, read: Callable[[Any], Usage | None]) -> None:
    usage = sample_of(extractor)
    outside = any(m.dest == "output_tokens" and "reasoning" in str(m.path) for m in extractor.mappings)
    if outside:
        # Who counts reasoning beside the completion shows it by the total.
        usage["total_tokens"] = usage["prompt_tokens"] + usage["completion_tokens"] + AMOUNTS["output_reasoning_tokens"]
        if "completion_tokens_details" in {steps_of(m.path)[0] for m in extractor.mappings}:
            usage.setdefault("completion_tokens_details", {})["reasoning_tokens"] = AMOUNTS["output_reasoning_tokens"]
        else:
            usage["reasoning_tokens"] = AMOUNTS["output_reasoning_tokens"]
    agree(extractor, read, usage)


REAL = [
    ("anthropic", "default", u.anthropic_usage, samples.ANTHROPIC_RESPONSE["usage"]),
    ("openai", "chat", u.openai_chat_usage, samples.CHAT_RESPONSE["usage"]),
    ("openai", "responses", u.openai_responses_usage, samples.RESPONSES_RESPONSE["usage"]),
    ("google", "default", u.gemini_usage, samples.GEMINI_RESPONSE["usageMetadata"]),
    ("google", "default", u.gemini_usage, GEMINI),
    ("aws", "default", u.converse_usage, samples.CONVERSE_RESPONSE["usage"]),
    ("openai", "chat", u.openai_chat_usage, CHAT),
    ("anthropic", "default", u.anthropic_usage, ANTHROPIC),
]


@pytest.mark.parametrize(("provider", "flavor", "read", "usage"), REAL)
def test_genai_prices_reads_the_samples_the_same(
    provider: str, flavor: str, read: Callable[[Any], Usage | None], usage: dict[str, Any]
) -> None:
    [found] = [item for item in get_snapshot().providers if item.id == provider]
    [extractor] = [item for item in found.extractors or [] if item.api_flavor == flavor]
    agree(extractor, read, usage)


def agree(extractor: Any, read: Callable[[Any], Usage | None], usage: dict[str, Any]) -> None:
    body: dict[str, Any] = usage
    for step in reversed(steps_of(extractor.root)):
        body = {step: body}
    _, theirs = extractor.extract(body)
    ours = read(usage)
    assert ours is not None
    assert theirs.input_tokens == ours.total_input
    assert (theirs.cache_read_tokens or 0) == (ours.cache_read or 0)
    assert (theirs.output_tokens or 0) == (ours.output or 0)
    assert (theirs.output_reasoning_tokens or 0) == (ours.reasoning or 0)
    assert (theirs.cache_write_tokens or 0) == ours.cache_write
