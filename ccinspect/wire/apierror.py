"""API errors: from each dialect's words to a kind, and back."""

from __future__ import annotations

from ccinspect.wire.jsontext import as_bool, as_int, as_list, as_name, as_number, as_object, as_text
from ccinspect.wire.model import ApiError, ErrorKind, Json, JsonObject
from ccinspect.wire.ratelimits import parse_span

_BY_STATUS = {
    400: ErrorKind.INVALID_REQUEST,
    401: ErrorKind.AUTHENTICATION,
    402: ErrorKind.QUOTA,
    403: ErrorKind.PERMISSION,
    404: ErrorKind.NOT_FOUND,
    408: ErrorKind.TIMEOUT,
    413: ErrorKind.TOO_LARGE,
    429: ErrorKind.RATE_LIMIT,
    503: ErrorKind.OVERLOADED,
    504: ErrorKind.TIMEOUT,
    529: ErrorKind.OVERLOADED,
}

# Words of all dialects; where two dialects share a word they mean the same.
_BY_WORD = {
    "invalid_request_error": ErrorKind.INVALID_REQUEST,
    "invalid_prompt": ErrorKind.INVALID_REQUEST,
    "INVALID_ARGUMENT": ErrorKind.INVALID_REQUEST,
    "FAILED_PRECONDITION": ErrorKind.INVALID_REQUEST,
    "ValidationException": ErrorKind.INVALID_REQUEST,
    "validationException": ErrorKind.INVALID_REQUEST,
    "context_length_exceeded": ErrorKind.TOO_LARGE,
    "request_too_large": ErrorKind.TOO_LARGE,
    "authentication_error": ErrorKind.AUTHENTICATION,
    "invalid_api_key": ErrorKind.AUTHENTICATION,
    "UNAUTHENTICATED": ErrorKind.AUTHENTICATION,
    "permission_error": ErrorKind.PERMISSION,
    "PERMISSION_DENIED": ErrorKind.PERMISSION,
    "AccessDeniedException": ErrorKind.PERMISSION,
    "not_found_error": ErrorKind.NOT_FOUND,
    "model_not_found": ErrorKind.NOT_FOUND,
    "NOT_FOUND": ErrorKind.NOT_FOUND,
    "ResourceNotFoundException": ErrorKind.NOT_FOUND,
    "rate_limit_error": ErrorKind.RATE_LIMIT,
    "rate_limit_exceeded": ErrorKind.RATE_LIMIT,
    "RESOURCE_EXHAUSTED": ErrorKind.RATE_LIMIT,
    "ThrottlingException": ErrorKind.RATE_LIMIT,
    "throttlingException": ErrorKind.RATE_LIMIT,
    "tokens": ErrorKind.RATE_LIMIT,
    "requests": ErrorKind.RATE_LIMIT,
    "insufficient_quota": ErrorKind.QUOTA,
    "billing_error": ErrorKind.QUOTA,
    "usage_limit_reached": ErrorKind.QUOTA,
    "overloaded_error": ErrorKind.OVERLOADED,
    "server_overloaded": ErrorKind.OVERLOADED,
    "UNAVAILABLE": ErrorKind.OVERLOADED,
    "serviceUnavailableException": ErrorKind.OVERLOADED,
    "timeout_error": ErrorKind.TIMEOUT,
    "DEADLINE_EXCEEDED": ErrorKind.TIMEOUT,
    "modelTimeoutException": ErrorKind.TIMEOUT,
    "api_error": ErrorKind.SERVER,
    "server_error": ErrorKind.SERVER,
    "INTERNAL": ErrorKind.SERVER,
}

STATUS = {
    ErrorKind.INVALID_REQUEST: 400,
    ErrorKind.AUTHENTICATION: 401,
    ErrorKind.PERMISSION: 403,
    ErrorKind.NOT_FOUND: 404,
    ErrorKind.TOO_LARGE: 413,
    ErrorKind.RATE_LIMIT: 429,
    ErrorKind.QUOTA: 429,
    ErrorKind.OVERLOADED: 503,
    ErrorKind.TIMEOUT: 504,
    ErrorKind.SERVER: 500,
}


def error_kind(status: int | None, *words: str | None) -> ErrorKind:
    """The kind by the first word known, else by the HTTP status, else `server`.

    That a request is invalid says no more than any status from 400 on: OpenAI says so of a model that does not exist.
    """
    said = next((_BY_WORD[word] for word in words if word in _BY_WORD), None)
    if said is not None and (said is not ErrorKind.INVALID_REQUEST or status not in _BY_STATUS):
        return said
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return ErrorKind.INVALID_REQUEST if status is not None and 400 <= status < 500 else ErrorKind.SERVER


def read_error(value: Json, status: int | None = None) -> ApiError:
    """Read any dialect's error: `{"error": {...}}`, `{"error": "words"}`, `{"message": ...}`, Google's list of one."""
    if isinstance(value, list) and value:
        value = value[0]
    body = as_object(value)
    inner = body.get("error")
    if isinstance(inner, str):
        return ApiError(error_kind(status), inner, status=status, raw=value)
    error = as_object(inner) or body
    own_status = as_int(error.get("code")) or as_int(body.get("status")) or as_int(error.get("status"))
    word = as_name(error.get("type")) or as_name(error.get("status")) or as_name(error.get("__type"))
    if word == "error":
        word = None
    code = as_name(error.get("code"))
    status = status if status is not None and status >= 400 else own_status
    return ApiError(
        kind=error_kind(status, code, word),
        message=as_text(error.get("message")) or as_text(error.get("Message")) or as_text(body.get("detail")),
        type=word,
        code=code,
        param=as_name(error.get("param")),
        status=status,
        retry_after=_retry_after(error),
        raw=value,
    )


def is_error(value: JsonObject, status: int) -> bool:
    """An error by its status, or by its shape under a status of success (some gateways do that)."""
    if status >= 400:
        return True
    return bool(value.get("error")) and not isinstance(value.get("error"), bool) and as_bool(value.get("done")) is None


def _retry_after(error: JsonObject) -> float | None:
    """Google tells it in `details`, as a `RetryInfo` with a span; ChatGPT in `resets_in_seconds`."""
    for detail in as_list(error.get("details"))[:50]:
        delay = as_object(detail).get("retryDelay")
        if isinstance(delay, str):
            return parse_span(delay[:40])
    return as_number(error.get("resets_in_seconds"))
