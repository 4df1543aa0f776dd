"""Views of mitmweb: both ends of a flow beside each other, and what was in a call's context window.

mitmweb shows a flow as it was forwarded. These show it from the store, so without its secrets: the request as the
client sent it and as it went on, the answer as the provider gave it, and the tokens of the context.

A view is asked on the proxy's own loop, and traffic waits meanwhile: so little is read, and no analyser is loaded.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mitmproxy import contentviews
from mitmproxy.contentviews import Contentview, Metadata, SyntaxHighlight

from ccinspect.analysis.glance import Window, windows
from ccinspect.errors import CcinspectError, FlowNotFound
from ccinspect.store.decode import decode_body
from ccinspect.store.har_entry import url_of
from ccinspect.store.query import StoreReader
from ccinspect.store.record import header
from ccinspect.wire.jsontext import deeper_than, parse

SHOWN_BYTES = 512 * 1024
"""Of a decoded body. Indenting more than that would be felt by the traffic."""
_MAX_DEPTH = 40
_BAR = 30

GOING_ON = "This flow is still going on, or the store does not have it: it is there when the flow has ended."


class _StoreView(Contentview):
    """A view that shows something of the stored flow, whatever message it is opened on."""

    def __init__(self, name: str, store_dir: Path, lines: Callable[[Path, str], Iterator[str]]) -> None:
        self._name = name
        self._store_dir = store_dir
        self._lines = lines

    @property
    def name(self) -> str:
        return self._name

    @property
    def syntax_highlight(self) -> SyntaxHighlight:
        return "none"

    def prettify(self, data: bytes, metadata: Metadata) -> str:
        if metadata.flow is None:
            return "There is no flow here."
        try:
            return "\n".join(self._lines(self._store_dir, metadata.flow.id))
        except FlowNotFound:
            return GOING_ON
        except CcinspectError as error:
            return f"{error.message}\n{error.hint}"

    def render_priority(self, data: bytes, metadata: Metadata) -> float:
        # Never chosen by itself.
        return -1


def content_views(store_dir: Path) -> list[Contentview]:
    """The views, to be registered with `contentviews.add`."""
    return [
        _StoreView("Client-Request", store_dir, _message("client_request")),
        _StoreView("Forwarded-Request", store_dir, _message("request")),
        _StoreView("Provider-Response", store_dir, _message("response")),
        _StoreView("Context", store_dir, _context),
    ]


def register(store_dir: Path) -> None:
    """Offer them in mitmweb, in the place of any of the same name."""
    for view in content_views(store_dir):
        contentviews.add(view)


def _message(role: str) -> Callable[[Path, str], Iterator[str]]:
    def lines(store_dir: Path, flow: str) -> Iterator[str]:
        with StoreReader(store_dir) as store:
            record = store.get(flow)
            message = record.get(role) or record.get(role.removeprefix("client_"))
            if record["type"] != "http" or not message:
                yield GOING_ON if record.get("state") == "started" else "There is none."
                return
            yield from _head(message)
            yield ""
            yield from _body(store, flow, role, message)

    return lines


def _head(message: dict[str, Any]) -> Iterator[str]:
    if "status_code" in message:
        words = [message.get("http_version"), message.get("status_code"), message.get("reason")]
    else:
        words = [message.get("method"), url_of(message), message.get("http_version")]
    yield " ".join(str(word) for word in words if word)
    for name, value in message.get("headers") or ():
        yield _plain(f"{name}: {value}")


def _body(store: StoreReader, flow: str, role: str, message: dict[str, Any]) -> Iterator[str]:
    chunks = store.stream_body(flow, role)
    if chunks is None:
        if message.get("contentState") in ("none", "lost"):
            yield "(the body was not kept)"
        return
    decoded = decode_body(chunks, header(message, "content-encoding"), SHOWN_BYTES)
    if decoded.problem:
        yield f"({decoded.problem})"
    yield pretty(decoded.data)
    if decoded.truncated:
        yield f"(cut after {SHOWN_BYTES >> 10} KiB; all of it: ccinspect flows show {flow} --raw)"


def pretty(body: bytes) -> str:
    """JSON indented, else the text as it is; bytes that are none as Latin-1 has them."""
    value, problem = parse(body)
    # The indentation of deep JSON is many times its size.
    if problem is None and not deeper_than(value, _MAX_DEPTH):
        return _plain(json.dumps(value, indent=2, ensure_ascii=False))
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body.decode("latin-1")


def _plain(text: str) -> str:
    """Text that can be sent to a browser: what was no UTF-8 becomes U+FFFD."""
    return text.encode("utf-8", "replace").decode()


def _context(store_dir: Path, flow: str) -> Iterator[str]:
    found = windows(store_dir, flow)
    if not found:
        with StoreReader(store_dir) as store:
            store.get(flow)  # one that is not there is told as such
        yield "This is no model call, or it is not analysed yet."
    for number, window in enumerate(found):
        if number:
            yield ""
        yield from _window(window)
    if found:
        yield ""
        yield f"More: ccinspect flows context {flow[:8]}"


def _window(window: Window) -> Iterator[str]:
    mark = "~" if window.estimated else ""
    cached = f", {window.cached:,} of them from the cache" if window.cached else ""
    yield f"{window.model or 'unknown model'}: {mark}{window.context:,} tokens in the window{cached}"
    if window.output is not None:
        yield f"{mark}{window.output:,} tokens in the answer"
    wide = max(map(len, window.categories), default=0)
    for name, tokens in window.categories.items():
        share = tokens / window.context if window.context else 0.0
        bar = "#" * round(_BAR * share)
        yield f"  {name.replace('_', ' '):<{wide}}  {mark}{tokens:>10,}  {100 * share:5.1f}%  {bar}".rstrip()
