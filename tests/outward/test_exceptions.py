"""What is reached without the upstream proxy."""

from __future__ import annotations

import pytest

from ccinspect.outward.exceptions import Exceptions


@pytest.mark.parametrize(
    ("texts", "host", "port", "direct"),
    [
        ([], "localhost", 80, True),
        ([], "a.localhost", 80, True),
        ([], "127.3.2.1", 80, True),
        ([], "::1", 80, True),
        ([], "[::ffff:127.0.0.1]", 80, True),
        ([], "0.0.0.0", 80, True),
        ([], "localhost.example", 80, False),
        (["corp.test"], "corp.test", 80, True),
        (["corp.test"], "A.Corp.Test.", 80, True),
        (["corp.test"], "notcorp.test", 80, False),
        ([".corp.test"], "corp.test", 80, False),
        ([".corp.test"], "a.b.corp.test", 80, True),
        (["*.corp.test"], "a.corp.test", 80, True),
        (["*.corp.test"], "corp.test", 80, False),
        (["10.0.0.0/8"], "10.9.8.7", 80, True),
        (["10.0.0.0/8"], "::ffff:10.9.8.7", 80, True),
        (["10.0.0.0/8"], "11.0.0.1", 80, False),
        (["10.0.0.0/8"], "10.example.test", 80, False),
        (["fd00::/8"], "[fd00::1]", 80, True),
        (["fd00::/8"], "10.0.0.1", 80, False),
        (["corp.test:8443"], "corp.test", 8443, True),
        (["corp.test:8443"], "corp.test", 443, False),
        (["corp.test:8443"], "corp.test", None, False),
        (["[fd00::1]:22"], "fd00::1", 22, True),
        (["10.0.0.0/8:22"], "10.0.0.1", 23, False),
        (["*"], "anything.test", None, True),
        (["*:22"], "anything.test", 22, True),
        (["b\u00fccher.test"], "xn--bcher-kva.test", 80, True),
    ],
)
def test_places(texts: list[str], host: str, port: int | None, direct: bool) -> None:
    assert Exceptions.parse(texts).match(host, port) is direct


@pytest.mark.parametrize(
    "text", ["", "a b", "http://corp.test", "corp.test:", "corp.test:0", "corp.test:99999", "a..b", "*.*"]
)
def test_what_is_no_place_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=r"host name|port"):
        Exceptions.parse([text])
