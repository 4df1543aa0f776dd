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
    sample: float = Field(
        1.0, ge=0, le=1, description="Share of traces that is exported; a run is exported whole or not at all."
    )
    http: bool = Field(True, description="Also a span for each HTTP request that is no model call.")
    queue: int = Field(
        4096, ge=16, le=100_000, description="Most spans that wait for a collector; the oldest are dropped beyond that."
    )

    def protocol_in(self, environ: Mapping[str, str]) -> str:
        """`grpc` or `http`."""
        said = environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") or ""
        return self.protocol or _PROTOCOLS.get(said.strip().lower(), "grpc")

    def endpoint_in(self, environ: Mapping[str, str]) -> str:
        """Where spans are sent, for a person to read."""
        said = environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
        usual = "http://localhost:4317" if self.protocol_in(environ) == "grpc" else "http://localhost:4318"
        return self.endpoint or said or usual

    def is_on(self, environ: Mapping[str, str] | None = None) -> bool:
        """Whether to export; `OTEL_SDK_DISABLED=true` overrules the setting."""
        environ = os.environ if environ is None else environ
        return self.enabled and environ.get("OTEL_SDK_DISABLED", "").strip().lower() != "true"
