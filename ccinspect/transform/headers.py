"""Which headers go on when a request changes its dialect, and which come back with the answer.

Lists of what may pass, not of what may not: a header nobody thought of may hold a credential of the provider that the
request no longer goes to.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from ccinspect.pipeline.message import Headers
from ccinspect.wire.model import Diagnostic, format_path

CREDENTIALS = ("authorization", "x-api-key", "x-goog-api-key", "api-key", "cookie", "proxy-authorization")
"""Headers that say who pays."""
DIAGNOSTICS = "x-ccinspect-diagnostics"
MAX_DIAGNOSTICS = 4_000
"""Bytes of that header."""

_PASS_ON = frozenset(
    (
        "host",
        "user-agent",
        "accept-encoding",
        "accept-language",
        "traceparent",
        "tracestate",
        "baggage",
        "x-request-id",
        "x-correlation-id",
        "x-client-request-id",
        "x-b3-traceid",
        "x-b3-spanid",
        "x-b3-parentspanid",
        "x-b3-sampled",
        "b3",
    )
)
# Headers that only mean something to the provider they were made for: dropped without a word.
_VENDORS = (
    "anthropic-",
    "openai-",
    "x-goog-",
    "x-stainless-",
    "x-amz-",
    "x-codex-",
    "chatgpt-",
    "x-ccinspect-",
    "sec-",
)
_SILENT = frozenset(
    (
        *CREDENTIALS,
        "content-length",
        "content-encoding",
        "content-type",
        "transfer-encoding",
        "te",
        "trailer",
        "expect",
        "accept",
        "x-app",
        "originator",
        "session_id",
        "conversation_id",
        "version",
        "origin",
        "referer",
        "connection",
        "keep-alive",
        "proxy-connection",
        "upgrade",
    )
)
_COME_BACK = frozenset(
    (
        "date",
        "retry-after",
        "retry-after-ms",
        "x-should-retry",
        "request-id",
        "x-request-id",
        "cf-ray",
        "server-timing",
        "traceparent",
        "tracestate",
        "via",
    )
)
_REQUEST_ID = {"anthropic": "request-id"}
_REQUEST_IDS = ("request-id", "x-request-id", "x-goog-request-id", "x-amzn-requestid", "cf-ray")
_STREAM_TYPES = {"ollama": "application/x-ndjson"}


def stream_type(dialect: str, form: str = "") -> str:
    """The content type of a streamed answer."""
    return "application/json" if form == "array" else _STREAM_TYPES.get(dialect, "text/event-stream")


def request_headers(
    headers: Headers, source: str, target: str, stream: bool, extra: Mapping[str, str]
) -> tuple[Headers, list[Diagnostic]]:
    """The headers of a translated request, without any credential; and those nobody knows, named.

    `extra` are the destination's own, which come last and win.
    """
    kept: list[tuple[bytes, bytes]] = []
    unknown: list[str] = []
    for key, value in headers.fields:
        name = key.decode("latin-1").lower()
        if name in _PASS_ON:
            kept.append((key, value))
        elif name == "connection" and b"close" in value.lower():
            # Its client waits for the end of the connection, which mitmproxy closes by this.
            kept.append((key, b"close"))
        elif name not in _SILENT and not name.startswith((*_VENDORS, ":")):
            unknown.append(name)
    out = Headers(kept)
    out.set("content-type", "application/json")
    out.set("accept", stream_type(target) if stream else "application/json")
    if target == "anthropic":
        out.set("anthropic-version", "2023-06-01")
    for own, setting in extra.items():
        out.set(own, setting)
    told = ", ".join(sorted(set(unknown)))[:300]
    message = f"headers that do not go to another provider: {told}"
    return out, [Diagnostic("info", "headers_dropped", message, (), source, target)] if unknown else []


def without_credentials(headers: Headers) -> Headers:
    out = Headers(headers.fields)
    out.remove(*CREDENTIALS)
    return out


def answer_headers(headers: Headers, dialect: str, content_type: str, notes: Iterable[Diagnostic]) -> Headers:
    """The head of a translated answer: what still holds of the upstream's, and the diagnostics."""
    out = Headers(field for field in headers.fields if field[0].decode("latin-1").lower() in _COME_BACK)
    own_name = _REQUEST_ID.get(dialect, "x-request-id")
    if own_name not in out:
        found = next((value for name in _REQUEST_IDS if (value := headers.get(name))), None)
        if found:
            out.set(own_name, found)
    out.set("content-type", content_type)
    told = diagnostics_header(list(notes))
    if told:
        out.set(DIAGNOSTICS, told)
    return out


_ORDER = {"error": 0, "warning": 1, "info": 2}


def diagnostics_header(notes: Sequence[Diagnostic]) -> str:
    """Compact ASCII JSON of at most MAX_DIAGNOSTICS bytes: a list of {severity, code, path, message}, gravest first.

    What is said more than once stands there once, with `times`; what does not fit is counted in a last
    {"more": N}. Empty for nothing to say.
    """
    merged: dict[tuple[str, str, str], dict[str, object]] = {}
    for note in sorted(notes, key=lambda note: _ORDER.get(note.severity, 3)):
        key = (note.severity, note.code, note.message)
        seen = merged.get(key)
        if seen is None:
            path = {"path": format_path(note.path)[:200]} if note.path else {}
            merged[key] = {"severity": note.severity, "code": note.code, **path, "message": note.message[:200]}
        else:
            times = seen.get("times", 1)
            seen["times"] = (times if isinstance(times, int) else 1) + 1
    if not merged:
        return ""
    room = MAX_DIAGNOSTICS - len('[{"more":00000000}]')
    told: list[str] = []
    for entry in merged.values():
        text = json.dumps(entry, separators=(",", ":"))
        if len(text) + 1 > room:
            break
        room -= len(text) + 1
        told.append(text)
    if len(told) < len(merged):
        told.append(f'{{"more":{len(merged) - len(told)}}}')
    return f"[{','.join(told)}]"
