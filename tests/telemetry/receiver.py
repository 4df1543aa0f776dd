"""A real OTLP receiver: gRPC, or protobuf over HTTP, on a free port of the loopback."""

from __future__ import annotations

import gzip
import ssl
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

SECONDS = 60.0
_STATUS = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
}


class Receiver:
    """What was received, and how to wait for it. Use as a context manager."""

    def __init__(self, protocol: str = "http", tls: ssl.SSLContext | None = None) -> None:
        """`tls`: of HTTP only."""
        self.protocol = protocol
        self._tls = tls
        self.port = 0
        self.refuse: int | None = None
        """An HTTP status to refuse everything with; over gRPC the status that means the same."""
        self.location: str | None = None
        """Said with `refuse`, over HTTP: where a redirect leads."""
        self.headers: list[dict[str, str]] = []
        self.resources: list[dict[str, Any]] = []
        self.metrics: dict[str, list[dict[str, Any]]] = {}
        """Attributes and value of each data point by the metric's name."""
        self._spans: dict[tuple[bytes, bytes], Span] = {}
        self._changed = threading.Condition()
        self._stop: Callable[[], object] = lambda: None

    @property
    def endpoint(self) -> str:
        return f"{'http' if self._tls is None else 'https'}://127.0.0.1:{self.port}"

    @property
    def spans(self) -> list[Span]:
        with self._changed:
            return list(self._spans.values())

    def wait(self, holds: Callable[[list[Span]], bool]) -> list[Span]:
        """The spans once `holds` is true of them; fails the test when that takes too long."""
        with self._changed:
            held = self._changed.wait_for(lambda: holds(list(self._spans.values())), SECONDS)
            assert held, f"received only {[(one.name, attributes(one)) for one in self._spans.values()]}"
            return list(self._spans.values())

    def wait_metric(self, name: str) -> list[dict[str, Any]]:
        with self._changed:
            assert self._changed.wait_for(lambda: name in self.metrics, SECONDS), sorted(self.metrics)
            return self.metrics[name]

    def __enter__(self) -> Self:
        if self.protocol == "grpc":
            self._serve_grpc()
        else:
            self._serve_http()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def take_spans(self, request: trace_service_pb2.ExportTraceServiceRequest) -> None:
        with self._changed:
            for resource in request.resource_spans:
                self.resources.append(_plain(resource.resource.attributes))
                for scope in resource.scope_spans:
                    for span in scope.spans:
                        assert (span.trace_id, span.span_id) not in self._spans, f"{span.name} was sent twice"
                        self._spans[span.trace_id, span.span_id] = span
            self._changed.notify_all()

    def take_metrics(self, request: metrics_service_pb2.ExportMetricsServiceRequest) -> None:
        with self._changed:
            for resource in request.resource_metrics:
                for scope in resource.scope_metrics:
                    for metric in scope.metrics:
                        data = getattr(metric, metric.WhichOneof("data"))
                        self.metrics[metric.name] = [
                            _plain(point.attributes)
                            | {"value": point.sum if hasattr(point, "sum") else _number(point), "unit": metric.unit}
                            for point in data.data_points
                        ]
            self._changed.notify_all()

    def _serve_grpc(self) -> None:
        server = grpc.server(ThreadPoolExecutor(4))
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(_Traces(self), server)
        metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(_Metrics(self), server)
        self.port = server.add_insecure_port(f"127.0.0.1:{self.port}")
        server.start()
        self._stop = lambda: server.stop(None).wait(10)

    def _serve_http(self) -> None:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                receiver.headers.append({name.lower(): value for name, value in self.headers.items()})
                if receiver.refuse is not None:
                    self.send_response(receiver.refuse)
                    if receiver.location is not None:
                        self.send_header("location", receiver.location)
                elif self.path == "/v1/traces":
                    receiver.take_spans(trace_service_pb2.ExportTraceServiceRequest.FromString(body))
                    self.send_response(200)
                elif self.path == "/v1/metrics":
                    receiver.take_metrics(metrics_service_pb2.ExportMetricsServiceRequest.FromString(body))
                    self.send_response(200)
                else:
                    self.send_response(404)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """The test's output is its own."""

        server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        if self._tls is not None:
            server.socket = self._tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()

        def stop() -> None:
            server.shutdown()
            server.server_close()
            thread.join()

        self._stop = stop


class _Traces(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver

    def Export(self, request: Any, context: Any) -> Any:
        self.receiver.headers.append({name: str(value) for name, value in context.invocation_metadata()})
        if self.receiver.refuse is not None:
            context.abort(_STATUS[self.receiver.refuse], "nothing of this sort")
        self.receiver.take_spans(request)
        return trace_service_pb2.ExportTraceServiceResponse()


class _Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):
    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver

    def Export(self, request: Any, context: Any) -> Any:
        self.receiver.take_metrics(request)
        return metrics_service_pb2.ExportMetricsServiceResponse()


def attributes(span: Span) -> dict[str, Any]:
    return _plain(span.attributes)


def _plain(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(one) for one in value.array_value.values]
    return getattr(value, kind) if kind else None


def _number(point: Any) -> float:
    return float(getattr(point, point.WhichOneof("value")))
