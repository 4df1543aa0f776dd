"""Token counts: each dialect's way of telling them, turned into the one canonical Usage.

The trap is what a number includes. Anthropic's `input_tokens` leaves out what the cache served and stored; OpenAI's
`prompt_tokens`, Gemini's `promptTokenCount` and their kin include it. Bedrock Converse counts as Anthropic does.
"""

from __future__ import annotations

from dataclasses import fields, replace

from ccinspect.wire.jsontext import as_count, as_list, as_object
from ccinspect.wire.model import Json, JsonObject, Usage


def anthropic_usage(value: Json) -> Usage | None:
    """`usage` of an Anthropic message, or of its `message_start` and `message_delta` events."""
    if not isinstance(value, dict):
        return None
    by_ttl = as_object(value.get("cache_creation"))
    five, hour = as_count(by_ttl.get("ephemeral_5m_input_tokens")), as_count(by_ttl.get("ephemeral_1h_input_tokens"))
    written = as_count(value.get("cache_creation_input_tokens"))
    if five is None and hour is None:
        # Five minutes is the default lifetime, and was the only one before the split was reported.
        five, other = written, None
    else:
        rest = (written or 0) - (five or 0) - (hour or 0)
        other = rest if rest > 0 else None
    return Usage(
        input=as_count(value.get("input_tokens")),
        cache_read=as_count(value.get("cache_read_input_tokens")),
        cache_write_5m=five,
        cache_write_1h=hour,
        cache_write_other=other,
        output=as_count(value.get("output_tokens")),
        reasoning=as_count(as_object(value.get("output_tokens_details")).get("thinking_tokens")),
        web_searches=as_count(as_object(value.get("server_tool_use")).get("web_search_requests")),
        raw=value,
    )


def openai_chat_usage(value: Json) -> Usage | None:
    """`usage` of Chat Completions, legacy Completions and Embeddings, by OpenAI and the many that copied it."""
    if not isinstance(value, dict):
        return None
    details = as_object(value.get("prompt_tokens_details"))
    # OpenAI; then DeepSeek; Moonshot and Anthropic's own compatibility layer; LiteLLM and Databricks; xAI; Mistral.
    read = _first(
        details.get("cached_tokens"),
        value.get("prompt_cache_hit_tokens"),
        value.get("cached_tokens"),
        value.get("cache_read_input_tokens"),
        value.get("cached_prompt_text_tokens"),
        value.get("num_cached_tokens"),
    )
    written = _first(details.get("cache_write_tokens"), value.get("cache_creation_input_tokens"))
    prompt = as_count(value.get("prompt_tokens"))
    completion = as_count(value.get("completion_tokens"))
    of_output = as_object(value.get("completion_tokens_details"))
    reasoning = _first(of_output.get("reasoning_tokens"), value.get("reasoning_tokens"))
    total = as_count(value.get("total_tokens"))
    if reasoning and completion is not None and total == (prompt or 0) + completion + reasoning:
        # xAI counts reasoning beside the completion; its total gives it away.
        completion += reasoning
    return Usage(
        input=_without(prompt, read, written),
        cache_read=read,
        cache_write_other=written,
        output=completion,
        reasoning=reasoning,
        web_searches=as_count(value.get("num_search_queries")),
        raw=value,
    )


def openai_responses_usage(value: Json) -> Usage | None:
    if not isinstance(value, dict):
        return None
    details = as_object(value.get("input_tokens_details"))
    read = _first(details.get("cached_tokens"), details.get("cache_read_input_tokens"))
    written = as_count(details.get("cache_write_tokens"))
    return Usage(
        input=_without(as_count(value.get("input_tokens")), read, written),
        cache_read=read,
        cache_write_other=written,
        output=as_count(value.get("output_tokens")),
        reasoning=as_count(as_object(value.get("output_tokens_details")).get("reasoning_tokens")),
        raw=value,
    )


def gemini_usage(value: Json) -> Usage | None:
    """`usageMetadata`: thoughts stand beside the candidates, prompts of server-side tools beside the prompt."""
    if not isinstance(value, dict):
        return None
    read = as_count(value.get("cachedContentTokenCount"))
    thoughts = as_count(value.get("thoughtsTokenCount"))
    return Usage(
        input=_without(_sum(value, "promptTokenCount", "toolUsePromptTokenCount"), read),
        cache_read=read,
        output=_sum(value, "candidatesTokenCount", "thoughtsTokenCount"),
        reasoning=thoughts,
        raw=value,
    )


def ollama_usage(value: JsonObject) -> Usage | None:
    """The counters of Ollama's last line; what its prompt cache served is not told."""
    prompt, output = as_count(value.get("prompt_eval_count")), as_count(value.get("eval_count"))
    if prompt is None and output is None:
        return None
    raw = {key: value[key] for key in value if key.endswith(("_count", "_duration"))}
    return Usage(input=prompt, output=output, raw=raw)


