"""Who may use the listeners once other machines can reach them: whoever shows `proxy.token`, and runs of this machine.

A stranger's request is answered and forgotten: it is neither forwarded nor recorded, only counted.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Generator
from typing import Any

from mitmproxy import connection, exceptions, http
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.layers.http import HttpStream
from mitmproxy.proxy.layers.http._events import RequestData

from ccinspect.addons.peers import address_of, is_here
from ccinspect.addons.reverse_routing import PREFIX
from ccinspect.addons.sources import Sources
from ccinspect.auth.shown_token import takes_token
from ccinspect.pipeline.message import Headers
from ccinspect.transform.answers import denied
from ccinspect.wire.registry import recognise

logger = logging.getLogger("ccinspect")

_REFUSED = "ccinspect.refused"
"""Metadata: a stranger's request."""
_MAX_ADDRESSES = 1000
_SECONDS_BETWEEN_LINES = 60.0
_HOW = (
    "this listener of ccinspect demands proxy.token: in the header x-ccinspect-token, as the password of "
    "Proxy-Authorization, or in the base URL as http://HOST:PORT/t/TOKEN"
)


class Gate:
    """Addon: stands before all others."""

    name = "ccinspect_gate"

    def __init__(self, sources: Sources, token: Callable[[], str | None], *, demands: bool) -> None:
        """`token` is `proxy.token` as it is now. Without `demands` it is only taken off where it is shown."""
        self.sources = sources
        self._token = token
        self._demands = demands
        self._admitted: set[str] = set()
        """Client connections that have shown the token for a tunnel."""
        self.refused: Counter[str] = Counter()
        """Requests that were refused, by address."""
        self._told_at = float("-inf")

    def client_disconnected(self, client: connection.Client) -> None:
        self._admitted.discard(client.id)

    def http_connect(self, captured: http.HTTPFlow) -> None:
        if self._takes_token(captured, proxy_only=True) or self._is_run(captured):
            self._admitted.add(captured.client_conn.id)
        elif self._demands and self._is_for_strangers(captured.client_conn):
            self._note(captured)
            captured.response = _proxy_refusal()
            raise exceptions.AddonHalt

    def requestheaders(self, captured: http.HTTPFlow) -> None:
        client = captured.client_conn
        if captured.is_replay or client.id in self._admitted or self._takes_token(captured) or not self._demands:
            return
        if not self._is_for_strangers(client) or self._is_run(captured) or self._is_question_of_ours(captured):
            return
        self._note(captured)
        captured.metadata[_REFUSED] = True
        if self.sources.of(client).kind == "proxy":
            captured.response = _proxy_refusal()
        else:
            request = captured.request
            # No challenge: browsers would remember an answer, and show it for the pages of others.
            found = recognise(request.method, request.path)
            answer = denied(found.dialect if found else None, 401, _HOW)
            captured.response = http.Response.make(answer.status, answer.body, http.Headers(answer.headers.fields))
        raise exceptions.AddonHalt

    def _takes_token(self, captured: http.HTTPFlow, *, proxy_only: bool = False) -> bool:
        token, request = self._token(), captured.request
        if token is None:
            return False
        headers = Headers(request.headers.fields)
        path = takes_token(token, headers, request.path, proxy_only=proxy_only)
        if path is None:
            return False
        if path != request.path:
            request.path = path
        if headers.fields != request.headers.fields:
            request.headers = http.Headers(headers.fields)
        return True

    def _is_for_strangers(self, client: connection.Client) -> bool:
        """Whether a listener is not one run's own."""
        listener = self.sources.of(client)
        return listener.kind != "wireguard" and listener.run is None

    def _is_run(self, captured: http.HTTPFlow) -> bool:
        """Whether a request shows what only a live run of ours knows; runs are on this machine."""
        if not is_here(captured.client_conn):
            return False
        credentials = captured.request.headers.get("proxy-authorization")
        if credentials and self.sources.run_of_credentials(credentials):
            return True
        prefix = PREFIX.match(captured.request.path)
        return self._is_reverse(captured) and prefix is not None and prefix["run"] in self.sources.base_url_runs

    def _is_question_of_ours(self, captured: http.HTTPFlow) -> bool:
        """`/health`, asked on this machine: it tells nothing that a process could not see."""
        return is_here(captured.client_conn) and self._is_reverse(captured) and captured.request.path == "/health"

    def _is_reverse(self, captured: http.HTTPFlow) -> bool:
        return self.sources.of(captured.client_conn).kind == "reverse"

    def _note(self, captured: http.HTTPFlow) -> None:
        address = address_of(captured.client_conn)
        if address in self.refused or len(self.refused) < _MAX_ADDRESSES:
            self.refused[address] += 1
        now = time.monotonic()
        if now - self._told_at > _SECONDS_BETWEEN_LINES:
            self._told_at = now
            logger.warning("refused a request from %s: it did not show proxy.token", address)


def install() -> None:
    """Let mitmproxy forget the body of a stranger's request while it reads it. Once, before the first connection."""
    consume = HttpStream.state_consume_request_body

    def consume_or_forget(self: HttpStream, event: events.Event) -> Generator[commands.Command, Any, None]:
        if not (isinstance(event, RequestData) and _REFUSED in self.flow.metadata):
            yield from consume(self, event)

    HttpStream.state_consume_request_body = consume_or_forget  # type: ignore[method-assign]


def _proxy_refusal() -> http.Response:
    headers = {"proxy-authenticate": 'Basic realm="ccinspect"', "content-type": "text/plain"}
    return http.Response.make(407, f"{_HOW}\n".encode(), headers)
