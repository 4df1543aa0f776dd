"""HAR 1.2 as a JSON schema, after http://www.softwareishard.com/blog/har-12-spec/.

Strict: only fields that begin with `_` may be added.
"""

from __future__ import annotations

from typing import Any


def _object(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "type": "object",
        "required": list(required),
        "properties": required | (optional or {}) | {"comment": {"type": "string"}},
        "patternProperties": {"^_": {}},
        "additionalProperties": False,
    }


_TEXT = {"type": "string"}
_DATE = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$"}
_SIZE = {"type": "integer", "minimum": -1}
_MILLISECONDS = {"type": "number", "minimum": 0}
_MAYBE_MILLISECONDS = {"type": "number", "anyOf": [{"minimum": 0}, {"const": -1}]}
_PAIRS = {"type": "array", "items": _object({"name": _TEXT, "value": _TEXT})}
_COOKIES = {
    "type": "array",
    "items": _object(
        {"name": _TEXT, "value": _TEXT},
        {
            "path": _TEXT,
            "domain": _TEXT,
            "expires": _DATE,
            "httpOnly": {"type": "boolean"},
            "secure": {"type": "boolean"},
            "sameSite": _TEXT,
        },
    ),
}
_REQUEST = _object(
    {
        "method": _TEXT,
        "url": {"type": "string", "pattern": "^https?://"},
        "httpVersion": _TEXT,
        "cookies": _COOKIES,
        "headers": _PAIRS,
        "queryString": _PAIRS,
        "headersSize": _SIZE,
        "bodySize": _SIZE,
    },
    {"postData": _object({"mimeType": _TEXT, "params": _PAIRS, "text": _TEXT})},
)
_RESPONSE = _object(
    {
        "status": {"type": "integer", "minimum": 0},
        "statusText": _TEXT,
        "httpVersion": _TEXT,
        "cookies": _COOKIES,
        "headers": _PAIRS,
        "content": _object(
            {"size": {"type": "integer", "minimum": 0}, "mimeType": _TEXT},
            {"compression": {"type": "integer"}, "text": _TEXT, "encoding": {"const": "base64"}},
        ),
        "redirectURL": _TEXT,
        "headersSize": _SIZE,
        "bodySize": _SIZE,
    }
)
_ENTRY = _object(
    {
        "pageref": _TEXT,
        "startedDateTime": _DATE,
        "time": _MILLISECONDS,
        "request": _REQUEST,
        "response": _RESPONSE,
        "cache": {"type": "object"},
        "timings": _object(
            {"send": _MILLISECONDS, "wait": _MILLISECONDS, "receive": _MILLISECONDS},
            dict.fromkeys(("blocked", "dns", "connect", "ssl"), _MAYBE_MILLISECONDS),
        ),
    },
    {"serverIPAddress": _TEXT, "connection": _TEXT},
)
_PAGE = _object(
    {
        "startedDateTime": _DATE,
        "id": _TEXT,
        "title": _TEXT,
        "pageTimings": _object({}, {"onContentLoad": _MAYBE_MILLISECONDS, "onLoad": _MAYBE_MILLISECONDS}),
    }
)
HAR_SCHEMA = _object(
    {
        "log": _object(
            {
                "version": {"const": "1.2"},
                "creator": _object({"name": _TEXT, "version": _TEXT}),
                "entries": {"type": "array", "items": _ENTRY},
            },
            {"pages": {"type": "array", "items": _PAGE}, "browser": _object({"name": _TEXT, "version": _TEXT})},
        )
    }
)
