"""The inspector: records every flow, holds none of them up.

Bodies are teed chunk by chunk into sinks of the store's recorder. Both directions are always streamed, so that nothing
waits for a whole body; only answers made by ourselves (a 501, say) are buffered by mitmproxy.
"""

from __future__ import annotations

import contextlib
from collections import Counter as Counts
from collections.abc import Callable
from typing import Any

from mitmproxy import connection, dns, flow, http, tcp, tls, udp
from mitmproxy.proxy import server_hooks
from mitmproxy.websocket import WebSocketMessage

from ccinspect.addons import hints, records
from ccinspect.addons.capture import Capture, Sink
from ccinspect.addons.egress import POLICY
from ccinspect.addons.exchange import Exchange
from ccinspect.addons.sources import Listener, Sources
from ccinspect.addons.who import Who, has_tags, take_tags
from ccinspect.policy.kept import KeptRules
from ccinspect.store.recorder import RULES, Recorder

# Messages of WebSocket, TCP and UDP flows that stay in memory for mitmweb; all of them are in the store.
KEPT_MESSAGES = 200


class Inspector:
    """Addon: one record per flow, whatever its protocol and however it ends."""

    name = "ccinspect_inspector"

    def __init__(
        self,
        recorder: Recorder,
        sources: Sources,
        who: Who,
        publish: Callable[[dict[str, Any]], None],
        kept: KeptRules,
    ) -> None:
        self.kept = kept
        self.recorder = recorder
        self.who = who
        self.sources = sources
        self.publish = publish
        self.captures: dict[str, Capture] = {}
        self.connections: dict[str, _Connection] = {}
        self.counts: Counts[str] = Counts()
        """Flows that have ended, by run."""

    def take_count(self, run: str) -> int:
        """How many flows of a run were recorded; asked once, when it ends."""
        return self.counts.pop(run, 0)

    def client_connected(self, client: connection.Client) -> None:
        listener = self.sources.of(client)
        self.connections[client.id] = _Connection(listener, listener.run)

    def client_disconnected(self, client: connection.Client) -> None:
        state = self.connections.pop(client.id, None)
        self.sources.connection_runs.pop(client.id, None)
        if state is None:
            return
        for flow_id in list(state.open_flows):
            capture = self.captures[flow_id]
            if not capture.flow.error:
                capture.flow.error = flow.Error("connection closed before the flow was complete")
            if isinstance(capture.flow, http.HTTPFlow):
                self._end_http(capture.flow)
            else:
                self._end(capture, records_response(capture.flow))
        if client.tls_established and not state.flows and state.listener.kind != "reverse":
            self._record_handshake(client, state, hints.SILENT_AFTER_HANDSHAKE, None)
        elif not state.flows and state.listener.kind == "wireguard":
            # A connection without a byte, or one that was never answered: nothing that leaves a jail goes unrecorded.
            attempt = _attempt(client, connection.Server(address=client.sockname))
            self._end(self._capture(attempt, state.listener, state.run).of_raw_stream(), hint=hints.NOTHING_SENT)

    def http_connect(self, captured: http.HTTPFlow) -> None:
        self._attribute_by_credentials(captured)

    def tls_failed_client(self, data: tls.TlsData) -> None:
        client = data.conn
        state = self.connections.get(client.id)
        if state and isinstance(client, connection.Client):
            self._record_handshake(client, state, hints.REFUSES_CA, client.error, data.context.server)

    def server_connect_error(self, data: server_hooks.ServerConnectionHookData) -> None:
        # Behind the tunnel a connection that fails never becomes a flow of mitmproxy's; it is one for us.
        state = self.connections.get(data.client.id)
        if state and not state.flows and state.listener.kind == "wireguard":
            attempt = _attempt(data.client, data.server)
            attempt.error = flow.Error(data.server.error or "cannot connect")
            self._end(self._begin(attempt))

    def requestheaders(self, captured: http.HTTPFlow) -> None:
        snapshot = captured.metadata.pop("ccinspect.client_request", None)
        if "proxy-authorization" in captured.request.headers or "proxy-connection" in captured.request.headers:
            snapshot = snapshot or records.request_record(captured.request)
            self._attribute_by_credentials(captured)
            captured.request.headers.pop("proxy-connection", None)
        said = None
        if has_tags(captured.request):
            snapshot = snapshot or records.request_record(captured.request)
            said = take_tags(captured.request)
        capture = self._begin(captured, run=captured.metadata.pop("ccinspect.run", None))
        capture.said = said
        if said is not None and said.project:
            capture.masks = self.kept.of(said.project, self._project_of(capture.run))
        capture.request = records.request_record(captured.request)
        capture.client_request = snapshot if snapshot != capture.request else None
        capture.request_sink = self._new_body(capture)
        exchange = Exchange.of(captured)
        if exchange is not None:
            capture.request = exchange.without_secrets(capture.request)
        if captured.response is None and not (exchange and exchange.reads_request):
            captured.request.stream = _tee(capture.request_sink)
        self._put(capture, {"kind": "flow_started", "flow": capture.record("started")})

    def responseheaders(self, captured: http.HTTPFlow) -> None:
        capture = self.captures.get(captured.id)
        if capture is not None and captured.response is not None:
            capture.response_sink = self._new_body(capture)
            exchange = Exchange.of(captured)
            if exchange is None or not (exchange.reads_response or exchange.translate):
                captured.response.stream = _tee(capture.response_sink)
            elif exchange.translate:
                client_sink = capture.client_bodies["response"] = self._new_body(capture)
                captured.response.stream = _translating_tee(capture.response_sink, exchange.translate, client_sink)

    def response(self, captured: http.HTTPFlow) -> None:
        # A WebSocket's flow goes on until websocket_end.
        if captured.websocket is None:
            self._end_http(captured)

    def error(self, captured: http.HTTPFlow) -> None:
        self._end_http(captured)

    def websocket_message(self, captured: http.HTTPFlow) -> None:
        capture = self.captures.get(captured.id)
        if capture is not None and captured.websocket is not None:
            message: WebSocketMessage = captured.websocket.messages[-1]
            self._message(capture, message, "text" if message.is_text else "binary")
            _trim(captured.websocket.messages)

    def websocket_end(self, captured: http.HTTPFlow) -> None:
        self._end_http(captured)

    def tcp_start(self, captured: tcp.TCPFlow | udp.UDPFlow) -> None:
        capture = self._begin(captured)
        self._put(capture, {"kind": "flow_started", "flow": capture.record("started")})

    def tcp_message(self, captured: tcp.TCPFlow | udp.UDPFlow) -> None:
        capture = self.captures.get(captured.id)
        if capture is None:
            return
        message = captured.messages[-1]
        if capture.seq == 0 and message.from_client:
            self._look_at_opening(capture, message.content)
        self._message(capture, message, captured.type)
        _trim(captured.messages)

    def tcp_end(self, captured: tcp.TCPFlow | udp.UDPFlow) -> None:
        capture = self.captures.get(captured.id)
        if capture is not None:
            self._end(capture)

    tcp_error = tcp_end
    udp_start, udp_message, udp_end, udp_error = tcp_start, tcp_message, tcp_end, tcp_end

    def dns_request(self, captured: dns.DNSFlow) -> None:
        capture = self._begin(captured)
        capture.request = records.dns_request_record(captured.request)
        self._put(capture, {"kind": "flow_started", "flow": capture.record("started")})

    def dns_response(self, captured: dns.DNSFlow) -> None:
        capture = self.captures.get(captured.id)
        if capture is not None:
            self._end(capture, records_response(captured))

    dns_error = dns_response

    def _begin(self, captured: flow.Flow, run: str | None = None) -> Capture:
        state = self.connections.get(captured.client_conn.id)
        if state is None:
            # Replays from mitmweb have no live connection.
            state = _Connection(self.sources.of(captured.client_conn), None)
        state.flows += 1
        state.open_flows.add(captured.id)
        if run:
            self.who.look_for_process(captured.client_conn, run)
        capture = self.captures[captured.id] = self._capture(captured, state.listener, run or state.run)
        if isinstance(captured, tcp.TCPFlow | udp.UDPFlow):
            capture.of_raw_stream()
        return capture

    def _capture(self, captured: flow.Flow, listener: Listener, run: str | None) -> Capture:
        capture = Capture(captured, listener, run, self.who)
        capture.masks = self.kept.of(self._project_of(run))
        return capture

    def _project_of(self, run: str | None) -> str | None:
        project: str | None = self.sources.run_records.get(run or "", {}).get("project")
        return project

    def _new_body(self, capture: Capture) -> Sink:
        return self.recorder.new_body(unwritten=capture.masks is not None)

    def _put(self, capture: Capture, message: dict[str, Any]) -> None:
        self.recorder.put(message if capture.masks is None else {**message, RULES: capture.masks})

    def _end_http(self, captured: http.HTTPFlow) -> None:
        capture = self.captures.get(captured.id)
        if capture is None:
            return
        capture.request = records.request_record(captured.request)
        response = captured.response
        if response is not None and capture.response_sink is None:
            capture.response_sink = self._new_body(capture)
        record = records_response(captured)
        if exchange := Exchange.of(captured):
            record = self._take_changes(capture, exchange, record)
        elif capture.client_request is not None:
            capture.client_request = capture.client_request | records.end_of_request(capture.request)
        for message, sink in ((captured.request, capture.request_sink), (response, capture.response_sink)):
            # What mitmproxy buffered, because we answered ourselves, did not run through the tee.
            if message is not None and sink is not None and not sink.size and message.raw_content:
                sink.feed(message.raw_content)
        self._end(capture, record)

    def _take_changes(
        self, capture: Capture, exchange: Exchange, response: records.Record | None
    ) -> records.Record | None:
        """Put what the client saw beside what the upstream saw; returns the upstream's answer."""
        capture.changes = exchange.changes or None
        if capture.flow.error is not None:
            capture.flow.error.msg = exchange.hidden(capture.flow.error.msg)
        if capture.request is not None:
            capture.request = exchange.without_secrets(capture.request)
        response = exchange.without_secrets(response) if response is not None else None
        snapshot = capture.client_request or exchange.client_request
        if capture.request is not None:
            snapshot = snapshot | records.end_of_request(capture.request)
            if exchange.client_trailers is not None:
                snapshot["trailers"] = exchange.client_trailers
        capture.client_request = snapshot if snapshot != capture.request else None
        if exchange.client_body is not None:
            sink = capture.client_bodies["request"] = self._new_body(capture)
            sink.feed(exchange.client_body)
        if exchange.upstream_response is None or response is None:
            return response
        capture.client_response = response
        times = {name: response[name] for name in ("timestamp_start", "timestamp_end")}
        if exchange.upstream_body is not None and capture.response_sink is not None:
            capture.response_sink.feed(exchange.upstream_body)
            sink = capture.client_bodies["response"] = self._new_body(capture)
            sink.feed(capture.flow.response.raw_content or b"")  # type: ignore[attr-defined]
        return exchange.without_secrets(exchange.upstream_response) | times

    def _end(self, capture: Capture, response: records.Record | None = None, hint: str | None = None) -> None:
        captured = capture.flow
        self.captures.pop(captured.id, None)
        state = self.connections.get(captured.client_conn.id)
        if state is not None:
            state.open_flows.discard(captured.id)
        if captured.error:
            hint = hints.hint_for(captured.error.msg)
        if policy := captured.metadata.get(POLICY):
            capture.changes = {**(capture.changes or {}), "policy": policy}
        record = capture.record("error" if captured.error else "complete", response, hint)
        bodies = capture.finish_bodies()
        self._put(capture, {"kind": "flow_ended", "flow": record, **bodies})
        if isinstance(captured, http.HTTPFlow):
            # For mitmweb: the streams left mitmproxy's own messages empty.
            request_body = bodies["request_body"]
            response_body = bodies.get("client_response_body", bodies["response_body"])
            if isinstance(request_body, bytes):
                captured.request.data.content = request_body
            if isinstance(response_body, bytes) and captured.response is not None:
                captured.response.data.content = response_body
        self._told(record)

    def _told(self, record: records.Record) -> None:
        if record["run"]:
            self.counts[record["run"]] += 1
        self.publish(record)

    def _message(self, capture: Capture, message: Any, kind: str) -> None:
        content: bytes = message.content
        if kind in ("tcp", "udp"):
            counter = capture.request_sink if message.from_client else capture.response_sink
            if counter is not None:
                counter.feed(content)
        else:
            capture.message_bytes[message.from_client] += len(content)
        if not capture.opaque:
            self._put(
                capture,
                {
                    "kind": "message",
                    "flow_id": capture.flow.id,
                    "seq": capture.seq,
                    "from_client": message.from_client,
                    "type": kind,
                    "timestamp": message.timestamp,
                    "content": content,
                },
            )
        capture.seq += 1

    def _look_at_opening(self, capture: Capture, data: bytes) -> None:
        """A TLS record on a connection that was not intercepted: the host is passed through, only sizes are ours."""
        if data[:2] != b"\x16\x03":
            return
        capture.opaque = True
        with contextlib.suppress(ValueError):
            from mitmproxy.proxy.layers.tls import parse_client_hello

            hello = parse_client_hello(data)
            if hello is not None and hello.sni and capture.request is not None:
                capture.request["pretty_host"] = hello.sni

    def _record_handshake(
        self,
        client: connection.Client,
        state: _Connection,
        hint: str,
        error: str | None,
        server: connection.Server | None = None,
    ) -> None:
        state.flows += 1
        attempt = tcp.TCPFlow(client, server or connection.Server(address=None))
        if error:
            attempt.error = flow.Error(error)
        capture = self._capture(attempt, state.listener, state.run)
        capture.opaque = True
        host, port = (attempt.server_conn.address or client.sockname or ("", 0))[:2]
        capture.request = {"host": host, "port": port, "pretty_host": client.sni or host}
        record = capture.record("error" if error else "complete", hint=hint)
        record["type"] = "tls"
        self._put(capture, {"kind": "flow_ended", "flow": record, "request_body": None, "response_body": None})
        self._told(record)

    def _attribute_by_credentials(self, captured: http.HTTPFlow) -> None:
        """Find the run by its proxy credentials, which go no further than us."""
        credentials = captured.request.headers.pop("proxy-authorization", None)
        state = self.connections.get(captured.client_conn.id)
        if credentials and state is not None:
            state.run = self.sources.run_of_credentials(credentials) or state.run
            if state.run:
                self.who.look_for_process(captured.client_conn, state.run)


