"""Answers that we give ourselves, each in the shape its client knows from its own provider."""

from __future__ import annotations

import math
from typing import NamedTuple

from ccinspect.pipeline.message import Headers
from ccinspect.wire.apierror import STATUS, error_kind
from ccinspect.wire.jsontext import dump
from ccinspect.wire.model import ApiError, ErrorKind
from ccinspect.wire.registry import DIALECTS

_PLAIN = "openai_chat"
"""Whose error shape is told to clients of no dialect, or of one whose errors nobody here writes."""


class Answer(NamedTuple):
    status: int
    headers: Headers
    body: bytes


def denied(dialect: str | None, status: int, message: str) -> Answer:
    """We refuse: by a rule, a policy, a budget. SDKs are told not to try again."""
    answer = failed(dialect, error_kind(status), message, status=status)
    answer.headers.set("x-should-retry", "false")
    return answer


def failed(
    dialect: str | None,
    kind: ErrorKind,
    message: str,
    retry_after: float | None = None,
    status: int | None = None,
) -> Answer:
    """Something went wrong on our side or on the way. `retry_after` is in seconds; without a `status`, the kind's."""
    if status is None:
        status = status_for(kind, dialect)
    error = ApiError(kind, message, status=status, retry_after=retry_after)
    headers = Headers(((b"content-type", b"application/json"),))
    if retry_after is not None:
        headers.set("retry-after", str(math.ceil(retry_after)))
    if dialect in ("bedrock", "amazon_q"):
        return Answer(status, headers, dump({"message": message}))
    encode = DIALECTS[dialect].encode_error if dialect in DIALECTS else None
    encode = encode or DIALECTS[_PLAIN].encode_error
    assert encode is not None
    return Answer(status, headers, encode(error).data())


def status_for(kind: ErrorKind, dialect: str | None) -> int:
    """The HTTP status that clients of this dialect expect with this kind of error."""
    return 529 if kind is ErrorKind.OVERLOADED and dialect == "anthropic" else STATUS[kind]
