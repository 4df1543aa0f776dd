"""Why an export failed, in a few words: the SDK's exporters tell it in their log only.

Their own log drops what repeats itself, and the last line of a series of tries does not say what went wrong; so each
line is looked at before anything else is done with it.
"""

from __future__ import annotations

import logging
import re

MOST = 300
"""Characters."""
UNKNOWN = "the export failed"
_IN_VAIN = "no answer in time"
_FINAL = re.compile(r"(400|413|INVALID_ARGUMENT)\b|RESOURCE_EXHAUSTED: .*larger than max")

_LOGGERS = (
    "opentelemetry.exporter.otlp.proto.grpc.exporter",
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
)
_PATTERNS = tuple(
    re.compile(pattern, re.DOTALL)
    for pattern in (
        r"\[Errno -?\d+\] ([\w ]+)",
        r"error code: (?:StatusCode\.)?(\w+), error details: (.+)",
        r"code: None, reason: (.+)",
        r"code: (\d+), reason: (.+)",
        r"Transient error (?:StatusCode\.)?(\w+) encountered .* Error details: (.+)",
        r"Transient error (.+) encountered while",
    )
)


def reason_of(line: str) -> str:
    """What a line of an exporter's log says about why it failed."""
    for pattern in _PATTERNS:
        if found := pattern.search(line):
            return ": ".join(part for part in found.groups() if part)[:MOST]
    return _IN_VAIN if "due to timeout" in line else line[:MOST]


def is_final(reason: str) -> bool:
    """Whether the collector will not take the same batch another time either: it is malformed, or too long.

    The protocol calls more answers final; those that a person may mend while spans wait (a missing token, a wrong path)
    are tried again here.
    """
    return _FINAL.match(reason) is not None


class Listening(logging.Filter):
    """Hears what the exporters of spans say, from `begin` to `end`. It holds nothing back."""

    def __init__(self) -> None:
        super().__init__()
        self.reason = ""

    def begin(self) -> None:
        for name in _LOGGERS:
            # First: the others may drop a line.
            logging.getLogger(name).filters.insert(0, self)

    def end(self) -> None:
        for name in _LOGGERS:
            logging.getLogger(name).removeFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        line = record.getMessage()
        if record.levelno >= logging.WARNING and "metrics" not in line:
            reason = reason_of(line)
            # A try before may have said more.
            if reason != _IN_VAIN or not self.reason:
                self.reason = reason
        return True
