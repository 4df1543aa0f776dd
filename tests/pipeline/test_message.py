from __future__ import annotations

from ccinspect.pipeline.message import Headers, Outgoing


def test_a_set_header_keeps_the_place_and_spelling_of_the_first() -> None:
    headers = Headers([(b"A", b"1"), (b"X-Key", b"old"), (b"b", b"2"), (b"x-key", b"older")])
    headers.set("x-KEY", "new")
    assert headers.fields == ((b"A", b"1"), (b"X-Key", b"new"), (b"b", b"2"))
    headers.set("last", "é")
    assert headers.fields[-1] == (b"last", b"\xe9")


def test_headers_are_found_and_removed_whatever_their_case() -> None:
    headers = Headers([(b"Authorization", b"secret"), (b"x", b"1"), (b"X", b"2")])
    assert headers.get_all("x") == ["1", "2"]
    assert "authorization" in headers
    headers.remove("AUTHORIZATION", "nothing")
    assert list(headers) == ["x", "X"]


def test_no_value_is_shown() -> None:
    request = Outgoing("POST", "https", "h", 443, "/", Headers([(b"authorization", b"secret")]), b"secret")
    assert "secret" not in repr(request)


def test_urls() -> None:
    assert Outgoing("GET", "https", "::1", 443, "/a?b").url == "https://[::1]/a?b"
    assert Outgoing("GET", "http", "h", 443, "/").url == "http://h:443/"
