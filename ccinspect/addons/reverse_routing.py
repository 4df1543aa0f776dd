"""Send what arrives on the reverse listeners to the provider it is meant for.

Three kinds of requests come in: with a run's prefix (`/r/RUN/KEY/...`, set by `ccinspect run`), on a listener with a
fixed target, and by hand without a prefix, which are routed by their path. What fits nothing is answered with 501.
"""

from __future__ import annotations

import json
import re

from mitmproxy import http

from ccinspect.addons.own_endpoints import OWN, comes_from_a_program
from ccinspect.addons.records import request_record
from ccinspect.addons.sources import Listener, Origin, Sources

UPSTREAM_HEADER = "x-ccinspect-upstream"
PARENT_HEADER = "x-ccinspect-parent"
PARENT = "ccinspect.parent"
"""Metadata: the flow that this one repeats."""

_MAX_ID = 64
PREFIX = re.compile(r"^/r/(?P<run>[0-9a-z]+)/(?P<key>[a-z0-9-]+)(?=[/?]|$)")

ANTHROPIC = Origin("https", "api.anthropic.com", 443)
OPENAI = Origin("https", "api.openai.com", 443)
GEMINI = Origin("https", "generativelanguage.googleapis.com", 443)
CODE_ASSIST = Origin("https", "cloudcode-pa.googleapis.com", 443)
OLLAMA = Origin("http", "127.0.0.1", 11434)

# Tried in order on the path without its query; first match wins.
BY_PATH: tuple[tuple[re.Pattern[str], Origin], ...] = (
    (re.compile(r"/v1/(messages|complete)(/|$)"), ANTHROPIC),
    (re.compile(r"/messages(/|$)"), ANTHROPIC),
    (re.compile(r"/v1(beta|alpha)?/(models|tunedModels|cachedContents|files)/[^/]+:[a-zA-Z]+$"), GEMINI),
    (re.compile(r"/v1(beta|alpha)/"), GEMINI),
    (re.compile(r"/v1internal(:|/|$)"), CODE_ASSIST),
    (
        re.compile(
            r"/v1/(chat/completions|completions|responses|embeddings|models|images|audio|files|batches|moderations"
            r"|fine_tuning|vector_stores|assistants|threads|uploads|realtime|conversations|containers)(/|$)"
        ),
        OPENAI,
    ),
    (re.compile(r"/api/(chat|generate|tags|show|embed|embeddings|ps|version|pull|push|create|copy|delete)$"), OLLAMA),
)


class ReverseRouting:
    """Addon: rewrites the destination of requests on reverse listeners; never touches other flows."""

    name = "ccinspect_reverse_routing"

    def __init__(self, sources: Sources) -> None:
        self.sources = sources

    def http_connect(self, flow: http.HTTPFlow) -> None:
        if self.sources.of(flow.client_conn).kind == "reverse":
            flow.response = _error(405, "CONNECT is for the forward-proxy listener", "method_not_allowed")

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        listener = self.sources.of(flow.client_conn)
        if listener.kind != "reverse" or flow.is_replay or OWN in flow.metadata:
            return
        request = flow.request
        snapshot = request_record(request)
        if listener.run is None and PARENT_HEADER in request.headers and comes_from_a_program(request):
            flow.metadata[PARENT] = request.headers[PARENT_HEADER][:_MAX_ID]
        if listener.target is not None:
            origin: Origin | None = listener.target
        elif listener.takes_orders and (prefix := PREFIX.match(request.path)):
            origin = self._prefixed(flow, prefix)
        elif listener.takes_orders and UPSTREAM_HEADER in request.headers and comes_from_a_program(request):
            origin = self._replayed(flow)
        else:
            origin = route_by_path(request.path, "anthropic-version" in request.headers)
            if origin is OLLAMA and not self._reaches_ollama(listener):
                origin = None
        flow.metadata["ccinspect.client_request"] = snapshot
        if flow.response is not None:
            return
        if origin is None:
            flow.response = _error(
                501,
                f"ccinspect has no route for {request.method} {request.path.partition('?')[0][:200]}. "
                "Start the program with `ccinspect run -- CMD`, or add an entry with this port's upstream to "
                "inspector.reverse_targets in ccinspect.yaml.",
                "no_route",
            )
            return
        if origin == ANTHROPIC and request.path.startswith("/messages"):
            # One ANTHROPIC_BASE_URL serves clients that append /v1/messages and clients that append /messages, as the
            # AI SDK does, by hand and in a run.
            request.path = "/v1" + request.path
        _redirect(request, origin, keep_host=listener.keep_host)

    def _reaches_ollama(self, listener: Listener) -> bool:
        """A jail reaches the models of this machine only when they are among its own ports."""
        if listener.run is None:
            return True
        return any(each.target == OLLAMA for each in self.sources.listeners.values() if each.run == listener.run)

    def _replayed(self, flow: http.HTTPFlow) -> Origin | None:
        """Where `flows replay` says that the first request went. A web page could not say so."""
        try:
            return Origin.parse(flow.request.headers[UPSTREAM_HEADER])
        except ValueError:
            return None

    def _prefixed(self, flow: http.HTTPFlow, prefix: re.Match[str]) -> Origin | None:
        run = self.sources.base_url_runs.get(prefix["run"])
        origin = run.upstreams.get(prefix["key"]) if run else None
        if run is None or origin is None:
            flow.response = _error(
                410,
                f"the run {prefix['run']} has ended, or never had an upstream `{prefix['key']}`. "
                "Start the program again with `ccinspect run -- CMD`.",
                "unknown_run",
            )
            return None
        flow.metadata["ccinspect.run"] = prefix["run"]
        rest = flow.request.path[prefix.end() :]
        flow.request.path = rest if rest.startswith("/") else "/" + rest
        return origin


def route_by_path(path: str, anthropic: bool = False) -> Origin | None:
    """Find the provider that serves `path`; `anthropic` tells apart the paths two providers share."""
    bare = path.partition("?")[0]
    if anthropic and bare.startswith("/v1/"):
        return ANTHROPIC
    return next((origin for pattern, origin in BY_PATH if pattern.match(bare)), None)


def _redirect(request: http.Request, origin: Origin, keep_host: bool) -> None:
    asked = request.host_header
    request.scheme = origin.scheme
    request.data.port = origin.port
    request.data.host = origin.host
    if asked is not None and not keep_host:
        default = 443 if origin.scheme == "https" else 80
        name = f"[{origin.host}]" if ":" in origin.host else origin.host
        # In HTTP/2 that is `:authority`.
        request.host_header = name if origin.port == default else f"{name}:{origin.port}"


def _error(status: int, message: str, code: str) -> http.Response:
    kind = "not_implemented_error" if status == 501 else "invalid_request_error"
    body = json.dumps({"error": {"message": message, "type": kind, "code": code}}).encode() + b"\n"
    return http.Response.make(status, body, {"content-type": "application/json"})
