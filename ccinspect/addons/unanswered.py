"""Tell a client that its upstream gave no answer: in the shape of its provider's errors, and what to do about it.

mitmproxy sends a page of HTML, which SDKs print as it is, and closes the connection. These are internals of mitmproxy,
as in `fidelity.py`; what may send a request again (`resending.py`) must be installed after it.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from functools import cache
from typing import Any

from mitmproxy import flow, http
from mitmproxy.net.http import status_codes
from mitmproxy.proxy import commands
from mitmproxy.proxy.layers.http import DropStream, HttpStream, SendHttp
from mitmproxy.proxy.layers.http._events import (
    RequestProtocolError,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
)
from mitmproxy.proxy.layers.http._hooks import HttpErrorHook

from ccinspect.addons import hints
from ccinspect.addons.http2_endings import refuses
from ccinspect.addons.outgoing import FactFinder
from ccinspect.transform.answers import failed
from ccinspect.wire.model import ErrorKind

Commands = Generator[commands.Command, Any, None]


@dataclass
class UnansweredHook(commands.StartHook):
    """No answer came, and the client has got none; `flow.error` says why, and `flow.response` is to be made."""

    name = "ccinspect_unanswered"
    flow: http.HTTPFlow


class Unanswered:
    """Addon: writes the answer."""

    name = "ccinspect_unanswered"

    def __init__(self, facts: FactFinder) -> None:
        self.facts = facts

    def ccinspect_unanswered(self, captured: http.HTTPFlow) -> None:
        assert captured.error is not None
        told = captured.error.msg
        hint = hints.hint_for(told)
        if hint is not None and hint not in told:
            told = f"{told}; {hint}"
        message = f"ccinspect got no answer from {captured.request.pretty_host}: {told}"
        answer = failed(self.facts.of(captured).dialect, ErrorKind.SERVER, message, status=status_codes.BAD_GATEWAY)
        captured.response = http.Response.make(answer.status, answer.body, http.Headers(answer.headers.fields))


@cache
def install() -> None:
    """Adjust mitmproxy in this process. Idempotent; must run before the first connection."""
    handle_error = HttpStream.handle_protocol_error

    def answer_or_handle(self: HttpStream, event: RequestProtocolError | ResponseProtocolError) -> Commands:
        if not _wants_answer(self, event):
            yield from handle_error(self, event)
            return
        self.flow.error = flow.Error(event.message)
        yield UnansweredHook(self.flow)
        yield HttpErrorHook(self.flow)
        if (yield from self.check_killed(False)):
            return
        response = self.flow.response
        assert response is not None
        yield SendHttp(ResponseHeaders(self.stream_id, response, False), self.context.client)
        if response.raw_content and self.flow.request.method != "HEAD":
            yield SendHttp(ResponseData(self.stream_id, response.raw_content), self.context.client)
        yield SendHttp(ResponseEndOfMessage(self.stream_id), self.context.client)
        self.server_state = self.state_errored
        self.flow.live = False
        yield DropStream(self.stream_id)

    HttpStream.handle_protocol_error = answer_or_handle  # type: ignore[method-assign]


def _wants_answer(stream: HttpStream, event: RequestProtocolError | ResponseProtocolError) -> bool:
    """The request came whole, not a byte of an answer went back, and its client does not send it again by itself."""
    return (
        isinstance(event, ResponseProtocolError)
        and event.code.http_status_code() == status_codes.BAD_GATEWAY
        and stream.client_state == stream.state_done
        and stream.server_state not in (stream.state_done, stream.state_errored)
        and stream.flow.response is None
        and not refuses(stream, event)
    )
