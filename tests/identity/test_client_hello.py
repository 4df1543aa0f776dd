"""ClientHello: the published vectors of JA3 and JA4, mitmproxy's own parser as a second opinion, and hostile bytes."""

from __future__ import annotations

import contextlib
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy.net.tls import starts_like_tls_record
from mitmproxy.proxy.layers.tls import parse_client_hello as mitmproxy_parse

from ccinspect.identity.client_hello import ClientHello, parse_client_hello
from tests.identity.hello import client_hello, records, shorts, vector

GREASE = 0x1A1A


def numbers(text: str) -> list[int]:
    return [int(word, 16) for word in text.split(",")]


# https://github.com/salesforce/ja3, README.md
JA3_VECTORS = [
    (
        "769,47-53-5-10-49161-49162-49171-49172-50-56-19-4,0-10-11,23-24-25,0",
        "ada70206e40642a3e4461f35503241d5",
        {
            "version": 769,
            "ciphers": [47, 53, 5, 10, 49161, 49162, 49171, 49172, 50, 56, 19, 4],
            "extensions": [0, 10, 11],
            "groups": [23, 24, 25],
        },
    ),
    (
        "769,4-5-10-9-100-98-3-6-19-18-99,,,",
        "de350869b8c85de67a350c8d186f11e6",
        {"version": 769, "ciphers": [4, 5, 10, 9, 100, 98, 3, 6, 19, 18, 99], "extensions": None},
    ),
]


@pytest.mark.parametrize(("text", "digest", "hello"), JA3_VECTORS)
def test_ja3_gives_the_published_fingerprints(text: str, digest: str, hello: dict[str, list[int]]) -> None:
    parsed = parse_client_hello(client_hello(**hello))
    assert (parsed.ja3_text, parsed.ja3) == (text, digest)


def test_ja3_ignores_grease_everywhere() -> None:
    plain = client_hello(ciphers=[47], extensions=[0, 10, 11], groups=[23])
    greased = client_hello(ciphers=[GREASE, 47], extensions=[0x2A2A, 0, 10, 11, 0xFAFA], groups=[0x0A0A, 23])
    assert parse_client_hello(plain).ja3 == parse_client_hello(greased).ja3


# https://github.com/FoxIO-LLC/ja4: technical_details/JA4.md (Example, Raw Output), and python/test/testdata:
# sigalg-grease.pcapng.json. JA4_ro tells the order in which Chrome sent everything.
CHROME_CIPHERS = "1301,1302,1303,c02b,c02f,c02c,c030,cca9,cca8,c013,c014,009c,009d,002f,0035"
JA4_VECTORS = [
    (
        CHROME_CIPHERS,
        "001b,0000,0033,0010,4469,0017,002d,000d,0005,0023,0012,002b,ff01,000b,000a,0015",
        "0403,0804,0401,0503,0805,0501,0806,0601",
        "t13d1516h2_8daaf6152771_e5627efa2ab1",
        "t13d1516h2_002f,0035,009c,009d,1301,1302,1303,c013,c014,c02b,c02c,c02f,c030,cca8,cca9"
        "_0005,000a,000b,000d,0012,0015,0017,001b,0023,002b,002d,0033,4469,ff01"
        "_0403,0804,0401,0503,0805,0501,0806,0601",
    ),
    (
        CHROME_CIPHERS,
        "fe0d,0010,0017,0033,44cd,ff01,000a,000d,0023,002b,000b,ca34,002d,0000,0005,001b,0012",
        "0904,0905,0906,0403,0804,0401,0503,0805,0501,0806,0601",
        "t13d1517h2_8daaf6152771_cb7bf5808d99",
        "t13d1517h2_002f,0035,009c,009d,1301,1302,1303,c013,c014,c02b,c02c,c02f,c030,cca8,cca9"
        "_0005,000a,000b,000d,0012,0017,001b,0023,002b,002d,0033,44cd,ca34,fe0d,ff01"
        "_0904,0905,0906,0403,0804,0401,0503,0805,0501,0806,0601",
    ),
]


@pytest.mark.parametrize("grease", [False, True])
@pytest.mark.parametrize(("ciphers", "extensions", "signatures", "ja4", "raw"), JA4_VECTORS)
def test_ja4_gives_the_published_fingerprints(
    ciphers: str, extensions: str, signatures: str, ja4: str, raw: str, grease: bool
) -> None:
    extra = [GREASE] if grease else []
    hello = client_hello(
        ciphers=extra + numbers(ciphers),
        extensions=extra + numbers(extensions),
        signatures=extra + numbers(signatures),
        versions=[*extra, 0x0304, 0x0303],
    )
    parsed = parse_client_hello(hello)
    assert (parsed.ja4, parsed.ja4_raw) == (ja4, raw)


def test_ja4_without_signature_algorithms_has_no_second_underscore() -> None:
    # JA4.md, "Extension hash": this list alone hashes to 6d807ffa2a79.
    listed = "0005,000a,000b,000d,0012,0015,0017,001b,0023,002b,002d,0033,4469,ff01"
    hello = client_hello(ciphers=[0x1301], extensions=numbers(listed), signatures=[])
    assert parse_client_hello(hello).ja4.endswith("_6d807ffa2a79")


