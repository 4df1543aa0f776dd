"""One flow's capture: its record so far, and the sinks its bodies run into."""

from __future__ import annotations

import time
from typing import Any, Protocol

from mitmproxy import flow

from ccinspect.addons.peers import address_of, is_here
from ccinspect.addons.records import Record, client_record, error_record, server_record
from ccinspect.addons.sources import Listener
from ccinspect.addons.who import Who
from ccinspect.identity.tags import Said


class Sink(Protocol):
    """Where the bytes of one body go; the store's recorder makes them."""

    size: int

    def feed(self, chunk: bytes) -> None: ...

    def finish(self) -> Any: ...


class Counter:
    """A sink that only counts: the pieces of raw streams are recorded one by one, as messages."""

    def __init__(self) -> None:
        self.size = 0

    def feed(self, chunk: bytes) -> None:
        self.size += len(chunk)

    def finish(self) -> None:
        return None


class Capture:
    """Collects what is known of one flow until it ends. Lives in the inspector's table, keyed by flow id."""

    __slots__ = (
        "changes",
        "client_bodies",
        "client_request",
        "client_response",
        "flow",
        "listener",
        "masks",
        "message_bytes",
        "opaque",
        "request",
        "request_sink",
        "response_sink",
        "run",
        "said",
        "seq",
        "who",
    )

    def __init__(self, captured: flow.Flow, listener: Listener, run: str | None, who: Who) -> None:
        self.flow = captured
        self.who = who
        self.said: Said | None = None
        self.listener = listener
        self.run = run
        self.masks: bytes | None = None
        """The rules of `redact` for what is kept of this flow; None where there are none."""
        self.opaque = False
        self.request: Record | None = None
        self.client_request: Record | None = None
        self.client_response: Record | None = None
        self.client_bodies: dict[str, Sink] = {}
        """Bodies on the client's side by `request` and `response`, where they differ from what the upstream saw."""
        self.changes: dict[str, Any] | None = None
        self.request_sink: Sink | None = None
        self.response_sink: Sink | None = None
        self.seq = 0
        self.message_bytes = [0, 0]
        """Of a WebSocket's messages: from the server, from the client."""

    def of_raw_stream(self) -> Capture:
        """Prepare for a TCP or UDP flow, whose pieces are recorded as messages; returns itself."""
        host, port = (self.flow.server_conn.address or ("", 0))[:2]
        self.request = {"host": host, "port": port, "pretty_host": self.flow.client_conn.sni or host}
        self.request_sink, self.response_sink = Counter(), Counter()
        return self

    def record(self, state: str, response: Record | None = None, hint: str | None = None) -> Record:
        """The flow record of docs/architecture.md as far as it is known."""
        captured = self.flow
        ended = state != "started"
        return {
            "id": captured.id,
            "type": captured.type,
            "source": self.listener.kind,
            "run": self.run,
            "state": state,
            "opaque": self.opaque,
            "hint": hint,
            "client_conn": {
                **client_record(captured.client_conn),
                "fingerprint": self.who.fingerprint(captured.client_conn),
            },
            "process": self.who.process(captured.client_conn) if ended else None,
            "machine": self.who.machine,
            "device": self._device(),
            "said": self.said.as_record() if self.said else None,
            "server_conn": server_record(captured.server_conn) if ended else None,
            "request": self.request,
            "client_request": self.client_request,
            "response": response,
            "client_response": self.client_response,
            "changes": self.changes,
            "parent": captured.metadata.get("ccinspect.parent"),
            "error": error_record(captured.error),
            "timing": {
                "started_at": captured.timestamp_created,
                "ended_at": time.time() if ended else None,
                "first_byte_at": response.get("timestamp_start") if response else None,
            },
            "sizes": {
                "request": (self.request_sink.size if self.request_sink else 0) + self.message_bytes[True],
                "response": (self.response_sink.size if self.response_sink else 0) + self.message_bytes[False],
            },
        }

    def _device(self) -> str | None:
        """Address of the other machine that the client is on."""
        client = self.flow.client_conn
        if self.listener.kind == "wireguard" or is_here(client):
            return None
        return address_of(client) or None

    def finish_bodies(self) -> dict[str, Any]:
        """Close all sinks: the bodies of the message `flow_ended`, each bytes, a spool reference, or None."""
        return {
            "request_body": self.request_sink.finish() if self.request_sink else None,
            "response_body": self.response_sink.finish() if self.response_sink else None,
            **{f"client_{side}_body": sink.finish() for side, sink in self.client_bodies.items()},
        }
