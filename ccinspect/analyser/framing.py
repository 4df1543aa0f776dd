"""What the provider puts around messages and tools: tokens that are nowhere in the request.

Sources: OpenAI's cookbook, "How to count tokens with tiktoken"; Anthropic's "Pricing", tool use, and the example of its
"Token counting" page (14 tokens for 8 of words). For other models a usual chat template is assumed.
"""

from __future__ import annotations

from ccinspect.analyser.encodings import count
from ccinspect.analyser.identity import split_volatile
from ccinspect.analyser.media import claude_version
from ccinspect.analyser.tokens import Scheme
from ccinspect.wire.model import Block, Request, Text

_MESSAGE_FRAME = {"openai": 3, "anthropic": 3, "gemini": 1, "other": 4}
_REQUEST_FRAME = {"openai": 3, "anthropic": 3, "gemini": 0, "other": 3}
_OPENAI_TOOLS_END = 12


def message_frame(role: str, name: str | None, scheme: Scheme) -> int:
    """Tokens around each message."""
    tokens = _MESSAGE_FRAME[scheme.family]
    if scheme.family == "openai":
        tokens += count(role, scheme.encoding) + (count(name, scheme.encoding) + 1 if name else 0)
    return tokens


def request_frame(scheme: Scheme) -> int:
    """Tokens around all messages."""
    return _REQUEST_FRAME[scheme.family]


def system_frame(scheme: Scheme) -> int:
    """Tokens around a system prompt that stands apart from the messages."""
    return 1 if scheme.family == "anthropic" else message_frame("system", None, scheme)


def tools_frame(request: Request, scheme: Scheme) -> int:
    """Tokens of what the provider tells the model about tools, beside their definitions."""
    if not request.tools:
        return 0
    if scheme.family == "openai":
        return _OPENAI_TOOLS_END
    if scheme.family != "anthropic":
        return 0
    forced = request.tool_choice is not None and request.tool_choice.mode in ("required", "tool")
    if claude_version(scheme.model) >= (3, 7) or "3-7" in scheme.model:
        return 313 if forced else 346
    return 340 if forced else 264


def volatile_tokens(block: Block, scheme: Scheme) -> int:
    """Tokens of a block's lines that change with each call, which its count leaves out."""
    if not isinstance(block, Text):
        return 0
    lines = split_volatile(block.text)[0]
    return count(lines, scheme.encoding) if lines else 0
