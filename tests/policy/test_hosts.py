"""Spellings of hosts that mean the same, and those that mean nothing."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccinspect.policy.hosts import is_loopback, normal_host, split_absolute, split_authority


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("example.com", "example.com"),
        ("EXAMPLE.Com.", "example.com"),
        ("_dmarc.example.com", "_dmarc.example.com"),
        ("localhost", "localhost"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("xn--BCHER-kva.example", "xn--bcher-kva.example"),
        ("ｅｘａｍｐｌｅ。ｃｏｍ", "example.com"),  # noqa: RUF001
        ("exam\u00adple.com", "example.com"),
        ("ex%61mple.com", "example.com"),
        ("127.0.0.1", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("0x7f000001", "127.0.0.1"),
        ("0177.0.0.1", "127.0.0.1"),
        ("１２７.0.0.1", "127.0.0.1"),  # noqa: RUF001
        ("::1", "::1"),
        ("[::1]", "::1"),
        ("[0:0:0:0:0:0:0:1]", "::1"),
        ("FE80::1%eth0", "fe80::1"),
        ("::ffff:169.254.169.254", "169.254.169.254"),
        ("64:ff9b::a9fe:a9fe", "169.254.169.254"),
    ],
)
def test_one_spelling_for_each_host(text: str, normal: str) -> None:
    assert normal_host(text) == normal


@pytest.mark.parametrize(
    "text",
    [
        "", ".", "..", "a..b", ".example.com", "example.com..", "a b.com", "a\tb", "exa\0mple.com", "ex%00ample.com",
        "a/b", "a\\b", "a?b", "a#b", "a@b", "*.example.com", "-a.com", "a-.com", "x" * 64 + ".com", "a." * 130 + "com",
        "1.2.3.256", "1.2.3.4.5", "[1.2.3.4]", "[::1", "::1]", "[]", "%zz", "ex%ff.com", "http://a", "\ud800.com",
    ],
)  # fmt: skip
def test_what_cannot_be_read_in_one_way_is_no_host(text: str) -> None:
    assert normal_host(text) is None


@given(st.text(max_size=60))
def test_normal_hosts_stay_as_they_are(text: str) -> None:
    normal = normal_host(text)
    if normal is not None:
        assert normal_host(normal) == normal
        assert normal.isascii()
        assert normal == normal.lower()


@given(st.ip_addresses())
def test_every_address_has_a_normal_form(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    normal = normal_host(str(address))
    assert normal is not None
    assert ipaddress.ip_address(normal.split("%")[0]) is not None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a.com", ("a.com", None)),
        ("a.com:443", ("a.com", 443)),
        ("a.com:", ("a.com", None)),
        ("[::1]:8080", ("::1", 8080)),
        ("::1", ("::1", None)),
        ("user:pw@a.com:1", ("a.com", 1)),
        ("good.com@evil.com", ("evil.com", None)),
        ("good.com:443@evil.com", ("evil.com", None)),
        ("a@b@evil.com", None),
        ("good.com\\@evil.com", None),
        ("good.com#@evil.com", None),
        ("a.com:99999", None),
        ("a.com:-1", None),
        ("a.com:٤٤٣", None),
        ("a.com: 80", None),
        ("[::1]x", None),
    ],
)
def test_authorities(text: str, found: tuple[str, int | None] | None) -> None:
    assert split_authority(text) == found


def test_absolute_targets() -> None:
    assert split_absolute("http://evil.com") == ("evil.com", 80, "/")
    assert split_absolute("HTTPS://u@evil.com:1/a?b") == ("u@evil.com:1", 443, "/a?b")
    assert split_absolute("ftp://evil.com/") == ("evil.com", None, "/")
    assert split_absolute("/http://evil.com/") is None


@pytest.mark.parametrize("host", ["localhost", "a.localhost", "127.0.0.1", "127.9.9.9", "::1"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["localhost.evil.com", "notlocalhost", "128.0.0.1", "0.0.0.0", "::2", "127.0.0.1.nip.io"]
)
def test_not_loopback(host: str) -> None:
    assert not is_loopback(host)
