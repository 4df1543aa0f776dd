"""The dialects by name, and which of them a path speaks.

A path alone does not say everything: a host may be known better (that is the providers' table), and what stands here is
the guess for any host.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ccinspect.wire import amazon_q, openai_completions, openai_embeddings
from ccinspect.wire.anthropic import CODEC as ANTHROPIC
from ccinspect.wire.bedrock import CODEC as BEDROCK
from ccinspect.wire.codec import Codec
from ccinspect.wire.gemini import CODEC as GEMINI
from ccinspect.wire.ollama import CODEC as OLLAMA
from ccinspect.wire.openai_chat import CODEC as OPENAI_CHAT
from ccinspect.wire.openai_responses import CODEC as OPENAI_RESPONSES

DIALECTS: dict[str, Codec] = {
    codec.name: codec
    for codec in (
        ANTHROPIC,
        OPENAI_CHAT,
        openai_completions.CODEC,
        openai_embeddings.CODEC,
        OPENAI_RESPONSES,
        GEMINI,
        OLLAMA,
        BEDROCK,
        amazon_q.CODEC,
    )
}


class Recognised(NamedTuple):
    dialect: str
    kind: str
    """As `Request.kind`; the body may still say otherwise (`warm_up`)."""


_POST: tuple[tuple[re.Pattern[str], str, str], ...] = tuple(
    (re.compile(pattern), dialect, kind)
    for pattern, dialect, kind in (
        (r"/messages/count_tokens", "anthropic", "count_tokens"),
        (r"/messages/batches", "anthropic", "batch"),
        (r"/messages", "anthropic", "generate"),
        (r"/models/[^/:]*claude[^/:]*:(?:raw|streamRaw)Predict", "anthropic", "generate"),
        (r"/chat/completions", "openai_chat", "generate"),
        (r"/(?:v1|engines/[^/]+|deployments/[^/]+)/completions", "openai_completions", "generate"),
        (r"/completions", "openai_completions", "generate"),
        (r"/api/(?:chat|generate)", "ollama", "generate"),
        (r"/api/(?:embed|embeddings)", "ollama", "embeddings"),
        (r"/embeddings", "openai_embeddings", "embeddings"),
        (r"/responses/input_tokens", "openai_responses", "count_tokens"),
        (r"/responses/compact", "openai_responses", "compact"),
        (r"/responses", "openai_responses", "generate"),
        (r"/model/[^/]+/(?:invoke|converse)(?:-with-response-stream|-stream)?", "bedrock", "generate"),
        (r"/model/[^/]+/count-tokens", "bedrock", "count_tokens"),
        (r"/(?:generateAssistantResponse|SendMessageStreaming|sendMessage)", "amazon_q", "generate"),
        (r"[/:](?:stream)?[gG]enerateContent", "gemini", "generate"),
        (r"[/:]countTokens", "gemini", "count_tokens"),
        (r"[/:](?:embedContent|batchEmbedContents)", "gemini", "embeddings"),
        (r"[/:]batchGenerateContent", "gemini", "batch"),
    )
)
_SOCKET = re.compile(r"/responses/?$")
_MAX_PATH = 4000


def recognise(method: str, path: str) -> Recognised | None:
    """The dialect and kind that a method and a path (with or without its query) speak, or None.

    Prefixes do not matter (`/openai/deployments/X/chat/completions`, `/v1/messages`, `/messages`). A GET is a request
    only where it opens a WebSocket.
    """
    where = path[:_MAX_PATH].partition("?")[0].rstrip("/")
    if method == "GET":
        return Recognised("openai_responses", "generate") if _SOCKET.search(where) else None
    if method != "POST":
        return None
    for pattern, dialect, kind in _POST:
        for match in pattern.finditer(where):
            if match.end() == len(where):
                return Recognised(dialect, kind)
    return None
