"""What the reverse listener answers by itself: `/health`, `/v1/models`, `/mcp/notify`.

A web page that a person has open can send requests to the loopback too. What changes something is refused to it: by
its Origin, and by a Host that is not ours (a name that was rebound to 127.0.0.1).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from mitmproxy import http

from ccinspect.addons.exchange import Exchange
from ccinspect.addons.records import request_record
from ccinspect.addons.sources import Sources
from ccinspect.auth.permission import is_loopback

Models = Callable[[http.Request], dict[str, Any] | None]
Notify = Callable[[dict[str, Any]], object]

OWN = "ccinspect.own"
"""Metadata: the request is for us, and goes nowhere."""

# An event of a task; more is no notification.
_MAX_NOTIFICATION = 1 << 20


class OwnEndpoints:
    """Addon: answers on the main reverse listener what is meant for us and not for a provider."""

    name = "ccinspect_own_endpoints"

    def __init__(self, sources: Sources, health: Callable[[], dict[str, Any]], models: Models, notify: Notify) -> None:
        self.sources = sources
        self.health = health
        self.models = models
        self.notify = notify

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        listener = self.sources.of(flow.client_conn)
        if listener.kind != "reverse" or listener.target is not None or flow.response is not None or flow.is_replay:
            return
        request = flow.request
        path = request.path.partition("?")[0]
        if request.method == "GET" and path == "/health":
            flow.response = _json(200, self.health())
        elif request.method == "GET" and path in ("/v1/models", "/v1beta/models"):
            if (merged := self.models(request)) is not None:
                flow.response = _json(200, merged)
        elif path == "/mcp/notify" and listener.takes_orders:
            flow.metadata[OWN] = True
            # Read whole, to be answered when it has come.
            Exchange(request_record(request), reads_request=True).attach(flow)

    def request(self, flow: http.HTTPFlow) -> None:
        if OWN not in flow.metadata:
            return
        # Fire and forget: whoever tells us of an event is never told to do better.
        if flow.request.method == "POST" and comes_from_a_program(flow.request):
            content = flow.request.raw_content or b""
            if len(content) <= _MAX_NOTIFICATION:
                try:
                    value = json.loads(content)
                except (ValueError, RecursionError):
                    value = None
                if isinstance(value, dict):
                    self.notify(value)
        flow.response = _json(200, {"status": "ok"})


def comes_from_a_program(request: http.Request) -> bool:
    """Whether no browser sent it for a page of somebody else."""
    if "sec-fetch-site" in request.headers and request.headers["sec-fetch-site"] not in ("none", "same-origin"):
        return False
    origin, host = request.headers.get("origin"), request.host_header
    if origin is not None and not is_loopback(_name(origin)):
        return False
    return not host or is_loopback(_name(f"//{host}"))


def _name(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _json(status: int, value: dict[str, Any]) -> http.Response:
    return http.Response.make(status, json.dumps(value).encode() + b"\n", {"content-type": "application/json"})
