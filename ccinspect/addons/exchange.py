"""What we change about one flow: written by `changes.py`, read by the inspector when it records the flow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mitmproxy import http

from ccinspect.addons.records import Record
from ccinspect.auth.credential import HIDDEN
from ccinspect.store.secret_names import is_secret_header

_KEY = "ccinspect.exchange"


@dataclass
class Exchange:
    """Lives in the flow's metadata, from the request's head to the flow's end. Flows that nobody wants to change
    have none."""

    client_request: Record
    """The request's head as the client sent it."""
    reads_request: bool = False
    """The body is read whole before anything is sent."""
    client_body: bytes | None = None
    """The request's body as the client sent it, where another one was forwarded."""
    client_trailers: tuple[tuple[bytes, bytes], ...] | None = None
    """Of a request that was read whole."""
    reads_response: bool = False
    """The answer is read whole before the client gets any of it."""
    upstream_response: Record | None = None
    """The answer's head as it came, where the client gets another one."""
    upstream_body: bytes | None = None
    """Its body, where it was read whole and the client gets another one."""
    translate: Callable[[bytes], bytes] | None = None
    """Makes the client's bytes of the upstream's, piece by piece; an empty piece is the end."""
    hide: Callable[[str], str] | None = None
    """Takes the credential that was put on out of a text; it is recorded nowhere but by its fingerprint."""
    changes: dict[str, Any] = field(default_factory=dict)
    """The flow record's `changes`."""

    def hide_too(self, hide: Callable[[str], str]) -> None:
        """Another credential was put on; the ones before may still be quoted."""
        before = self.hide
        self.hide = hide if before is None else lambda text: hide(before(text))

    def hidden(self, text: str) -> str:
        return text if self.hide is None else self.hide(text)

    def without_secrets(self, message: Record) -> Record:
        """A request's or an answer's record, as it may be kept."""
        if self.hide is None:
            return message
        fields = {name: message.get(name) for name in ("headers", "trailers")}
        clean: Record = {
            name: tuple((key, self._without(key, value)) for key, value in pairs)
            for name, pairs in fields.items()
            if pairs
        }
        if message.get("path"):
            clean["path"] = self._hidden(message["path"])
        return message | clean

    def _without(self, name: bytes, value: bytes) -> bytes:
        hidden = self._hidden(value)
        # Where the store itself sees a credential, it leaves a fingerprint, as of a client's own: accounts are told
        # apart by it. One with a space in it might be taken for a scheme and its credential.
        whole = hidden.rpartition(b" ")[2] == HIDDEN.encode() and hidden.count(b" ") == value.count(b" ")
        return value if whole and is_secret_header(name.decode("latin-1")) else hidden

    def _hidden(self, value: bytes) -> bytes:
        return self.hidden(value.decode("latin-1")).encode("latin-1")

    def forget_answer(self) -> None:
        """The answer that had begun came to nothing; the client has seen none of it."""
        self.reads_response = False
        self.upstream_response = self.upstream_body = self.translate = None

    @classmethod
    def of(cls, captured: http.HTTPFlow) -> Exchange | None:
        found: Exchange | None = captured.metadata.get(_KEY)
        return found

    def attach(self, captured: http.HTTPFlow) -> None:
        captured.metadata[_KEY] = self
