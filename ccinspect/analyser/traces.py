"""Traces by which a later request is known again: bounded sets of hashes of what a turn said.

Where there is more than fits, the smallest hashes are kept. Two texts that share most of their pieces then keep mostly
the same ones, wherever in the text these stand.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

from ccinspect.analyser.composition import Category, Part
from ccinspect.analyser.identity import digest
from ccinspect.analyser.purposes import Purpose
from ccinspect.wire.model import Json, Message, Response, Text, ToolCall

# Blocks of history

MARKS = 64
_MARK_TOKENS = 8
_MARK_WEIGHT = 200
_HISTORY = (Category.PREFILL, Category.FILES, Category.USER, Category.HISTORY)


def marks_of(parts: Iterable[Part]) -> dict[str, int]:
    """Identities of the blocks of history in a request, with their weight.

    Two conversations read the same files and run the same commands, but say different things. So results of
    tools are left out, calls weigh a quarter of what is said, and no block weighs more than 200 tokens.
    """
    marks: dict[str, int] = {}
    for part in parts:
        if part.category in _HISTORY and part.tokens >= _MARK_TOKENS and part.identity:
            weight = min(part.tokens, _MARK_WEIGHT)
            marks[part.identity] = weight if part.kind == "tool_call" else 4 * weight
    return marks


def sample(marks: Mapping[str, int]) -> dict[str, int]:
    """The marks that are kept with a turn."""
    return {identity: marks[identity] for identity in sorted(marks)[:MARKS]}


def overlap(child: Mapping[str, int], parent: Mapping[str, int]) -> float:
    """0 to 1: how much of the history of `parent` (a sample) is in `child` (all its marks).

    What was kept of the parent counts most; how much of the child that makes up, less. A single block in common
    is none.
    """
    if sum(mark in child for mark in parent) < 2:
        return 0.0
    retained = sum(weight for mark, weight in parent.items() if mark in child) / max(1, sum(parent.values()))
    some = sample(child)
    covered = sum(weight for mark, weight in some.items() if mark in parent) / max(1, sum(some.values()))
    return 0.75 * retained + 0.25 * covered


# Texts handed on by tool calls, and summaries

_PROMPT_AT_LEAST = 16
_PROMPTS = 40
_LINES = 24
_LINE_AT_LEAST = 24
_LOOKED_AT = 200_000
_LEADING = 12


def first_texts(messages: Sequence[Message]) -> list[str]:
    """Hashes of the texts in the first two messages that are not the system's."""
    texts = (text.strip() for text in _leading_texts(messages, 2))
    return [_text_key(text) for text in texts if len(text) >= _PROMPT_AT_LEAST]


def summary_traces(messages: Sequence[Message]) -> list[str]:
    """Hashes of lines before the first answer, to be looked up among those of summaries."""
    return _line_keys(_leading_texts(messages, _LEADING), 4 * _LINES)


def handed_on(response: Response | None, purpose: Purpose) -> dict[str, str]:
    """What later conversations may begin with: hashes of the longer texts among the arguments of the answer's tool
    calls, each with its call's id; of a summary, hashes of its lines, with an empty id."""
    if response is None:
        return {}
    if purpose is Purpose.COMPACTION:
        return dict.fromkeys(_line_keys((b.text for b in response.blocks if isinstance(b, Text)), _LINES), "")
    calls = [block for block in response.blocks if isinstance(block, ToolCall)]
    pairs = [(_text_key(text), call.id or call.name) for call in calls for text in _strings(call.arguments)]
    return dict(pairs[:_PROMPTS])


def _leading_texts(messages: Sequence[Message], limit: int) -> list[str]:
    texts: list[str] = []
    talk = [message for message in messages if message.role not in ("system", "developer")][:limit]
    for message in talk:
        if message.role == "assistant":
            break
        texts += [block.text for block in message.blocks if isinstance(block, Text)]
    return texts


def _text_key(text: str) -> str:
    return digest("prompt", text.strip()[:_LOOKED_AT])


def _line_keys(texts: Iterable[str], limit: int) -> list[str]:
    lines = (line.strip() for text in texts for line in text[:_LOOKED_AT].split("\n"))
    return sorted({digest("summary", line) for line in lines if len(line) >= _LINE_AT_LEAST})[:limit]


def _strings(value: Json) -> list[str]:
    """The longer texts among a call's arguments, as deep as lists of tasks go."""
    found: list[str] = []
    items = [value]
    for _ in range(_DEPTH):
        found += [item for item in items if isinstance(item, str) and len(item.strip()) >= _PROMPT_AT_LEAST]
        inner = [item.values() if isinstance(item, dict) else item for item in items if isinstance(item, dict | list)]
        items = [each for group in inner for each in islice(group, _PROMPTS)][: 10 * _PROMPTS]
    return found


_DEPTH = 5
