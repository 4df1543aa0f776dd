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
    assert OtelSettings(enabled=True).is_on({})
    assert not OtelSettings(enabled=True).is_on({"OTEL_SDK_DISABLED": "TRUE"})
    assert not OtelSettings().is_on({})


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
