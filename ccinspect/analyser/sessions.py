"""The ids by which agents themselves say what belongs together: in headers, and in the body.

| agent | session | thread of a sub-agent | its parent |
|---|---|---|---|
| Claude Code (2) | `session-id`; `metadata.user_id` (1) | `agent-id` | `parent-agent-id` |
| Codex | `session-id`, `session_id`, `conversation_id`; `prompt_cache_key` | `thread-id` | `x-codex-parent-thread-id` |
| opencode | `x-opencode-session`, `x-session-affinity` | the same | `x-parent-session-id` |
| Gemini CLI | `session_id` in the request's envelope | | |
| any other | `x-ccinspect-session`, `x-session-id`, `x-session`, `session-id` | | |

(1) JSON with `session_id`, or text that ends in `_session_ID`. (2) Its headers begin with `x-claude-code-`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from ccinspect.analyser.records import Record
from ccinspect.wire.jsontext import as_name, as_object
from ccinspect.wire.model import Json, Request


@dataclass(frozen=True, slots=True)
class SessionMark(Record):
    """Ids as an agent gave them."""

    session: str | None = None
    thread: str | None = None
    """A sub-agent's own id in the session; None for the main one, and where agents do not tell."""
    parent_thread: str | None = None
    subagent: bool = False
    """The agent itself says that this is a sub-agent's request."""
    said_by: str = ""
    """Which header or field named the session."""


_LONGEST = 200
_SESSION_HEADERS = (
    "x-ccinspect-session", "x-claude-code-session-id", "x-opencode-session", "session-id", "session_id",
    "conversation_id",    "x-session-id", "x-session", "x-session-affinity", "x-conversation-id",
)  # fmt: skip
SESSION_KEYS = ("metadata", "user", "conversation", "prompt_cache_key", "session_id", "request")
"""Members of a request's JSON that `session_in_body` looks at."""
_USER_SESSION = re.compile(r"_session_([0-9A-Za-z-]{8,100})\Z")


def session_mark(request: Request, headers: Mapping[str, str]) -> SessionMark:
    """Read the ids of a request. `headers` are by lower-case name."""
    session, said_by = _session(request, headers)
    thread = _header(headers, "x-claude-code-agent-id") or _header(headers, "thread-id")
    parent = _header(headers, "x-claude-code-parent-agent-id") or _header(headers, "x-codex-parent-thread-id")
    subagent = bool(_header(headers, "x-claude-code-agent-id") or parent)
    if parent is None and (parent := _header(headers, "x-parent-session-id")):
        # opencode gives a sub-agent a session of its own and names the one that started it.
        thread, session, subagent = session, parent, True
    kind = _header(headers, "x-openai-subagent")
    if kind and kind not in ("false", "0", "compact"):
        subagent = True
    if thread == session:
        thread = None
    return SessionMark(session, thread, parent, subagent, said_by)


def _header(headers: Mapping[str, str], name: str) -> str | None:
    value = headers.get(name, "").strip()[:_LONGEST]
    return value or None


def session_in_headers(headers: Mapping[str, str]) -> str | None:
    """The id of the session as far as headers (by lower-case name) say it."""
    return _session_in_headers(headers)[0]


def session_in_body(body: Json) -> str | None:
    """The id of the session in a request's JSON that nobody has decoded, of any dialect."""
    raw = as_object(body)
    for user in (as_object(raw.get("metadata")).get("user_id"), raw.get("user")):
        if (name := as_name(user)) and (value := _from_user(name)):
            return value[:_LONGEST]
    conversation = raw.get("conversation")
    inner = as_object(raw.get("request")).get("session_id")
    for said in (
        conversation,
        as_object(conversation).get("id"),
        raw.get("prompt_cache_key"),
        raw.get("session_id"),
        inner,
    ):
        if value := as_name(said):
            return value[:_LONGEST]
    return None


def _session_in_headers(headers: Mapping[str, str]) -> tuple[str | None, str]:
    for name in _SESSION_HEADERS:
        if value := _header(headers, name):
            return value, name
    return None, ""


def _session(request: Request, headers: Mapping[str, str]) -> tuple[str | None, str]:
    value, said_by = _session_in_headers(headers)
    if value:
        return value, said_by
    if request.user and (value := _from_user(request.user)):
        return value, "metadata.user_id"
    if request.conversation_id:
        return request.conversation_id[:_LONGEST], "conversation"
    for field in ("prompt_cache_key", "session_id"):
        if value := as_name(request.extra.get(field)) or as_name(as_object(request.raw).get(field)):
            return value[:_LONGEST], field
    inner = as_name(as_object(as_object(request.raw).get("request")).get("session_id"))
    return (inner[:_LONGEST], "request.session_id") if inner else (None, "")


def _from_user(user: str) -> str | None:
    if match := _USER_SESSION.search(user):
        return match[1]
    if user.startswith("{") and len(user) < 4_000:
        try:
            return as_name(as_object(json.loads(user)).get("session_id"))
        except (ValueError, RecursionError):
            return None
    return None
