"""Between mitmproxy's requests and the ones that rules, hooks and translation work on."""

from __future__ import annotations

from mitmproxy import connection, http

from ccinspect.addons.connect_to import lead
from ccinspect.addons.exchange import Exchange
from ccinspect.addons.from_quic import choose_transport
from ccinspect.addons.sources import Sources
from ccinspect.identity.agents import detect_agent
from ccinspect.identity.providers import Providers
from ccinspect.pipeline.message import Facts, Headers, Outgoing
from ccinspect.transform.needs import ClientNeeds
from ccinspect.wire.encoding import decode_body
from ccinspect.wire.model import Diagnostic
from ccinspect.wire.registry import recognise

CLIENT_BODY = "ccinspect.client_body"
"""Metadata: the body as the client sent it, of a flow that forwards another one."""
_ADDRESS = "ccinspect.address"


class FactFinder:
    """Finds out who sent a request and to whom."""

    def __init__(self, sources: Sources, providers: Providers) -> None:
        self.sources = sources
        self.providers = providers

    def run_of(self, captured: http.HTTPFlow) -> str | None:
        """The run a request belongs to: by its path's prefix, its listener, or its connection's credentials."""
        return captured.metadata.get("ccinspect.run") or self.run_of_client(captured.client_conn)

    def run_of_client(self, client: connection.Client) -> str | None:
        return self.sources.of(client).run or self.sources.connection_runs.get(client.id)

    def of(self, captured: http.HTTPFlow) -> Facts:
        request = captured.request
        listener = self.sources.of(captured.client_conn)
        run = self.run_of(captured)
        record = self.sources.run_records.get(run or "", {})
        fields = request.headers.fields
        match = self.providers.match(
            request.pretty_host, request.path, port=request.port, method=request.method, headers=fields
        )
        found = recognise(request.method, request.path)
        dialect = match.dialect if match else found.dialect if found else None
        agent = detect_agent(fields, record.get("command") or ())
        return Facts(
            flow_id=captured.id,
            source=listener.kind,
            run=run,
            run_name=record.get("name"),
            # What a run was started as comes first: rules and budgets hold for it, whatever its program says.
            project=record.get("project") or request.headers.get("x-ccinspect-project"),
            session=request.headers.get("x-ccinspect-session"),
            tags=record.get("tags") or {},
            agent=agent.name if agent else None,
            provider=match.provider if match else None,
            dialect=dialect,
            kind=found.kind if found and dialect else None,
        )


def outgoing_of(captured: http.HTTPFlow) -> Outgoing:
    """The request as the client meant it: by the name it asked for, also where it connected to an address."""
    request = captured.request
    headers = Headers(request.headers.fields)
    return Outgoing(request.method, request.scheme, request.pretty_host, request.port, request.path, headers)


def read_body(request: http.Request) -> tuple[bytes, str | None]:
    """The body without its content encoding; as it is, and why, where that cannot be undone."""
    raw = request.raw_content or b""
    encoding = request.headers.get("content-encoding", "")
    if not encoding:
        return raw, None
    decoded = decode_body(raw, encoding)
    return (raw, decoded.problem) if decoded.problem else (decoded.data, None)


def settle_trailers(captured: http.HTTPFlow, exchange: Exchange, needs: ClientNeeds | None) -> list[Diagnostic]:
    """Forward the client's trailers, but none with a translated request (`needs`): they tell of a body that is no more.

    Says which those are.
    """
    if exchange.client_trailers is None and captured.request.trailers:
        exchange.client_trailers = captured.request.trailers.fields
    if not exchange.client_trailers:
        return []
    trailers = http.Headers(exchange.client_trailers)
    captured.request.trailers = trailers if needs is None else None
    if needs is None:
        return []
    message = f"trailers that do not go to another provider: {', '.join(sorted(trailers))[:300]}"
    return [Diagnostic("info", "trailers_dropped", message, (), needs.dialect, needs.upstream)]


def apply_to(captured: http.HTTPFlow, out: Outgoing, client: Outgoing, *, by_name: bool = False) -> None:
    """Make the flow's request the one that goes out. What is as the client sent it stays as it is, byte for byte.

    With `by_name` the connection is made to the name that the request says, and not to where the client has connected:
    of that we know nothing, and it must not get what the client does not have.
    """
    request = captured.request
    data = request.data
    # Of a jailed client this is the address it connected to, and not the name it asked for.
    own = captured.metadata.setdefault(_ADDRESS, (data.scheme, data.host, data.port, data.authority))
    moved = (out.scheme, out.host, out.port) != (client.scheme, client.host, client.port)
    if not moved and not by_name:
        data.scheme, data.host, data.port, data.authority = own
    else:
        request.scheme = out.scheme
        data.host, data.port = out.host, out.port
        if out.host != client.host:
            lead(captured.client_conn, out.host, out.port)
        if data.authority:
            request.authority = out.url.removeprefix(f"{out.scheme}://").removesuffix(out.path)
    choose_transport(captured, moved=moved)
    if out.path != request.path:
        request.path = out.path
    if out.method != request.method:
        # What is read there is in capitals, whatever the client wrote.
        request.method = out.method
    if out.body is not client.body and out.body is not None:
        captured.metadata.setdefault(CLIENT_BODY, request.raw_content or b"")
        request.data.content = out.body
        out.headers.remove("content-encoding", "transfer-encoding")
        out.headers.set("content-length", str(len(out.body)))
    elif CLIENT_BODY in captured.metadata:
        # An attempt before this one had changed it.
        request.data.content = captured.metadata.pop(CLIENT_BODY)
    if out.headers.fields != request.headers.fields:
        request.headers = http.Headers(out.headers.fields)
