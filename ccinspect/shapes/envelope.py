"""What of a request is envelope and what is content, what names a person or a program, and what may not be stamped.

Tables by dialect; docs/shapes.md says how they are used.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from ccinspect.store import secret_names

MERGED_HEADERS = frozenset({"anthropic-beta", "openai-beta"})
"""Lists of features: a shape's are added to the client's, in whose place they would break it."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """The top-level fields of one dialect's requests, but for `content` and `ids`, which are paths."""

    prompts: tuple[str, ...]
    """What was said: never in a shape."""
    definitions: tuple[str, ...]
    """System prompt and tools: in a shape only where a person asks for them."""
    content: tuple[str, ...]
    """What a caller asks for, besides the above: taken from the request a shape is filled with."""
    settings: tuple[str, ...]
    """The rest that is known."""
    ids: tuple[str, ...] = ()
    """Names of users, sessions and things kept at the provider."""
    exclusive: tuple[frozenset[str], ...] = ()
    """Fields of which the provider takes one at a time."""

    @property
    def live(self) -> tuple[str, ...]:
        """The `content_fields` of a captured shape."""
        fields = (*self.content, *self.definitions, *self.prompts)
        return tuple(field if field.startswith(".") else f".{field}" for field in fields)

    @property
    def known(self) -> frozenset[str]:
        paths = (*self.prompts, *self.definitions, *self.content, *self.settings, *self.ids)
        return frozenset(path.lstrip(".").split(".")[0] for path in paths)


ENVELOPES: dict[str, Envelope] = {
    "anthropic": Envelope(
        prompts=("messages",),
        definitions=("system", "tools"),
        content=(
            *("model", "stream", "max_tokens", "stop_sequences", "tool_choice", "output_config", "output_format"),
            *("mcp_servers", "container"),
        ),
        settings=(
            *(
                "cache_control",
                "context_management",
                "diagnostics",
                "fallbacks",
                "inference_geo",
                "metadata",
                "service_tier",
            ),
            *("speed", "temperature", "thinking", "top_k", "top_p", "user_profile_id", "betas", "anthropic_version"),
        ),
        ids=(".metadata.user_id", ".container", ".user_profile_id", ".diagnostics"),
    ),
    "openai_chat": Envelope(
        prompts=("messages", "prediction"),
        definitions=("tools", "functions"),
        content=(
            *("model", "stream", "stream_options", "stop", "tool_choice", "parallel_tool_calls", "function_call", "n"),
            *(
                "max_tokens",
                "max_completion_tokens",
                "response_format",
                "modalities",
                "audio",
                "logprobs",
                "top_logprobs",
            ),
            "web_search_options",
        ),
        settings=(
            *("frequency_penalty", "logit_bias", "metadata", "moderation", "presence_penalty", "prompt_cache_key"),
            *("prompt_cache_options", "prompt_cache_retention", "reasoning_effort", "safety_identifier", "seed"),
            *("service_tier", "store", "temperature", "top_p", "user", "verbosity"),
        ),
        ids=(".user", ".safety_identifier", ".prompt_cache_key", ".metadata"),
        exclusive=(frozenset({"max_tokens", "max_completion_tokens"}),),
    ),
    "openai_responses": Envelope(
        prompts=("input", "prompt"),
        definitions=("instructions", "tools"),
        content=(
            *("model", "stream", "stream_options", "tool_choice", "parallel_tool_calls", "max_output_tokens", "text"),
            *(
                "previous_response_id",
                "conversation",
                "include",
                "background",
                "max_tool_calls",
                "top_logprobs",
                "store",
            ),
        ),
        settings=(
            *("context_management", "metadata", "moderation", "prompt_cache_key", "prompt_cache_options"),
            *("prompt_cache_retention", "reasoning", "safety_identifier", "service_tier", "temperature", "top_p"),
            *("truncation", "user", "client_metadata"),
        ),
        ids=(
            *(".user", ".safety_identifier", ".prompt_cache_key", ".previous_response_id", ".conversation"),
            *(".metadata", ".client_metadata"),
        ),
    ),
    "gemini": Envelope(
        prompts=("contents",),
        definitions=("systemInstruction", "tools"),
        content=(
            *("model", "toolConfig", "cachedContent", ".generationConfig.responseMimeType"),
            *(
                ".generationConfig.responseSchema",
                ".generationConfig.responseJsonSchema",
                ".generationConfig.stopSequences",
            ),
            *(".generationConfig.maxOutputTokens", ".generationConfig.responseModalities"),
        ),
        settings=("generationConfig", "safetySettings", "labels", "serviceTier", "store"),
        ids=(".cachedContent", ".labels"),
    ),
    "ollama": Envelope(
        prompts=("messages", "prompt", "suffix", "images", "context"),
        definitions=("system", "tools", "template"),
        content=("model", "stream", "format", "raw", ".options.stop", ".options.num_predict"),
        settings=("options", "keep_alive", "think", "logprobs", "top_logprobs", "truncate", "shift"),
    ),
}

