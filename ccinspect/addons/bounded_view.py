"""Keeps mitmweb's memory bounded: the newest flows, and so many bytes of bodies, stay in its view."""

from __future__ import annotations

from collections import OrderedDict

from mitmproxy import flow, http
from mitmproxy.addons.view import View


class BoundedView:
    """Addon: forgets the oldest finished flows of mitmweb's view. The store keeps them all."""

    name = "ccinspect_bounded_view"

    def __init__(self, view: View, max_flows: int, max_bytes: int) -> None:
        self.view = view
        self.max_flows = max_flows
        self.max_bytes = max_bytes
        self.sizes: OrderedDict[str, int] = OrderedDict()
        self.total = 0

    def response(self, captured: http.HTTPFlow) -> None:
        if captured.websocket is None:
            self._ended(captured)

    def _ended(self, captured: flow.Flow) -> None:
        if captured.id in self.sizes:
            self.total -= self.sizes.pop(captured.id)
        size = _size(captured)
        self.sizes[captured.id] = size
        self.total += size
        if len(self.sizes) > self.max_flows or self.total > self.max_bytes:
            self._forget_oldest()

    error = websocket_end = tcp_end = tcp_error = udp_end = udp_error = dns_response = dns_error = _ended

    def _forget_oldest(self) -> None:
        doomed = []
        while self.sizes and (len(self.sizes) > self.max_flows or self.total > self.max_bytes):
            flow_id, size = self.sizes.popitem(last=False)
            self.total -= size
            if found := self.view.get_by_id(flow_id):
                doomed.append(found)
        for one in doomed:
            # mitmproxy kills a live flow that is removed, and logs when it is given several at once.
            if not one.killable:
                self.view.remove([one])


def _size(captured: flow.Flow) -> int:
    """Bytes a flow holds on to, roughly: bodies, headers and messages."""
    total = 2000
    for message in (getattr(captured, "request", None), getattr(captured, "response", None)):
        if isinstance(message, http.Message):
            total += len(message.raw_content or b"") + sum(len(n) + len(v) for n, v in message.headers.fields)
    messages = getattr(captured, "messages", None) or getattr(getattr(captured, "websocket", None), "messages", [])
    return total + sum(len(one.content) for one in messages)
