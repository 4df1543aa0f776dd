"""What is counted: model calls by the conventions, and how the capture itself is doing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader
from opentelemetry.sdk.resources import Resource

from ccinspect import __version__
from ccinspect.analysis.observer import SeenCall
from ccinspect.telemetry import names
from ccinspect.telemetry.calls import call_error, clean, usage_of

# As the conventions advise.
_SECONDS = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92]
_TOKENS = [4.0**power for power in range(14)]

_GAUGES = {
    names.CAPTURE_QUEUE_METRIC: ("By", "Bytes that the recorder has not written yet."),
    names.CAPTURE_LOST_METRIC: ("{record}", "Records and bodies that could not be kept, since the daemon's start."),
    names.STORE_SIZE_METRIC: ("By", "Size of the store's files."),
    names.EXPORT_QUEUE_METRIC: ("{span}", "Spans that wait for the collector."),
    names.EXPORT_DROPPED_METRIC: ("{span}", "Spans that were dropped, since the daemon's start."),
}

Gauges = Callable[[], Mapping[str, float]]
"""The newest values by the metric's name; those that are missing are not told."""


class Metrics:
    """The instruments. Token counts have the modality `unknown`: no provider tells it for all of its tokens."""

    def __init__(self, reader: MetricReader, resource: Resource, gauges: Gauges) -> None:
        self._provider = MeterProvider([reader], resource, shutdown_on_exit=False)
        self._gauges = gauges
        meter = self._provider.get_meter(names.SCOPE, __version__, names.SCHEMA_URL)
        self._duration = meter.create_histogram(
            names.DURATION_METRIC, "s", "How long a model call took.", explicit_bucket_boundaries_advisory=_SECONDS
        )
        self._first_chunk = meter.create_histogram(
            names.FIRST_CHUNK_METRIC,
            "s",
            "Time to the first chunk of a streamed answer.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self._tokens = {
            attribute: meter.create_histogram(name, "{token}", what, explicit_bucket_boundaries_advisory=_TOKENS)
            for attribute, name, what in (
                (names.INPUT_TOKENS, names.INPUT_METRIC, "Input tokens of a model call, cached ones included."),
                (names.OUTPUT_TOKENS, names.OUTPUT_METRIC, "Output tokens of a model call, reasoning included."),
            )
        }
        self._usage = {
            attribute: meter.create_counter(name, "{token}", "Tokens as the provider counted them.")
            for attribute, name in names.USAGE_METRICS.items()
        }
        self._cost = meter.create_counter(names.COST_METRIC, "{USD}", "Cost at list price.")
        self._hit_rate = meter.create_histogram(
            names.HIT_RATE_METRIC,
            "1",
            "Share of a call's input that was read from the provider's cache.",
            explicit_bucket_boundaries_advisory=[0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99],
        )
        for name, (unit, what) in _GAUGES.items():
            meter.create_observable_gauge(name, [self._reading_of(name)], unit, what)

    def call(self, seen: SeenCall) -> None:
        """Count a model call."""
        spoken, sender = seen.spoken, seen.flow.sender
        request = seen.flow.record.get("request") or {}
        whose = clean(
            {
                names.OPERATION: names.operation_name(spoken.request.kind, spoken.dialect),
                names.PROVIDER: names.provider_name(sender.provider),
                names.REQUEST_MODEL: spoken.request.model,
                names.RESPONSE_MODEL: spoken.response.model if spoken.response else None,
                names.SERVER_ADDRESS: sender.labels.host,
                names.SERVER_PORT: request.get("port"),
            }
        )
        error = call_error(seen)
        ended = whose | clean({names.ERROR_TYPE: error})
        if spoken.ended_at is not None:
            self._duration.record(max(0.0, spoken.ended_at - spoken.started_at), ended)
        if spoken.request.stream and spoken.first_byte_at is not None:
            self._first_chunk.record(max(0.0, spoken.first_byte_at - spoken.started_at), whose)
        usage = usage_of(seen.analysis)
        for attribute, value in usage.items():
            # What a failed call used was paid for, but tells nothing about how much calls use.
            if attribute in self._tokens and error is None:
                self._tokens[attribute].record(value, whose)
            if attribute in self._usage:
                self._usage[attribute].add(value, whose | {names.MODALITY: "unknown"})
        if usage.get(names.INPUT_TOKENS) and names.CACHE_READ_TOKENS in usage:
            self._hit_rate.record(usage[names.CACHE_READ_TOKENS] / usage[names.INPUT_TOKENS], whose)
        if seen.analysis is not None and seen.analysis.cost.total:
            basis = {names.COST_BASIS: seen.analysis.cost_basis.value}
            project = clean({names.PROJECT: sender.labels.project})
            self._cost.add(max(0.0, float(seen.analysis.cost.total)), whose | basis | project)

    def close(self, seconds: float) -> None:
        """Export what was counted, in so many seconds at most."""
        self._provider.shutdown(timeout_millis=seconds * 1000)

    def _reading_of(self, name: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def read(_: CallbackOptions) -> Iterable[Observation]:
            value = self._gauges().get(name)
            return [] if value is None else [Observation(value)]

        return read
