"""Ids, samples, and the client's own span."""

from __future__ import annotations

import pytest

from ccinspect.telemetry.spans import Place, is_sampled, read_traceparent, span_id, trace_id

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def test_ids_are_the_same_everywhere_and_differ_by_every_part() -> None:
    assert trace_id("run", "a") == trace_id("run", "a")
    assert len({span_id("tool", "a", "b"), span_id("tool", "ab"), span_id("tool", "a\0c"), span_id("call", "a")}) == 4
    assert 0 < trace_id("x") < 2**128
    assert 0 < span_id("\udc80") < 2**64


@pytest.mark.parametrize(
    ("header", "place"),
    [
        (f"00-{TRACE}-{SPAN}-01", Place(int(TRACE, 16), int(SPAN, 16))),
        (f" 00-{TRACE}-{SPAN}-03 ", Place(int(TRACE, 16), int(SPAN, 16))),
        (f"01-{TRACE}-{SPAN}-01-more", Place(int(TRACE, 16), int(SPAN, 16))),
        (f"00-{TRACE}-{SPAN}-01-more", None),
        (f"00-{TRACE}-{SPAN}-00", None),
        (f"ff-{TRACE}-{SPAN}-01", None),
        (f"00-{'0' * 32}-{SPAN}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE.upper()}-{SPAN}-01", None),
        ("", None),
        ("00", None),
    ],
)
def test_traceparent(header: str, place: Place | None) -> None:
    assert read_traceparent(header) == place


def test_a_share_of_all_traces_is_sampled() -> None:
    traces = [trace_id("run", str(number)) for number in range(2000)]
    assert all(is_sampled(trace, 1.0) for trace in traces)
    assert not any(is_sampled(trace, 0.0) for trace in traces)
    assert 800 < sum(is_sampled(trace, 0.5) for trace in traces) < 1200
