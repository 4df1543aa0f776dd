"""Awkward but legal requests, as bytes. `HOST` stands for the name of the server."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import dataclass

import brotli
import zstandard

HOST = "api.anthropic.com"


@dataclass(frozen=True)
class Case:
    """A request (or several, pipelined) to be sent on one connection."""

    name: str
    parts: tuple[bytes, ...]
    """Each part but the first is sent after an interim answer to the one before."""
    methods: tuple[str, ...]
    """The methods of its requests: one final answer is awaited for each."""


def _request(line: str | bytes, lines: Sequence[str | bytes] = (), body: bytes = b"", host: bool = True) -> bytes:
    head = [line, *([f"Host: {HOST}"] if host else []), *lines]
    encoded = [item if isinstance(item, bytes) else item.encode("latin-1") for item in head]
    return b"\r\n".join(encoded) + b"\r\n\r\n" + body


def _case(
    name: str, line: str | bytes, lines: Sequence[str | bytes] = (), body: bytes = b"", host: bool = True
) -> Case:
    method = (line if isinstance(line, str) else line.decode("latin-1")).split(" ", 1)[0]
    return Case(name, (_request(line, lines, body, host),), (method,))


def _post(name: str, body: bytes, *lines: str | bytes) -> Case:
    return _case(name, "POST /v1/x HTTP/1.1", [*lines, f"Content-Length: {len(body)}"], body)


def _chunked(name: str, wire: bytes, *lines: str, line: str = "POST /v1/x HTTP/1.1") -> Case:
    return _case(name, line, [*lines, "Transfer-Encoding: chunked"], wire)


JSON = b'{"model": "m",  "messages":[ {"role":"user","content":"h\xc3\xa9llo \\u00e9"} ],\n\t"x":1.0e5 }\n'
MULTIPART = (
    b'--b0unD\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
    b'--b0unD\r\nContent-Disposition: form-data; name="f"; filename="\xff.bin"\r\n'
    b"Content-Type: application/octet-stream\r\n\r\n\x00\xff\r\n--b0unD--\r\n"
)
PKT_LINE = b"0032want 0123456789abcdef0123456789abcdef01234567\n00000009done\n"
NOT_UTF8 = bytes(range(256)) * 4

HEADERS = [
    _case(
        "header order and case",
        "GET / HTTP/1.1",
        ["x-lower: 1", "X-UPPER: 2", "AcCePt: */*", "User-Agent: t", "a: z", "Z: a", "x-Lower2: 3"],
    ),
    _case("lower-case host in last place", "GET / HTTP/1.1", ["Accept: */*", f"host: {HOST}"], host=False),
    _case(
        "duplicated headers",
        "GET / HTTP/1.1",
        ["X-Dup: 1", "Other: o", "x-dup: 2", "X-DUP: 1", "Cookie: a=1", "Cookie: b=2; c=3"],
    ),
    _case(
        "odd spacing",
        "GET / HTTP/1.1",
        ["X-None:value", "X-Many:    value", "X-Tab:\tvalue", "X-After: value \t ", "X-Inner: a  b\tc"],
    ),
    _case("folded header", "GET / HTTP/1.1", ["X-Fold: one", "  two", "\tthree", "X-Next: 1"]),
    _case("empty header values", "GET / HTTP/1.1", ["X-Empty:", "X-Space: ", "X-Last:\t"]),
    _case("header values that are not UTF-8", "GET / HTTP/1.1", [b"X-Latin: caf\xe9", b"X-Bad: \xff\xfe\x80"]),
    _case("odd header names", "GET / HTTP/1.1", ["X_under.score!: 1", "0: digit", "~tilde|: 2"]),
    _case("header of 64 KB", "GET / HTTP/1.1", ["X-Big: " + "b" * 65536, "X-After: 1"]),
    _case("five hundred headers", "GET / HTTP/1.1", [f"X-Number-{n}: {n}" for n in range(500)]),
    _case("forwarding headers of another proxy", "GET / HTTP/1.1", ["Via: 1.1 other", "X-Forwarded-For: 192.0.2.1"]),
    _case(
        "connection headers", "GET / HTTP/1.1", ["Connection: keep-alive, x-hop", "Keep-Alive: timeout=9", "X-Hop: 1"]
    ),
    _case("TE trailers", "GET / HTTP/1.1", ["TE: trailers, deflate;q=0.5", "Connection: TE"]),
    _case("credentials", "GET / HTTP/1.1", ["Authorization: Bearer sk-1", "x-api-key: sk-2", "Cookie: s=3"]),
    _case("connection close", "GET / HTTP/1.1", ["Connection: close"]),
    _case("accept-encoding", "GET / HTTP/1.1", ["Accept-Encoding: gzip;q=0.1, unknown, *;q=0"]),
]

TARGETS = [
    _case("percent encodings", "GET /a%2fb%2Fc/%7euser/%E9%zz%?q=%20+%2B&r=%C3%A9 HTTP/1.1"),
    _case("double slashes", "GET //double//slash// HTTP/1.1"),
    _case("dot segments", "GET /a/./b/../c/..%2f/. HTTP/1.1"),
    _case("question marks", "GET /p??a=b?c&&=d&e=?? HTTP/1.1"),
    _case("empty query", "GET /p? HTTP/1.1"),
    _case("unusual characters", "GET /a[b]{c}|d\\e^f`g;h=1,2'\"<>/@:~!$()* HTTP/1.1"),
    _case("fragment", "GET /p?q#frag HTTP/1.1"),
    _case("bytes beyond ASCII", b"GET /caf\xe9/\xc3\xa9?\xff HTTP/1.1"),
    _case("very long target", "GET /" + "l" * 16000 + "?q=" + "v" * 16000 + " HTTP/1.1"),
    _case("looks like a URL", "GET /http://elsewhere.test/x?u=http://y/ HTTP/1.1"),
    _case("OPTIONS *", "OPTIONS * HTTP/1.1"),
]

BODIES = [
    _post("JSON with its own spacing", JSON, "Content-Type: application/json"),
    _post("gzip", gzip.compress(JSON), "Content-Encoding: gzip"),
    _post("zstd", zstandard.ZstdCompressor().compress(JSON), "Content-Encoding: zstd"),
    _post("brotli", brotli.compress(JSON), "Content-Encoding: br"),
    _post("says gzip but is not", b"\x1f\x8bnot gzip", "Content-Encoding: gzip"),
    _post("unknown encoding", b"abc", "Content-Encoding: x-own"),
    _post("multipart form", MULTIPART, "Content-Type: multipart/form-data; boundary=b0unD"),
    _post("form", b"a=1&b=%20+&&=&c", "Content-Type: application/x-www-form-urlencoded"),
    _post("git pkt-line", PKT_LINE, "Content-Type: application/x-git-upload-pack-request"),
    _post("not UTF-8 as JSON", NOT_UTF8, "Content-Type: application/json; charset=utf-8"),
    _post("one megabyte", NOT_UTF8 * 1024, "Content-Type: application/octet-stream"),
    _post("POST of nothing", b""),
    _case("GET of nothing with a length", "GET / HTTP/1.1", ["Content-Length: 0"]),
    _case("GET with a body", "GET / HTTP/1.1", ["Content-Length: 4"], b"body"),
    _case("DELETE with a body", "DELETE /x HTTP/1.1", ["Content-Length: 4"], b"body"),
    _case("POST without length or body", "POST /x HTTP/1.1"),
    _chunked("chunks", b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"),
    _chunked("chunks oddly spelt", b"005\r\nhello\r\n0A\r\n0123456789\r\nf\r\n0123456789abcde\r\n000\r\n\r\n"),
    _chunked("chunk extensions", b'5;a=b;c="d e"\r\nhello\r\n0;last\r\n\r\n'),
    _chunked("chunks with trailers", b"5\r\nhello\r\n0\r\nX-Sum: abc\r\nx-sum:d\r\n\r\n", "Trailer: X-Sum"),
    _chunked("no chunk at all", b"0\r\n\r\n"),
    _chunked("no chunk but a trailer", b"0\r\nX-Sum: abc\r\n\r\n"),
    _chunked("chunked GET", b"3\r\nabc\r\n0\r\n\r\n", line="GET /v1/x HTTP/1.1"),
    _case("chunked in capitals", "POST /x HTTP/1.1", ["transfer-encoding: Chunked"], b"1\r\na\r\n0\r\n\r\n"),
]

METHODS_AND_VERSIONS = [
    _case("HEAD", "HEAD /h HTTP/1.1"),
    _case("unusual method", "PROPFIND /dav HTTP/1.1", ["Depth: 1"]),
    _case("made-up method", "X-DO_it /x HTTP/1.1"),
    _case("method in lower case", "get / HTTP/1.1"),
    _case("HTTP/1.0", "GET /old HTTP/1.0"),
    _case("HTTP/1.0 kept alive", "GET /old HTTP/1.0", ["Connection: Keep-Alive"]),
    Case(
        "three pipelined",
        (
            _request("GET /1 HTTP/1.1")
            + _request("POST /2 HTTP/1.1", ["Content-Length: 3"], b"two")
            + _request("HEAD /3 HTTP/1.1"),
        ),
        ("GET", "POST", "HEAD"),
    ),
    Case(
        "Expect: 100-continue",
        (_request("POST /x HTTP/1.1", ["Expect: 100-continue", "Content-Length: 4"]), b"body"),
        ("POST",),
    ),
    Case(
        "Expect in capitals, chunked",
        (_request("PUT /x HTTP/1.1", ["EXPECT: 100-Continue", "Transfer-Encoding: chunked"]), b"1\r\na\r\n0\r\n\r\n"),
        ("PUT",),
    ),
]

CORPUS = [*HEADERS, *TARGETS, *BODIES, *METHODS_AND_VERSIONS]
