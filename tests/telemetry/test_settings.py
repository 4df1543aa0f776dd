"""The block `otel` and the standard variables."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from ccinspect.telemetry.settings import OtelSettings


@pytest.mark.parametrize(
    ("settings", "environ", "protocol", "endpoint"),
    [
        ({}, {}, "grpc", "http://localhost:4317"),
        ({"protocol": "http"}, {}, "http", "http://localhost:4318"),
        ({}, {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, "http", "http://localhost:4318"),
        ({"protocol": "grpc"}, {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, "grpc", "http://localhost:4317"),
        ({}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:1"}, "grpc", "http://c:1"),
        ({"endpoint": "https://d"}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:1"}, "grpc", "https://d"),
    ],
)
def test_what_is_set_comes_before_the_environment(
    settings: dict[str, str], environ: dict[str, str], protocol: str, endpoint: str
) -> None:
    otel = OtelSettings.model_validate(settings)
    assert (otel.protocol_in(environ), otel.endpoint_in(environ)) == (protocol, endpoint)


def test_the_environment_can_switch_it_off() -> None:
    assert OtelSettings(enabled=True).if_on({}) == OtelSettings(enabled=True)
    assert OtelSettings(enabled=True).if_on({"OTEL_SDK_DISABLED": "TRUE"}) is None
    assert OtelSettings().if_on({}) is None


@pytest.mark.parametrize(
    ("sample", "environ", "share"),
    [
        (None, {}, 1.0),
        (0.25, {}, 0.25),
        (0.25, {"OTEL_TRACES_SAMPLER": "always_off"}, 0.25),
        (None, {"OTEL_TRACES_SAMPLER": "always_off"}, 0.0),
        (None, {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.5"}, 0.5),
        (None, {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "7"}, 1.0),
        (None, {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "some"}, 1.0),
        (None, {"OTEL_TRACES_SAMPLER": "traceidratio"}, 1.0),
        (None, {"OTEL_TRACES_SAMPLER": "jaeger_remote"}, 1.0),
        (1.0, {"OTEL_TRACES_EXPORTER": "none"}, 0.0),
    ],
)
def test_the_share_of_traces(sample: float | None, environ: dict[str, str], share: float) -> None:
    assert OtelSettings(sample=sample).share_in(environ) == share


def test_metrics_have_variables_of_their_own() -> None:
    environ = {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "http/protobuf"}
    assert OtelSettings().protocol_in(environ) == "grpc"
    assert OtelSettings().protocol_in(environ, "METRICS") == "http"
    assert OtelSettings().has_metrics_in(environ)
    assert not OtelSettings().has_metrics_in({"OTEL_METRICS_EXPORTER": "none"})


@pytest.mark.parametrize(
    "wrong",
    [
        {"endpoint": "collector:4317"},
        {"endpoint": "http://c/?token=1"},
        {"sample": 1.5},
        {"queue": 0},
        {"headers": {"a b": "c"}},
        {"headers": {"a": "b\r\nc: d"}},
    ],
)
def test_mistakes_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        OtelSettings.model_validate(wrong)