def converse_usage(value: Json) -> Usage | None:
    """`usage` of Bedrock Converse; `inputTokens` leaves out the cache, as with Anthropic."""
    if not isinstance(value, dict):
        return None
    by_ttl: dict[str, int] = {}
    for detail in as_list(value.get("cacheDetails")):
        detail = as_object(detail)
        by_ttl.setdefault(str(detail.get("ttl")), as_count(detail.get("inputTokens")) or 0)
    written = as_count(value.get("cacheWriteInputTokens"))
    five, hour = by_ttl.get("5m"), by_ttl.get("1h")
    other = written if five is None and hour is None else None
    return Usage(
        input=as_count(value.get("inputTokens")),
        cache_read=as_count(value.get("cacheReadInputTokens")),
        cache_write_5m=five,
        cache_write_1h=hour,
        cache_write_other=other,
        output=as_count(value.get("outputTokens")),
        raw=value,
    )


def amazon_q_usage(value: Json) -> Usage | None:
    if not isinstance(value, dict):
        return None
    return Usage(
        input=as_count(value.get("uncachedInputTokens")),
        cache_read=as_count(value.get("cacheReadInputTokens")),
        cache_write_other=as_count(value.get("cacheWriteInputTokens")),
        output=as_count(value.get("outputTokens")),
        raw=value,
    )


_COUNTS = tuple(field.name for field in fields(Usage) if field.name != "raw")


def merge_usage(old: Usage | None, new: Usage) -> Usage:
    """A later report over an earlier one: what the later one says counts, the rest stays."""
    if old is None:
        return new
    said = {name: value for name in _COUNTS if (value := getattr(new, name)) is not None}
    # A final report without the split by lifetime repeats the sum under its default; the split is known already.
    split_known = old.cache_write_1h is not None and new.cache_write_1h is None
    if split_known and said.get("cache_write_5m") == old.cache_write:
        del said["cache_write_5m"]
    raw = {**old.raw, **new.raw} if isinstance(old.raw, dict) and isinstance(new.raw, dict) else new.raw
    return replace(old, raw=raw, **said)


def encode_anthropic_usage(usage: Usage | None) -> JsonObject:
    usage = usage or Usage()
    out: JsonObject = {
        "input_tokens": usage.input or 0,
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cache_read or 0,
        "output_tokens": usage.output or 0,
    }
    if usage.cache_write_1h is not None:
        five = usage.cache_write - usage.cache_write_1h
        out["cache_creation"] = {
            "ephemeral_5m_input_tokens": five,
            "ephemeral_1h_input_tokens": usage.cache_write_1h,
        }
    if usage.reasoning is not None:
        out["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    if usage.web_searches:
        out["server_tool_use"] = {"web_search_requests": usage.web_searches, "web_fetch_requests": 0}
    return out


def encode_openai_chat_usage(usage: Usage) -> JsonObject:
    out: JsonObject = {
        "prompt_tokens": usage.total_input,
        "completion_tokens": usage.output or 0,
        "total_tokens": usage.total,
    }
    if usage.cache_read is not None or usage.cache_write:
        out["prompt_tokens_details"] = {"cached_tokens": usage.cache_read or 0}
        if usage.cache_write:
            out["prompt_tokens_details"]["cache_write_tokens"] = usage.cache_write
    if usage.reasoning is not None:
        out["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning}
    return out


def encode_openai_responses_usage(usage: Usage) -> JsonObject:
    return {
        "input_tokens": usage.total_input,
        "input_tokens_details": {"cached_tokens": usage.cache_read or 0, "cache_write_tokens": usage.cache_write},
        "output_tokens": usage.output or 0,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning or 0},
        "total_tokens": usage.total,
    }


def encode_gemini_usage(usage: Usage) -> JsonObject:
    thoughts = min(usage.reasoning or 0, usage.output or 0)
    out: JsonObject = {
        "promptTokenCount": usage.total_input,
        "candidatesTokenCount": (usage.output or 0) - thoughts,
        "totalTokenCount": usage.total,
    }
    if usage.cache_read is not None:
        out["cachedContentTokenCount"] = usage.cache_read
    if usage.reasoning is not None:
        out["thoughtsTokenCount"] = thoughts
    return out


def encode_ollama_usage(usage: Usage) -> JsonObject:
    return {"prompt_eval_count": usage.total_input, "eval_count": usage.output or 0}


def _first(*values: Json) -> int | None:
    return next((count for value in values if (count := as_count(value)) is not None), None)


def _sum(value: JsonObject, *names: str) -> int | None:
    counts = [count for name in names if (count := as_count(value.get(name))) is not None]
    return sum(counts) if counts else None


def _without(whole: int | None, *parts: int | None) -> int | None:
    if whole is None:
        return None
    return max(0, whole - sum(part or 0 for part in parts))
