"""Our spans as those of OpenTelemetry's SDK, and its exporters. Imported only where `otel` is on, as `metrics.py` is.

The SDK's own batch processor is not used: it cannot say what it dropped, nor start from spans that are over already.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpanExporter
from opentelemetry.sdk.metrics.export import MetricExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event as SdkEvent
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link as SdkLink
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from ccinspect import __version__
from ccinspect.telemetry import names
from ccinspect.telemetry.environment import why_no_exporter
from ccinspect.telemetry.http_session import CollectorSession
from ccinspect.telemetry.reasons import MOST, UNKNOWN, Listening, reason_of
from ccinspect.telemetry.settings import OtelSettings
from ccinspect.telemetry.spans import CLIENT, INTERNAL, Place, Span

_KINDS = {CLIENT: SpanKind.CLIENT, INTERNAL: SpanKind.INTERNAL}
_NANO = 1_000_000_000
# By itself gRPC waits up to two minutes before it looks again for one that was down, and the wait outlives a channel.
# Annotated by the exporters as one pair of texts, which is a slip of theirs.
_CHANNEL: Any = (("grpc.max_reconnect_backoff_ms", 5_000), ("grpc.use_local_subchannel_pool", 1))


class Exporting:
    """Sends batches of spans. `send` is what `queue.SpanQueue` needs."""

    def __init__(self, settings: OtelSettings, environ: Mapping[str, str] | None = None) -> None:
        """`environ` only decides what `settings` leaves open and the SDK does not read by itself."""
        environ = os.environ if environ is None else environ
        self.resource = resource_of(settings, environ)
        self._heard = Listening()
        self._heard.begin()
        self._exporter: SpanExporter | None = None
        self._problem = ""
        try:
            self._exporter = span_exporter(settings, environ)
        except Exception as error:
            # A variable that the SDK cannot read: the analysis goes on, and `status` says why nothing is exported.
            self._problem = why_no_exporter(error, environ)
        self._scope = InstrumentationScope(names.SCOPE, __version__, names.SCHEMA_URL)

    def send(self, spans: Sequence[Span]) -> str | None:
        """Export a batch; the result says why it failed, None when it did not. Takes 10 seconds, or
        `OTEL_EXPORTER_OTLP_TIMEOUT`, at most."""
        self._heard.reason = ""
        if self._exporter is None:
            return self._problem[:MOST]
        try:
            done = self._exporter.export([self.convert(span) for span in spans])
        except Exception as error:
            return reason_of(f"{type(error).__name__}: {error}")
        return None if done is SpanExportResult.SUCCESS else self._heard.reason or UNKNOWN

    def close(self) -> None:
        """Let go of the connection; an export that is under way fails."""
        if self._exporter is not None:
            self._exporter.shutdown()
        self._heard.end()

    def convert(self, span: Span) -> ReadableSpan:
        """The SDK's form of a span."""
        return ReadableSpan(
            name=span.name,
            context=_context(span.place),
            parent=_context(span.parent) if span.parent else None,
            resource=self.resource,
            attributes=span.attributes,
            events=[SdkEvent(one.name, one.attributes, _nanoseconds(one.at)) for one in span.events],
            links=[SdkLink(_context(one.to), one.attributes) for one in span.links],
            kind=_KINDS[span.kind],
            status=Status(StatusCode.ERROR, span.error) if span.error else Status(StatusCode.UNSET),
            start_time=_nanoseconds(span.started_at),
            end_time=_nanoseconds(span.ended_at),
            instrumentation_scope=self._scope,
        )


def resource_of(settings: OtelSettings, environ: Mapping[str, str]) -> Resource:
    """What sends: `service.name`, our version, and what `OTEL_RESOURCE_ATTRIBUTES` adds."""
    about = {names.SERVICE_VERSION: __version__}
    if settings.service_name:
        about[names.SERVICE_NAME] = settings.service_name
    elif not environ.get("OTEL_SERVICE_NAME") and names.SERVICE_NAME not in environ.get("OTEL_RESOURCE_ATTRIBUTES", ""):
        about[names.SERVICE_NAME] = "ccinspect"
    return Resource.create(about, names.SCHEMA_URL)


def span_exporter(settings: OtelSettings, environ: Mapping[str, str]) -> SpanExporter:
    if settings.protocol_in(environ) == "grpc":
        return GrpcSpanExporter(settings.endpoint, _plain(settings), headers=_lower(settings), channel_options=_CHANNEL)
    return HttpSpanExporter(
        endpoint=_signal(settings, "traces"), headers=settings.headers or None, session=CollectorSession()
    )


def metric_exporter(settings: OtelSettings, environ: Mapping[str, str]) -> MetricExporter:
    if settings.protocol_in(environ, "METRICS") == "grpc":
        return GrpcMetricExporter(
            settings.endpoint, _plain(settings), headers=_lower(settings), channel_options=_CHANNEL
        )
    return HttpMetricExporter(
        endpoint=_signal(settings, "metrics"), headers=settings.headers or None, session=CollectorSession()
    )


def _plain(settings: OtelSettings) -> bool | None:
    """Whether gRPC goes without TLS: the scheme of the setting says it, not `OTEL_EXPORTER_OTLP_INSECURE`."""
    return settings.endpoint.startswith("http:") if settings.endpoint else None


def _lower(settings: OtelSettings) -> dict[str, str] | None:
    """gRPC takes no capitals in the names of headers."""
    return {name.lower(): value for name, value in settings.headers.items()} or None


def _signal(settings: OtelSettings, name: str) -> str | None:
    return f"{settings.endpoint.rstrip('/')}/v1/{name}" if settings.endpoint else None


def _context(place: Place) -> SpanContext:
    return SpanContext(place.trace, place.span, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def _nanoseconds(seconds: float) -> int:
    return max(0, int(seconds * _NANO))
