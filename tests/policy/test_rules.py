"""Rules as people write them."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccinspect.policy.paths import readings
from ccinspect.policy.rules import Fit, Wildcards, parse


@given(st.text("ab*", max_size=12), st.text("ab", max_size=12))
def test_wildcards_are_those_of_a_regular_expression(pattern: str, text: str) -> None:
    expression = "".join(".*" if character == "*" else character for character in pattern)
    assert Wildcards.of(pattern).fits(text) == bool(re.fullmatch(expression, text, re.DOTALL))


def test_wildcards_take_no_time() -> None:
    start = time.process_time()
    assert not Wildcards.of("*a" * 20 + "b").fits("a" * 100_000)
    assert time.process_time() - start < 0.5


@pytest.mark.parametrize(
    ("text", "host", "port", "path", "fit"),
    [
        ("a.com", "a.com", 443, "/x", Fit.YES),
        ("a.com", "b.a.com", 443, "/x", Fit.NO),
        ("a.com", "aXcom", 443, "/x", Fit.NO),
        ("*.a.com", "b.a.com", 80, "/", Fit.YES),
        ("*.a.com", "c.b.a.com", 80, "/", Fit.YES),
        ("*.a.com", "a.com", 80, "/", Fit.NO),
        ("*.a.com", "evila.com", 80, "/", Fit.NO),
        ("*", "anything.org", 80, "/", Fit.YES),
        ("*:443", "anything.org", 443, "/", Fit.YES),
        ("*:443", "anything.org", 80, "/", Fit.NO),
        ("A.COM.:443", "a.com", 443, "/", Fit.YES),
        ("bücher.de", "xn--bcher-kva.de", 443, "/", Fit.YES),
        ("[::1]:80", "::1", 80, "/", Fit.YES),
        ("::1", "::1", 80, "/", Fit.YES),
        ("127.1", "127.0.0.1", 80, "/", Fit.YES),
        ("10.0.0.0/8", "10.1.2.3", 80, "/", Fit.YES),
        ("10.0.0.0/8", "11.1.2.3", 80, "/", Fit.NO),
        ("10.0.0.0/8", "10.example.com", 80, "/", Fit.NO),
        ("fd00::/8", "fd12::1", 80, "/", Fit.YES),
        ("a.com/", "a.com", 80, "/anything", Fit.YES),
        ("a.com/v1", "a.com", 80, "/v1", Fit.YES),
        ("a.com/v1", "a.com", 80, "/v1/x", Fit.YES),
        ("a.com/v1", "a.com", 80, "/v10", Fit.NO),
        ("a.com/v1/", "a.com", 80, "/v1", Fit.YES),
        ("a.com/v1/*/send", "a.com", 80, "/v1/a/b/send", Fit.YES),
        ("a.com/v1/*/send", "a.com", 80, "/v1/a/sendx", Fit.NO),
        ("a.com/%61", "a.com", 80, "/a", Fit.YES),
        ("a.com/v1", "a.com", 80, None, Fit.PERHAPS),
        ("a.com:80/v1", "a.com", 443, None, Fit.NO),
    ],
)
def test_what_a_rule_fits(text: str, host: str, port: int, path: str | None, fit: Fit) -> None:
    assert parse(text).fits(host, port, path, "GET") is fit


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "https://a.com", "a b", "a@b.com", "a.com?x", "a.com#x", "a.com:", "a.com:0", "a.com:65536",
        "a.com:http", "a..b", "a.com/../x", "a.com/v1/./x", "[::1", "[::1]x", "*" * 30 + ".com", "x" * 3_000, "a\\b",
    ],
)  # fmt: skip
def test_what_is_no_rule(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse(text)


@given(st.text(max_size=80))
def test_any_text_is_a_rule_or_refused(text: str) -> None:
    try:
        rule = parse(text)
    except ValueError:
        return
    assert rule.fits("nobody.example", 1, "/", "GET") in Fit


@pytest.mark.parametrize(
    "target",
    [
        "/v1/../admin", "/v1/%2e%2e/admin", "/v1/%2E./admin", "/v1/%252e%252e/admin", "/v1/..%2fadmin", "//admin",
        "/v1/..;x=1/admin", "/v1\\..\\admin", "/v1/..%5cadmin", "/admin%3fx", "/admin%00.png", "/%61dmin", "/./admin",
        "/x/../../admin", "/admin?a=/v1", "/admin;v=1", "/admin#/v1", "/admin%23/v1", "/admin%20", "admin",
        "/admin%2F..%2Fadmin",
    ],
)  # fmt: skip
def test_some_reading_of_it_is_admin(target: str) -> None:
    assert "/admin" in {reading.rstrip("/ ") for reading in readings(target)}


def test_a_path_that_is_encoded_without_end_has_no_reading() -> None:
    assert readings("/" + "%25" * 1 + "25" * 10 + "2e") == ()


@given(st.text("/.%25eE2fF\\;?#ab", max_size=40))
def test_readings_hold_no_dots(target: str) -> None:
    for reading in readings(target):
        assert reading.startswith("/")
        assert not {".", ".."} & set(reading.split("/"))