# JA4.md, "ALPN Extension Value".
@pytest.mark.parametrize(
    ("alpn", "mark"),
    [
        ([b"h2"], "h2"),
        ([b"http/1.1"], "h1"),
        ([b"x"], "xx"),
        ([b"\xab"], "ab"),
        ([b"\xab\xcd"], "ad"),
        ([b"\x30\xab"], "3b"),
        ([b"\x30\x31\xab\xcd"], "3d"),
        ([b"\x30\xab\xcd\x31"], "01"),
        ([b""], "00"),
        ([], "00"),
    ],
)
def test_ja4_marks_the_first_protocol(alpn: list[bytes], mark: str) -> None:
    hello = client_hello(ciphers=[0x1301], extensions=[16], alpn=alpn)
    assert parse_client_hello(hello).ja4.split("_")[0] == f"t12i0101{mark}"


@pytest.mark.parametrize(
    ("version", "versions", "mark"),
    [
        (0x0303, [0x0304, 0x0303], "13"),
        (0x0303, [0x0302, GREASE], "11"),
        (0x0303, None, "12"),
        (0x0300, None, "s3"),
        (0xFEFD, None, "d2"),
        (0x1234, None, "00"),
    ],
)
def test_ja4_takes_the_highest_version_offered(version: int, versions: list[int] | None, mark: str) -> None:
    extensions = [] if versions is None else [43]
    hello = client_hello(version=version, extensions=extensions, versions=versions or [])
    assert parse_client_hello(hello).ja4[1:3] == mark


def test_ja4_of_an_empty_hello_is_zeros() -> None:
    hello = client_hello(extensions=None)
    assert parse_client_hello(hello).ja4 == "t12i000000_000000000000_000000000000"


def test_ja4_counts_stop_at_99() -> None:
    hello = client_hello(ciphers=range(1, 151), extensions=range(1000, 1150))
    assert parse_client_hello(hello).ja4.startswith("t12i9999")


def test_ja4_names_quic_and_dtls() -> None:
    assert parse_client_hello(client_hello(ciphers=[1]), "quic").ja4[0] == "q"
    assert parse_client_hello(client_hello(ciphers=[1], version=0xFEFD, dtls=True), "dtls").ja4.startswith("dd2i01")


@pytest.mark.parametrize("size", [1, 7, 100, 16_384])
def test_a_message_may_be_spread_over_records(size: int) -> None:
    hello = client_hello(ciphers=[0x1301], extensions=[0, 16])
    assert parse_client_hello(records(hello, size)) == parse_client_hello(hello)


def test_a_real_client_is_read_as_mitmproxy_reads_it() -> None:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    sent = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname="api.anthropic.com")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    data = sent.read()
    assert starts_like_tls_record(data)
    theirs = mitmproxy_parse(data)
    assert theirs is not None
    ours = parse_client_hello(data)
    assert ours.sni == theirs.sni == "api.anthropic.com"
    assert list(ours.alpn) == theirs.alpn_protocols == [b"h2", b"http/1.1"]
    assert list(ours.ciphers) == theirs.cipher_suites
    assert list(ours.extensions) == [kind for kind, _ in theirs.extensions]
    assert ours.ja4.startswith("t13d")
    assert ours.as_record() == {
        "sni": "api.anthropic.com",
        "alpn": ["h2", "http/1.1"],
        "ja3": ours.ja3,
        "ja4": ours.ja4,
    }


WHOLE = client_hello(ciphers=[GREASE, 0x1301], extensions=[0, 10, 11, 13, 16, 43, 1234])


def test_every_cut_is_an_error_and_not_a_guess() -> None:
    for end in range(len(WHOLE)):
        with pytest.raises(ValueError, match="ClientHello"):
            parse_client_hello(WHOLE[:end])
    for end in range(len(records(WHOLE))):
        with pytest.raises(ValueError, match="ClientHello"):
            parse_client_hello(records(WHOLE)[:end])


def assert_told_or_refused(data: bytes) -> None:
    """Either a ValueError, or a hello of which all can be told."""
    try:
        hello = parse_client_hello(data)
    except ValueError:
        return
    assert isinstance(hello, ClientHello)
    assert len(hello.ja3) == 32
    assert len(hello.ja4) == 36
    str(hello.as_record()).encode()


@given(st.binary(max_size=300))
def test_noise_never_raises_anything_else(data: bytes) -> None:
    assert_told_or_refused(data)
    assert_told_or_refused(b"\x01" + vector(3, data))
    assert_told_or_refused(
        b"\x01" + vector(3, shorts([0x0303]) + bytes(33) + vector(2, data) + b"\0" + vector(2, data))
    )


@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), max_size=8))
def test_damaged_messages_never_raise_anything_else(changes: list[tuple[int, int]]) -> None:
    data = bytearray(WHOLE)
    for position, value in changes:
        data[position] = value
    assert_told_or_refused(bytes(data))
    assert_told_or_refused(records(bytes(data), 50))


def test_a_giant_message_is_refused_quickly() -> None:
    with pytest.raises(ValueError, match="cut short"):
        parse_client_hello(b"\x01\xff\xff\xff" + bytes(5_000_000))
    with pytest.raises(ValueError, match="cut short"):
        parse_client_hello(records(b"\x01\xff\xff\xff" + bytes(5_000_000)))
