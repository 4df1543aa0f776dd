"""What a request is for: a user's turn, going on after a tool, compaction, housekeeping, counting tokens."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import StrEnum

from ccinspect.wire.model import Block, Message, Request, Text, ToolResult, Unknown


class Purpose(StrEnum):
    USER_TURN = "user_turn"
    TOOL_CONTINUATION = "tool_continuation"
    COMPACTION = "compaction"
    HOUSEKEEPING = "housekeeping"
    COUNT_TOKENS = "count_tokens"
    UNKNOWN = "unknown"

    @property
    def is_side_call(self) -> bool:
        """Whether the agent makes such a call beside the conversation, which does not go on from it."""
        return self in (Purpose.HOUSEKEEPING, Purpose.COUNT_TOKENS)


_LOOKED_AT = 3_000
"""Characters of a text searched for words that give a purpose away."""

# How agents ask for a summary of the conversation: Claude Code, Codex, Gemini CLI, opencode, Cline, aider.
_COMPACTION = re.compile(
    r"create a detailed summary of (?:the|our|this) conversation"
    r"|summari[sz]ing conversations"
    r"|context checkpoint compaction"
    r"|summari[sz]es? (?:internal chat )?(?:the )?(?:history|conversation)[^.\n]{0,80}(?:snapshot|continu|hand[- ]?off)"
    r"|handoff summary for another (?:llm|agent)"
    r"|provide a detailed (?:prompt|summary) for continuing (?:our|the) conversation"
    r"|current context window is running out"
    r"|\bbriefly summari[sz]e this partial conversation",
    re.IGNORECASE,
)
# Titles, topics, names of branches, quota probes, suggestions of what to type next, routing of models.
_HOUSEKEEPING = re.compile(
    r"generate an? (?:[\w-]{1,20},? ){0,4}title\b"
    r"|\btitle generator\b|thread title\b|\bgit branch name\b|\bisnewtopic\b|new conversation topic"
    r"|extract any file paths that this command"
    r"|\bcommand prefix detection\b|determine (?:the )?command prefix"
    r"|task routing ai|classify (?:the )?complexity"
    r"|write a \d{1,3}(?:-\d{1,3})? ?word title|\bsuggestion mode\b|prompt suggestion generator"
    r"|\bsafety monitor\b|security monitor for autonomous",
    re.IGNORECASE,
)
# A person may well ask for a title; only what is about the conversation itself counts when it is said as the user.
_ASKED_ASIDE = re.compile(
    r"(?:title|name|topic) (?:for|of) (?:this|the|our) (?:\w+ )?(?:conversation|chat|session|thread)"
    r"|\bsuggestion mode\b|extract any file paths that this command|\bcommand prefix detection\b",
    re.IGNORECASE,
)
_SUMMARY_BEFORE = re.compile(
    r"this session is being continued from a previous conversation"
    r"|another language model started to solve this problem and produced a summary"
    r"|<state_snapshot>|<conversation_summary>|<summary>\s{0,5}<"
    r"|^\s{0,20}the conversation history before this point was compacted"
    r"|i spoke to you previously about a number of things",
    re.IGNORECASE,
)
_FEW_MESSAGES = 3
_PROBES = frozenset(("quota", "test", "ping", "warmup", "."))


def purpose_of(request: Request) -> Purpose:
    """The purpose of a request, from what it says."""
    if request.kind == "count_tokens":
        return Purpose.COUNT_TOKENS
    if request.kind == "compact":
        return Purpose.COMPACTION
    if request.kind == "warm_up":
        return Purpose.HOUSEKEEPING
    if request.kind != "generate":
        return Purpose.UNKNOWN
    last = _last_turn(request.messages)
    asked = _beginning(block for message in last for block in message.blocks)
    system = _beginning((*request.system, *_system_blocks(request.messages)))
    summarises = _COMPACTION.search(system) or "<state_snapshot>" in system
    if _COMPACTION.search(asked) or (summarises and not request.tools):
        return Purpose.COMPACTION
    if _is_housekeeping(request, asked, system):
        return Purpose.HOUSEKEEPING
    if any(isinstance(block, ToolResult) for message in last for block in message.blocks) or _is_notification(last):
        return Purpose.TOOL_CONTINUATION
    return Purpose.USER_TURN if any(message.role == "user" for message in last) else Purpose.UNKNOWN


def _is_notification(last: Sequence[Message]) -> bool:
    """Whether nobody speaks but the agent, of a task that went on in the background and has ended (Claude Code)."""
    texts = [text.lstrip() for message in last for text in _texts(message.blocks)]
    speaks = any(not text.startswith(("<system-reminder>", "<task-notification>")) for text in texts)
    return not speaks and any("<task-notification>" in text for text in texts)


def _is_housekeeping(request: Request, asked: str, system: str) -> bool:
    talk = [message for message in request.messages if message.role not in ("system", "developer")]
    if request.sampling.max_tokens == 1 or (len(talk) == 1 and asked.strip().lower() in _PROBES and not request.tools):
        return True
    if len(request.tools) > 1:
        return False
    return bool(_HOUSEKEEPING.search(system) or (len(talk) <= _FEW_MESSAGES and _ASKED_ASIDE.search(asked)))


def starts_from_summary(messages: Sequence[Message]) -> bool:
    """Whether a conversation begins with the summary of an earlier one."""
    talk = [message for message in messages if message.role not in ("system", "developer")][:_FEW_MESSAGES]
    return any(_SUMMARY_BEFORE.search(text) for message in talk for text in _texts(message.blocks))


def _last_turn(messages: Sequence[Message]) -> list[Message]:
    """The messages after the model's last one; the whole of a conversation in which it has said nothing yet."""
    turn: list[Message] = []
    for message in reversed(messages):
        if message.blocks and all(isinstance(block, Unknown) for block in message.blocks):
            # Nobody can say whose it is: a setting at the end of Codex's input, say.
            continue
        if message.role == "assistant":
            break
        if message.role not in ("system", "developer"):
            turn.append(message)
    return turn[::-1]


def _system_blocks(messages: Sequence[Message]) -> list[Block]:
    return [block for message in messages[:4] if message.role in ("system", "developer") for block in message.blocks]


def _texts(blocks: Iterable[Block]) -> Iterable[str]:
    return (block.text[:_LOOKED_AT] for block in blocks if isinstance(block, Text))


def _beginning(blocks: Iterable[Block]) -> str:
    texts: list[str] = []
    for text in _texts(blocks):
        if not text.startswith("<system-reminder>"):
            texts.append(text)
        if len(texts) > 8:
            break
    return "\n".join(texts)
