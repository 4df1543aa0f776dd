"""Variables of the daemon's environment that are empty, say nothing, or cannot be read: the analysis goes on."""

from __future__ import annotations

import pytest

from ccinspect.demo.provider import Provider
from ccinspect.telemetry.environment import mend, why_no_exporter
from ccinspect.telemetry.sdk import Exporting as SdkExporting
from ccinspect.telemetry.settings import OtelSettings
from ccinspect.telemetry.spans import CLIENT, Place, Span
from tests.conftest import StartDaemon
from tests.support.waiting import wait_until
from tests.telemetry.conftest import Exporting, hello
from tests.telemetry.receiver import Receiver


def test_what_says_nothing_is_taken_out() -> None:
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
        "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION": "gzip",
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_SERVICE_NAME": "  ",
        "PATH": "",
    }
    mend(environ)
    kept = {"OTEL_EXPORTER_OTLP_TRACES_COMPRESSION": "gzip", "OTEL_TRACES_EXPORTER": "none", "PATH": ""}
    assert environ == kept


def test_the_names_of_variables_are_told_and_no_value() -> None:
    environ = {"OTEL_EXPORTER_OTLP_HEADERS": "authorization=secret", "OTEL_EXPORTER_OTLP_TIMEOUT": "soon"}
    said = why_no_exporter(ValueError("could not convert string to float: 'soon'"), environ)
    assert said == (
        "no exporter can be made of OTEL_EXPORTER_OTLP_HEADERS, OTEL_EXPORTER_OTLP_TIMEOUT: "
        "could not convert string to float: 'soon'"
    )


@pytest.mark.parametrize(
    ("name", "value"), [("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"), ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd")]
)
def test_what_the_sdk_refuses_is_why_nothing_is_exported(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    exporting = SdkExporting(OtelSettings(endpoint="http://127.0.0.1:1", protocol="grpc"))
    problem = exporting.send([Span("one", CLIENT, Place(1, 1), None, 1.0, 2.0, {})])
    exporting.close()
    assert problem is not None
    assert name in problem
    assert value in problem


def test_the_scheme_of_the_setting_says_whether_there_is_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_INSECURE", "false")
    with Receiver("grpc") as receiver:
        exporting = SdkExporting(OtelSettings(endpoint=receiver.endpoint, protocol="grpc"))
        assert exporting.send([Span("one", CLIENT, Place(1, 1), None, 1.0, 2.0, {})]) is None
        exporting.close()


def test_the_analysis_goes_on_and_status_says_what_is_wrong(
    start_daemon: StartDaemon, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "soon")
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "0")
    daemon = start_daemon(otel={"enabled": True, "endpoint": "http://127.0.0.1:1"})
    exporting = Exporting(daemon, provider)
    assert exporting.post(hello()) == 200
    exporting.flush()
    told = daemon.json("status", "--json")["analysis"]
    assert (told["running"], told["behind"], told["restarts"]) == (True, False, 0)
    assert wait_until(lambda: exporting.status()["failing"], 20)
    assert "OTEL_EXPORTER_OTLP_TIMEOUT" in exporting.status()["last_error"]


def test_what_says_nothing_stops_no_export(
    start_daemon: StartDaemon, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TIMEOUT", "COMPRESSION", "ENDPOINT", "HEADERS", "CERTIFICATE", "TRACES_ENDPOINT"):
        monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{name}", "")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "none")
    with Receiver("grpc") as receiver:
        daemon = start_daemon(otel={"enabled": True, "endpoint": receiver.endpoint})
        assert Exporting(daemon, provider).post(hello()) == 200
        assert receiver.wait(lambda spans: any(one.name.startswith("chat ") for one in spans))
        daemon.stop()