def _attempt(client: connection.Client, server: connection.Server) -> tcp.TCPFlow | udp.UDPFlow:
    return (udp.UDPFlow if client.transport_protocol == "udp" else tcp.TCPFlow)(client, server)


class _Connection:
    """What is known of a client connection."""

    __slots__ = ("flows", "listener", "open_flows", "run")

    def __init__(self, listener: Listener, run: str | None) -> None:
        self.listener = listener
        self.run = run
        self.flows = 0
        self.open_flows: set[str] = set()


def _tee(sink: Sink) -> Callable[[bytes], bytes]:
    feed = sink.feed

    def tee(chunk: bytes) -> bytes:
        feed(chunk)
        return chunk

    return tee


def _translating_tee(
    sink: Sink, translate: Callable[[bytes], bytes], client_sink: Sink
) -> Callable[[bytes], list[bytes]]:
    def tee(chunk: bytes) -> list[bytes]:
        sink.feed(chunk)
        said = translate(chunk)
        client_sink.feed(said)
        # An empty piece would be taken for the end of a chunked body.
        return [said] if said else []

    return tee


def _trim(messages: list[Any]) -> None:
    if len(messages) > KEPT_MESSAGES:
        del messages[: KEPT_MESSAGES // 2]


def records_response(captured: flow.Flow) -> records.Record | None:
    if isinstance(captured, http.HTTPFlow) and captured.response is not None:
        return records.response_record(captured.response)
    if isinstance(captured, dns.DNSFlow) and captured.response is not None:
        return records.dns_response_record(captured.response)
    return None
