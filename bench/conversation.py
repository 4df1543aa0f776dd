"""Request bodies of one long agent session, as they cross the wire: also used by the store's tests.

Each turn sends the whole history again, with what happened since at its end. The marker `cache_control` moves along
with the end, and a line of the system prompt differs with each call, as agents have it.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

_SYLLABLES = [a + b for a in "bcdfghjklmnprstvwz" for b in ("a", "e", "i", "o", "u", "an", "er", "is")]


def conversation(turns: int = 200, last_size: int = 800_000, seed: int = 1) -> Iterator[bytes]:
    """The bodies of `turns` requests in order; the last has about `last_size` bytes."""
    rng = random.Random(seed)
    words = ["".join(rng.choices(_SYLLABLES, k=rng.randint(1, 4))) for _ in range(6000)]
    weights = [1 / (rank + 3) for rank in range(len(words))]
    system = _text(rng, words, weights, 12_000)
    tools = [_tool(rng, words, weights, number) for number in range(18)]
    fixed = len(system) + len(json.dumps(tools))
    per_turn = max(400, (last_size - fixed) // turns)
    messages: list[dict[str, Any]] = []
    for turn in range(turns):
        messages += _exchange(rng, words, weights, turn, per_turn)
        yield json.dumps(_request(rng, system, tools, messages), ensure_ascii=False).encode()


def _request(rng: random.Random, system: str, tools: list[Any], messages: list[dict[str, Any]]) -> dict[str, Any]:
    marked = [*messages[:-1], json.loads(json.dumps(messages[-1]))]
    marked[-1]["content"][-1]["cache_control"] = {"type": "ephemeral"}
    return {
        "model": "claude-sonnet-4-5",
        "messages": marked,
        "system": [
            {"type": "text", "text": f"x-anthropic-billing-header: cc_version=2.0; cch={rng.getrandbits(20):05x};"},
            {"type": "text", "text": system, "cache_control": {"type": "ephemeral"}},
        ],
        "tools": tools,
        "metadata": {"user_id": "user_0_account__session_6f1c"},
        "max_tokens": 32000,
        "stream": True,
    }


def _exchange(rng: random.Random, words: list[str], weights: list[float], turn: int, size: int) -> list[dict[str, Any]]:
    call = f"toolu_{rng.getrandbits(96):024x}"
    path = "/".join(rng.choices(words, k=3)) + ".py"
    result = _code(rng, words, weights, int(size * rng.uniform(0.2, 1.2)))
    return [
        {
            "role": "assistant" if turn else "user",
            "content": [
                {"type": "text", "text": _text(rng, words, weights, size // 5)},
                {"type": "tool_use", "id": call, "name": "Read", "input": {"file_path": path}},
            ],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call, "content": result}]},
    ]


def _tool(rng: random.Random, words: list[str], weights: list[float], number: int) -> dict[str, Any]:
    properties = {
        word: {"type": "string", "description": _text(rng, words, weights, 120)} for word in rng.sample(words, 4)
    }
    return {
        "name": f"Tool{number}",
        "description": _text(rng, words, weights, 900),
        "input_schema": {"type": "object", "properties": properties, "required": list(properties)},
    }


def _text(rng: random.Random, words: list[str], weights: list[float], size: int) -> str:
    made = " ".join(rng.choices(words, weights, k=size // 4))
    return made[:size]


def _code(rng: random.Random, words: list[str], weights: list[float], size: int) -> str:
    lines: list[str] = []
    length = 0
    while length < size:
        a, b, c = rng.choices(words, weights, k=3)
        lines.append(f"{len(lines) + 1:>6}\t{'    ' * rng.randint(0, 3)}{a}.{b}({c}, {rng.randint(0, 9999)})")
        length += len(lines[-1]) + 1
    return "\n".join(lines)
