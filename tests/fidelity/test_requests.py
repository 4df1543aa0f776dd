"""What the server sees must be what the client sent, byte for byte, whichever way it came."""

from __future__ import annotations

import pytest

from ccinspect.demo.answers import CONTINUE, Answer, head, plain
from ccinspect.demo.http1 import Received
from ccinspect.demo.provider import Provider
from tests.fidelity.corpus import CORPUS, Case
from tests.fidelity.rawclient import Outcome
from tests.fidelity.ways import Way, Ways, direct


def send(provider: Provider, way: Way, case: Case) -> tuple[list[Received], Outcome]:
    """Send a case; return what the provider saw and what came back."""
    provider.forget()
    waits = len(case.parts) > 1
    for method in case.methods:
        body = b"" if method == "HEAD" else b"answer"
        provider.answer_with(Answer(plain(200, body).steps, on_head=[CONTINUE] if waits else []))
    outcome = way.send(case)
    assert not outcome.error, f"{outcome.error}; came so far: {outcome.messages}"
    return provider.wait_for(len(case.methods)), outcome


def goes(name: str, case: Case) -> bool:
    """`*` cannot stand behind a prefix, and has a form of its own towards a proxy (tested below)."""
    return not (case.name == "OPTIONS *" and name in ("base-url", "proxy-absolute"))


@pytest.mark.parametrize(
    ("name", "case"),
    [pytest.param(name, case, id=f"{name}-{case.name}") for name in Ways.NAMES for case in CORPUS if goes(name, case)],
)
def test_the_server_sees_what_was_sent(provider: Provider, ways: Ways, name: str, case: Case) -> None:
    way = ways[name]
    without, plainly = send(provider, direct(provider), case)
    seen, outcome = send(provider, way, case)
    for before, after in zip(without, seen, strict=True):
        assert after.head == way.expected(before.head)
        # Chunk sizes and extensions are framing of one hop; everything within is not.
        assert after.content == before.content
        assert after.trailers == before.trailers
    assert outcome.messages == plainly.messages


def test_options_asterisk_through_a_proxy(provider: Provider, ways: Ways) -> None:
    """RFC 9112, section 3.2.4: absolute form without a path means `*` at the origin."""
    request = b"OPTIONS http://api.anthropic.com HTTP/1.1\r\nHost: api.anthropic.com\r\n\r\n"
    with ways.sockets("proxy-absolute").connect() as sock:
        provider.answer_with(plain(200, b""))
        sock.sendall(request)
        (seen,) = provider.wait_for(1)
    assert seen.head == b"OPTIONS * HTTP/1.1\r\nHost: api.anthropic.com\r\n\r\n"


@pytest.mark.parametrize("name", Ways.NAMES)
def test_a_refusal_instead_of_100_continue_reaches_the_client(provider: Provider, ways: Ways, name: str) -> None:
    case = next(case for case in CORPUS if case.name == "Expect: 100-continue")
    refusal = head(417, [("Content-Length", "0"), ("Connection", "close")])
    provider.answer_with(Answer(on_head=[refusal]))
    outcome = ways[name].send(case)
    assert [message.status for message in outcome.messages] == [417]
    assert provider.requests[0].content == b""


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_the_corpus_itself_is_sound(provider: Provider, tls: bool) -> None:
    """Without us, every case reaches the provider as it is written: the judge is not at fault."""
    for case in CORPUS:
        seen, _ = send(provider, direct(provider, tls), case)
        assert b"".join(request.raw for request in seen) == b"".join(case.parts), case.name
