"""Does a request to an unknown host look like a model call, and in which dialect?

Decided by its path and the shape of its JSON. Only the first MAX_SCAN bytes are looked at, by a scanner that never
builds the document, so the cost does not depend on what was sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

MAX_SCAN = 65_536
"""Bytes of a body."""

Outline = dict[str, frozenset[str]]
"""Top-level keys, each with the keys of its value or, in a list, of its first object. Escapes stay."""

# Possessive, and a string without its end counts as one: else hostile quotes would take quadratic time.
_TOKEN = re.compile(rb'"(?P<text>[^"\\]*+(?:\\.[^"\\]*+)*+)(?:"|\\?\Z)|[{}\[\],:]|[^\s"{}\[\],:]++', re.DOTALL)
_MAX_KEYS = 200

# Endings of paths, and the keys that must be there too.
_TELLING_PATHS = (
    ("/chat/completions", "openai_chat", ("messages",)),
    ("/v1/messages", "anthropic", ("messages",)),
    ("/v1/responses", "openai_responses", ("input", "model")),
    ("/v1/completions", "openai_completions", ("prompt",)),
    ("/v1/embeddings", "openai_embeddings", ("input",)),
    ("/converse", "bedrock", ("messages",)),
    ("/converse-stream", "bedrock", ("messages",)),
    ("/api/chat", "ollama", ("messages", "model")),
    ("/api/generate", "ollama", ("prompt", "model")),
    (":generateContent", "gemini", ("contents",)),
    (":generateContent", "gemini", ("request",)),
    (":streamGenerateContent", "gemini", ("contents",)),
    (":streamGenerateContent", "gemini", ("request",)),
)
_SAMPLING = {"model", "stream", "temperature", "max_tokens", "max_completion_tokens", "tools", "top_p"}


def looks_like(path: str, body: bytes, method: str = "POST", headers: Iterable[tuple[bytes, bytes]] = ()) -> str | None:
    """The dialect of a request that looks like a model call, or None.

    `body` is the request's body without its content encoding, or the start of it.
    """
    if method != "POST":
        return None
    keys = outline(body)
    if not keys:
        return None
    bare = path.split("?", 1)[0]
    for ending, dialect, needed in _TELLING_PATHS:
        if bare.endswith(ending) and all(name in keys for name in needed):
            return dialect
    names = {name.lower() for name, _ in headers}
    return _by_shape(keys, whole=len(body) <= MAX_SCAN, anthropic=b"anthropic-version" in names)


def _by_shape(keys: Outline, whole: bool, anthropic: bool) -> str | None:
    messages = keys.get("messages", frozenset())
    # Of a body that was not seen to its end, the sampling settings may stand behind the messages.
    asks = bool(_SAMPLING & keys.keys()) or not whole
    if {"role", "content"} <= messages and asks:
        if anthropic or ("system" in keys and "max_tokens" in keys):
            return "anthropic"
        return "bedrock" if "inferenceConfig" in keys else "openai_chat"
    if "parts" in keys.get("contents", ()) or "contents" in keys.get("request", ()):
        return "gemini"
    if "input" in keys and "model" in keys and keys.keys() & {"instructions", "tools", "previous_response_id", "store"}:
        return "openai_responses"
    if "prompt" in keys and "model" in keys and keys.keys() & _SAMPLING - {"model"}:
        return "openai_completions"
    if "conversationState" in keys:
        return "amazon_q"
    return None


def outline(body: bytes) -> Outline:
    """The upper part of a JSON object's shape; empty for anything else. Never raises."""
    head = body[:MAX_SCAN].lstrip(b"\xef\xbb\xbf \t\r\n")
    if head[:1] != b"{":
        return {}
    found: dict[str, set[str]] = {}
    stack: list[int] = []
    key = ""
    awaiting_key = False
    first_object: dict[str, int] = {}
    for token in _TOKEN.finditer(head):
        mark = token[0][0]
        if mark in b"{[":
            stack.append(mark)
            awaiting_key = mark == ord("{")
            if awaiting_key and 1 < len(stack) <= 3:
                first_object[key] = first_object.get(key, 0) + 1
        elif mark in b"}]":
            if stack:
                stack.pop()
            if not stack:
                break
            awaiting_key = False
        elif mark == ord(","):
            awaiting_key = bool(stack) and stack[-1] == ord("{")
        elif mark == ord(":"):
            awaiting_key = False
        elif awaiting_key and token["text"] is not None:
            name = token["text"][:100].decode("utf-8", "replace")
            if len(stack) == 1:
                key = name
                if len(found) < _MAX_KEYS:
                    found.setdefault(key, set())
            elif _in_first_object(stack, first_object.get(key)) and len(found.get(key, ())) < _MAX_KEYS:
                found.setdefault(key, set()).add(name)
    return {name: frozenset(inner) for name, inner in found.items()}


def _in_first_object(stack: list[int], objects: int | None) -> bool:
    """Directly in the object that is a top-level value, or in the first object of a top-level list."""
    return objects == 1 and (len(stack) == 2 or (len(stack) == 3 and stack[1] == ord("[")))