# A message between two neighbours, not of the request (RFC 9110, 7.6.1), and what follows from the body.
_OF_THE_CONNECTION = frozenset(
    {
        *("host", "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"),
        *(
            "content-length",
            "content-encoding",
            "content-type",
            "expect",
            "accept-encoding",
            "accept",
            "http2-settings",
        ),
        *("date", "via", "forwarded", "content-md5", "digest", "content-digest", "alt-used", "priority"),
    }
)
# Which program, on which machine, sent it. A shape must not say this of another one.
_IDENTITY = re.compile(
    r"user-agent|x-stainless-.*|x-app|originator|x-goog-api-client|x-client-.*|x-title|x-openrouter-.*|referer|http-referer"
    r"|origin|sec-.*|x-claude-.*|anthropic-client-.*|anthropic-dangerous-.*|x-anthropic-.*|x-codex-.*|x-opencode-.*"
    r"|x-cursor-.*|x-gemini-.*|copilot-.*|editor-.*|x-github-.*|x-initiator|x-interaction-.*|x-amzn-.*|amz-sdk-.*|version"
    r"|accept-language|dnt|x-requested-with|x-vscode-.*|x-machine-.*|vscode-.*"
)
_IDS = re.compile(
    r"(?:^|-)(?:session|request|trace|span|correlation|account|user|organi[sz]ation|org|project|device|machine|installation"
    r"|conversation|thread|turn|task|prompt|agent|client|tenant|workspace|parent|window)-?(?:uuid|id)$"
    r"|^traceparent$|^tracestate$|^baggage$|^b3$|^x-b3-|^idempotency-key$|^x-forwarded-|^x-real-ip$|^openai-project$"
    r"|session|affinity|fingerprint|telemetry|^openai-organization$|^session_id$|^conversation_id$|^x-goog-user-project$|^chatgpt-account-id$|^sentry-"
)
_OURS = re.compile(r"x-ccinspect-.*")

IDENTITY_BETA = re.compile(r"(?:claude-code|oauth)-\d{4}.*|ccr-.*")
"""Features that only a vendor's own client and login may ask for."""
IDENTITY_TEXT = re.compile(
    r"(?m)^[ \t]*(?:x-anthropic-billing-header:|You are Claude Code, Anthropic's official CLI for Claude)[^\n]*\n?"
)
"""Lines of a system prompt by which a vendor's client makes itself known."""

# Names of JSON fields that hold an id of someone or of something that was going on.
_ID_FIELDS = re.compile(
    r"(?:^|_)(?:user|session|account|device|machine|installation|organization|org|project|conversation|thread|turn|tenant"
    r"|customer|employee|workspace|window|previous_response|safety|end_user)_?(?:id|uuid|identifier|key)$"
    r"|^(?:user|prompt_cache_key|conversation|x_codex_.*|email|e_mail|username|user_name|hostname|cwd|working_directory)$"
)


@lru_cache(maxsize=1024)
def header_kind(name: str) -> str | None:
    """Why a shape cannot hold this header: `credential`, `connection`, `identity`, `id` or `ours`; None: it can."""
    lower = name.lower()
    if secret_names.is_secret_header(name) or secret_names.is_cookie_header(name):
        return "credential"
    if _OURS.fullmatch(lower):
        return "ours"
    if lower in _OF_THE_CONNECTION or lower.startswith(("proxy-", "if-", "x-envoy-")):
        return "connection"
    if _IDS.search(lower):
        return "id"
    return "identity" if _IDENTITY.fullmatch(lower) else None


@lru_cache(maxsize=4096)
def is_id_field(name: str) -> bool:
    """Whether a JSON field of this name holds the id of a person, a machine, or a session."""
    return _ID_FIELDS.search(secret_names.normal(name)) is not None
