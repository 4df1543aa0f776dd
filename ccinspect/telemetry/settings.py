"""The block `otel` of the configuration.

Imports nothing but pydantic and the standard library: `config.py` reads it at every start.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

HeaderValue = Annotated[str, Field(pattern=r"^[^\r\n]*$", max_length=8_000)]

_PROTOCOLS = {"grpc": "grpc", "http/protobuf": "http", "http": "http"}


class OtelSettings(BaseModel):
    """What is not given here is what the standard `OTEL_*` variables of the daemon's environment say."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = Field(False, description="Export spans and metrics. Off, the SDK is not even imported.")
    endpoint: str | None = Field(
        None,
        pattern=r"^https?://[^/?#\s]+(/[^?#\s]*)?$",
        description="The collector: `http://127.0.0.1:4317` for gRPC; for HTTP the address before `/v1/traces`. "
        "Without it, `OTEL_EXPORTER_OTLP_ENDPOINT`, or the protocol's usual port on this machine.",
    )
    protocol: Literal["grpc", "http"] | None = Field(
        None,
        description="`grpc`, or `http` for protobuf over HTTP. Without it, `OTEL_EXPORTER_OTLP_PROTOCOL`, or `grpc`.",
    )
    headers: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,100}$")], HeaderValue] = Field(
        {}, description="Sent with every export, for example an access token. Otherwise `OTEL_EXPORTER_OTLP_HEADERS`."
    )
    service_name: str | None = Field(
        None, max_length=200, description="The resource's `service.name`; else `OTEL_SERVICE_NAME`, or `ccinspect`."
    )
    capture_content: Literal["none", "metadata", "full"] = Field(
        "none",
        description="`none`: names and numbers only. `metadata`: also kind and length of each part of a prompt. "
        "`full`: also prompts, answers and arguments of tools; whoever can read the backend can read them.",
    )
    sample: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Share of traces that is exported, 0 to 1; a run is exported whole or not at all. Without it, what "
        "`OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG` say, or all.",
    )
    http: bool = Field(True, description="Also a span for each HTTP request that is no model call.")
    queue: int = Field(
        4096, ge=16, le=100_000, description="Most spans that wait for a collector; the oldest are dropped beyond that."
    )

    def protocol_in(self, environ: Mapping[str, str], signal: str = "TRACES") -> str:
        """`grpc` or `http`, for the signal `TRACES` or `METRICS`."""
        said = environ.get(f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL") or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") or ""
        return self.protocol or _PROTOCOLS.get(said.strip().lower(), "grpc")

    def endpoint_in(self, environ: Mapping[str, str]) -> str:
        """Where spans are sent, for a person to read."""
        said = environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
        usual = "http://localhost:4317" if self.protocol_in(environ) == "grpc" else "http://localhost:4318"
        return self.endpoint or said or usual

    def share_in(self, environ: Mapping[str, str]) -> float:
        """The share of traces to export, 0 to 1. A sampler that the standard does not name exports all."""
        if _is_none(environ, "TRACES"):
            return 0.0
        if self.sample is not None:
            return self.sample
        sampler = environ.get("OTEL_TRACES_SAMPLER", "").strip().lower().removeprefix("parentbased_")
        if sampler != "traceidratio":
            return 0.0 if sampler == "always_off" else 1.0
        try:
            return min(1.0, max(0.0, float(environ.get("OTEL_TRACES_SAMPLER_ARG", ""))))
        except ValueError:
            return 1.0

    def has_metrics_in(self, environ: Mapping[str, str]) -> bool:
        return not _is_none(environ, "METRICS")

    def if_on(self, environ: Mapping[str, str] | None = None) -> OtelSettings | None:
        """These settings, or None where nothing is to be exported; `OTEL_SDK_DISABLED=true` overrules `enabled`."""
        environ = os.environ if environ is None else environ
        return self if self.enabled and environ.get("OTEL_SDK_DISABLED", "").strip().lower() != "true" else None


def _is_none(environ: Mapping[str, str], signal: str) -> bool:
    return environ.get(f"OTEL_{signal}_EXPORTER", "").strip().lower() == "none"
