"""What is fuzzed: one function per decoder, from bytes to nothing. Any exception is a find.

Each decoded thing is also written out in all five main dialects and, read again, must survive that too: a proxy that
translates meets the same strangers as one that only looks.
"""

from __future__ import annotations

from collections.abc import Callable

from ccinspect.wire.codec import Codec
from ccinspect.wire.encoding import decode_body
from ccinspect.wire.eventstream import EventStreamDecoder
from ccinspect.wire.jsontext import dump, parse
from ccinspect.wire.model import Request, Response
from ccinspect.wire.ndjson import ArrayDecoder, LineDecoder
from ccinspect.wire.openai_responses import ResponsesSocket
from ccinspect.wire.ratelimits import parse_rate_limits
from ccinspect.wire.registry import DIALECTS, recognise
from ccinspect.wire.sse import SseDecoder
from tests.wire import samples

Target = Callable[[bytes], None]
PATHS = {dialect: path for dialect, path, _ in reversed(samples.REQUESTS)}
FRAMINGS = {
    "sse": "text/event-stream",
    "lines": "application/x-ndjson",
    "aws": "application/vnd.amazon.eventstream",
    "default": "",
}


def _retell_request(request: Request) -> None:
    for name in samples.FIVE:
        codec = DIALECTS[name]
        assert codec.encode_request is not None
        encoded = codec.encode_request(request)
        codec.decode_request(dump(encoded.body), encoded.path)


def _retell_response(response: Response) -> None:
    for name in samples.FIVE:
        codec = DIALECTS[name]
        assert codec.encode_response is not None
        codec.decode_response(dump(codec.encode_response(response).body), 200)


def _request(codec: Codec) -> Target:
    def target(data: bytes) -> None:
        _retell_request(codec.decode_request(data, PATHS.get(codec.name, "/")))

    return target


def _response(codec: Codec) -> Target:
    def target(data: bytes) -> None:
        codec.decode_response(data, 500)
        _retell_response(codec.decode_response(data, 200))

    return target


def _stream(codec: Codec, content_type: str) -> Target:
    def target(data: bytes) -> None:
        whole, parts = codec.open_stream(content_type), codec.open_stream(content_type)
        events = whole.feed(data)
        middle = len(data) // 3
        told = parts.feed(data[:middle]) + parts.feed(data[middle:])
        # Not a comparison of the events themselves: a NaN told by a peer is not equal to itself.
        assert repr(told) == repr(events)
        response = whole.close("upstream_reset")
        parts.close("upstream_reset")
        _retell_response(response)
        for name in samples.FIVE:
            make = DIALECTS[name].open_encoder
            assert make is not None
            encoder = make(codec.name)
            DIALECTS[name].open_stream("").feed(encoder.feed(events) + encoder.feed(whole.tail) + encoder.close())

    return target


def _framing(data: bytes) -> None:
    for decoder in (SseDecoder(), LineDecoder(), ArrayDecoder(), EventStreamDecoder()):
        decoder.feed(data)
    SseDecoder(max_event=20).feed(data)
    ArrayDecoder(max_item=20).feed(data)


def _encodings(data: bytes) -> None:
    for name in ("gzip", "deflate", "br", "zstd", "gzip, br", data[:10].decode("latin-1")):
        decode_body(data, name, limit=1_000_000)


def _headers(data: bytes) -> None:
    lines = data.decode("utf-8", "replace").split("\n")
    known = ("x-ratelimit-reset-tokens", "retry-after", "anthropic-ratelimit-unified-5h-reset", "x-quota-snapshot-x")
    parse_rate_limits((name, value) for name, _, value in (line.partition(":") for line in lines))
    parse_rate_limits((name, lines[0]) for name in known)
    recognise("POST", lines[0])


def _json(data: bytes) -> None:
    value, problem = parse(data)
    if problem is None:
        assert parse(dump(value))[1] is None


def _socket(data: bytes) -> None:
    socket = ResponsesSocket()
    for number, line in enumerate(data.split(b"\n")):
        if number % 2:
            socket.server_message(line)
        else:
            socket.client_message(line)
    socket.close("upstream_reset")


def all_targets() -> dict[str, Target]:
    targets: dict[str, Target] = {
        "framing": _framing,
        "encodings": _encodings,
        "headers": _headers,
        "json": _json,
        "socket": _socket,
    }
    for name, codec in DIALECTS.items():
        targets[f"{name}-request"] = _request(codec)
        targets[f"{name}-response"] = _response(codec)
        used = {"aws"} if name in ("bedrock", "amazon_q") else {"sse", "default"}
        for framing in sorted(used):
            targets[f"{name}-stream-{framing}"] = _stream(codec, FRAMINGS[framing])
    return targets


TARGETS = all_targets()


def seeds(target: str) -> list[bytes]:
    """The samples that belong to a target, to start from."""
    dialect, _, rest = target.partition("-")
    if rest == "request":
        found = [dump(body) for name, _, body in samples.REQUESTS if name == dialect]
    elif rest == "response":
        found = [dump(body) for name, body in samples.RESPONSES if name == dialect]
    elif rest.startswith("stream"):
        found = [data for name, _, data in samples.STREAMS if name == dialect]
    else:
        found = [data for _, _, data in samples.STREAMS] + [dump(body) for _, _, body in samples.REQUESTS]
    return found or [b"{}", b'{"model": "m"}']
