"""What differs between two messages, without a store."""

from __future__ import annotations

from typing import Any

import pytest

from ccinspect.cli.flows.message_diff import Side, compare, compare_bodies

STORED = {"contentState": "stored"}


@pytest.mark.parametrize(
    ("before", "after", "state", "note"),
    [
        (Side({}, b"x" * 100, truncated=True), Side({}, b"y" * 100, truncated=True), "unknown", "more than 8 MiB"),
        (Side({"contentHash": "1"}, b"x", "", True), Side({"contentHash": "1"}, b"x", "", True), "same", ""),
        (Side({"contentState": "lost"}), Side(STORED, b"x"), "unknown", "not kept"),
        (Side(STORED, b"{}"), Side({"contentState": "none"}), "unknown", "not kept"),
        (Side({"contentState": "empty"}), Side(STORED, b"x"), "text", ""),
        (Side({}), Side({}), "same", ""),
        (Side({}, b"x\n" * 300_000), Side({}, b"y\n" * 300_000), "text", "300,000 lines became 300,000"),
        (Side({}, b"a", "the gzip stream ends early"), Side({}, b"b"), "text", "ends early"),
        (Side({}, b"a\r\nb"), Side({}, b"a\nb"), "spelling", ""),
    ],
)
def test_bodies(before: Side, after: Side, state: str, note: str) -> None:
    found = compare_bodies(before, after)
    assert found.state == state
    assert note in found.note


def message(**more: Any) -> dict[str, Any]:
    return {"method": "POST", "scheme": "https", "pretty_host": "a.example", "port": 443, "path": "/x", **more}


@pytest.mark.parametrize(
    ("before", "after", "start"),
    [
        (message(), message(), ()),
        (message(), message(method="GET"), (("method", "POST", "GET"),)),
        (message(), message(port=8443), (("url", "https://a.example/x", "https://a.example:8443/x"),)),
        ({"status_code": 529, "reason": "Overloaded"}, {"status_code": 429, "reason": ""}, (("status", "529", "429"),)),
        ({"status_code": 200, "reason": "OK"}, {"status_code": 200, "reason": "Fine"}, (("reason", "OK", "Fine"),)),
    ],
)
def test_start_lines(before: dict[str, Any], after: dict[str, Any], start: tuple[Any, ...]) -> None:
    found = compare(Side(before), Side(after))
    assert found.start == start
    assert found.anything is bool(start)


def test_headers_are_compared_by_name_without_case_and_order() -> None:
    before = message(headers=[["A", "1"], ["B", "1"], ["b", "2"], ["Gone", "x"]], trailers=None)
    after = message(headers=[["b", "1"], ["B", "2"], ["a", "2"]], trailers=[["New", ""]])
    found = compare(Side(before), Side(after))
    assert [(each.name, each.old, each.new) for each in found.headers] == [
        ("a", "1", "2"),
        ("gone", "x", None),
        ("new", None, ""),
    ]
