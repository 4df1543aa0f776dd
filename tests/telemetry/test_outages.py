"""Collectors that are down, hang, refuse or are none: no flow is lost, `status` tells it, and spans flow again."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from ccinspect.demo.certificates import Authority
from ccinspect.demo.provider import Provider
from ccinspect.store.query import StoreReader
from ccinspect.telemetry.sdk import Exporting as SdkExporting
from ccinspect.telemetry.settings import OtelSettings
from ccinspect.telemetry.spans import CLIENT, Place, Span
from tests.support.ports import free_port
from tests.support.waiting import wait_until
from tests.telemetry.conftest import Exporting, hello
from tests.telemetry.hostile import Hostile
from tests.telemetry.receiver import Receiver

PROTOCOLS = ("grpc", "http")
SECONDS = 20.0


@pytest.fixture(autouse=True, scope="module")
def short() -> Iterator[None]:
    """The SDK tries for ten seconds before it says so; the daemon of this module takes it from its environment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1.3")
        yield


def span(number: int) -> Span:
    return Span(f"span {number}", CLIENT, Place(1, number), None, 1.0, 2.0, {"text": "x"})


def flows_of(exporting: Exporting) -> int:
    """How many the store has."""
    with StoreReader(exporting.daemon.paths.store_dir) as store:
        return store.count()


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("manner", "words"),
    [
        ("closed", {"grpc": "UNAVAILABLE: .*Connection refused", "http": "^Connection refused$"}),
        ("hangs", {"grpc": "UNAVAILABLE|DEADLINE_EXCEEDED", "http": "timed out|no answer in time"}),
        ("garbage", {"grpc": "UNAVAILABLE", "http": "BadStatusLine"}),
        ("401", {"grpc": "^UNAUTHENTICATED: nothing of this sort$", "http": "^401: Unauthorized$"}),
        ("400", {"grpc": "^INVALID_ARGUMENT: nothing of this sort$", "http": "^400: Bad Request$"}),
    ],
)
def test_why_an_export_fails_is_told_again_and_again(protocol: str, manner: str, words: dict[str, str]) -> None:
    with ExitStack() as stack:
        endpoint = f"http://127.0.0.1:{free_port()}"
        if manner.isdigit():
            receiver = stack.enter_context(Receiver(protocol))
            receiver.refuse = int(manner)
            endpoint = receiver.endpoint
        elif manner != "closed":
            endpoint = stack.enter_context(Hostile(manner)).endpoint
        exporting = SdkExporting(OtelSettings(endpoint=endpoint, protocol=protocol), {})
        stack.callback(exporting.close)
        for number in range(1 + manner.isdigit()):
            started = time.monotonic()
            problem = exporting.send([span(number)])
            assert time.monotonic() - started < 5
            assert problem is not None
            assert re.search(words[protocol], problem), problem
        if manner.isdigit():
            receiver.refuse = None
            assert exporting.send([span(3)]) is None
            assert [one.name for one in receiver.spans] == ["span 3"]


def test_a_redirect_is_no_success() -> None:
    """A gateway that wants a login, or TLS: the SDK follows none, and would call it sent."""
    with Receiver("http") as receiver:
        receiver.refuse, receiver.location = 302, "https://login.example/?token=secret"
        exporting = SdkExporting(OtelSettings(endpoint=receiver.endpoint, protocol="http"), {})
        assert exporting.send([span(1)]) == "302: it redirects to https://login.example"
        receiver.refuse = None
        assert exporting.send([span(2)]) is None
        exporting.close()
        assert [one.name for one in receiver.spans] == ["span 2"]


def test_its_own_authority_and_compression_are_those_of_the_environment(
    provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    # Set on many machines of companies; `requests` would ask it first.
    other = tmp_path / "other.pem"
    other.write_bytes(Authority().pem)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other))
    with Receiver("http", provider.authority.server_context(["localhost", "127.0.0.1"])) as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", str(provider.write_ca(tmp_path / "ca.pem")))
        trusted = SdkExporting(OtelSettings(endpoint=receiver.endpoint, protocol="http"), {})
        assert trusted.send([span(2)]) is None
        trusted.close()
        assert [one.name for one in receiver.spans] == ["span 2"]
        assert receiver.headers[-1]["content-encoding"] == "gzip"


def test_while_it_is_down_no_flow_is_lost_and_after_it_spans_arrive(exporting: Exporting) -> None:
    receiver = Receiver("grpc")
    receiver.port, receiver.refuse = free_port(), 401
    exporting.use(endpoint=receiver.endpoint, protocol="grpc", queue=16)
    seen = flows_of(exporting)
    for number in range(40):
        assert exporting.post(hello(f"number {number}")) == 200
    exporting.flush()
    assert wait_until(lambda: exporting.status()["failing"], SECONDS)
    told = exporting.status()
    assert told["queued"] <= 16
    assert told["dropped"] >= 24
    assert told["exported"] == 0
    assert flows_of(exporting) == seen + 40
    with receiver:
        assert wait_until(lambda: "UNAUTHENTICATED" in exporting.status()["last_error"], SECONDS)
        shown = exporting.daemon.run("status").stdout
        line = next(line for line in shown.splitlines() if receiver.endpoint in line)
        assert "dropped" in line
        assert "UNAUTHENTICATED: nothing of this sort" in line
        receiver.refuse = None
        assert len(receiver.wait(lambda spans: len(spans) >= 16)) == 16
        assert wait_until(lambda: not exporting.status()["failing"], SECONDS)
        assert exporting.status()["exported"] == 16
        exporting.change(enabled=False)
