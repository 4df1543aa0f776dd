"""What the SDK's exporters say in their log, in a few words."""

from __future__ import annotations

import logging

import pytest

from ccinspect.telemetry.reasons import MOST, Listening, is_final, reason_of

POOL = (
    "Transient error HTTPConnectionPool(host='127.0.0.1', port=4318): Max retries exceeded with url: /v1/traces "
    "(Caused by NewConnectionError('Failed to establish a new connection: [Errno 111] Connection refused')) "
    "encountered while exporting spans batch, retrying in 1.08s."
)
LAST = "Failed to export spans batch due to timeout, max retries or shutdown."


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (POOL, "Connection refused"),
        (LAST, "no answer in time"),
        ("Failed to export spans batch code: 401, reason: Unauthorized", "401: Unauthorized"),
        ("Failed to export spans batch code: None, reason: ('Connection aborted.', 1)", "('Connection aborted.', 1)"),
        (
            "Failed to export traces to c:4317, error code: StatusCode.UNAUTHENTICATED, error details: no token",
            "UNAUTHENTICATED: no token",
        ),
        (
            "Transient error StatusCode.UNAVAILABLE encountered while exporting traces to c:4317, retrying in 1.10s. "
            "Error details: Socket closed",
            "UNAVAILABLE: Socket closed",
        ),
        ("something new", "something new"),
        ("x" * 1000, "x" * MOST),
    ],
)
def test_reasons(line: str, reason: str) -> None:
    assert reason_of(line) == reason


@pytest.mark.parametrize(
    ("reason", "final"),
    [
        ("400: Bad Request", True),
        ("413: Payload Too Large", True),
        ("INVALID_ARGUMENT: no", True),
        ("RESOURCE_EXHAUSTED: grpc: received message larger than max (5 vs. 4)", True),
        ("RESOURCE_EXHAUSTED: slow down", False),
        ("401: Unauthorized", False),
        ("404: Not Found", False),
        ("Connection refused", False),
        ("no answer in time", False),
    ],
)
def test_what_is_final(reason: str, final: bool) -> None:
    assert is_final(reason) is final


def test_the_last_line_does_not_hide_what_went_wrong_and_metrics_are_not_listened_to() -> None:
    logger = logging.getLogger("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    heard = Listening()
    heard.begin()
    try:
        for line in (POOL, LAST, "Failed to export metrics batch code: 404, reason: Not Found"):
            logger.error(line)
        assert heard.reason == "Connection refused"
    finally:
        heard.end()
    logger.error("something else")
    assert heard.reason == "Connection refused"
