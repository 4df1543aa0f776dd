"""Where a flow came from: which listener, which run, and which upstream that listener stands for."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import SplitResult, urlsplit

from mitmproxy.connection import Client

from ccinspect.policy.egress import Egress

Kind = Literal["reverse", "wireguard", "proxy"]


@dataclass(frozen=True)
class Origin:
    """Scheme, host and port of a server, and the path its API is below (may be empty)."""

    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, url: str) -> Origin:
        """Take the origin of an http(s) URL. Raises ValueError."""
        parts: SplitResult = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"not an http or https URL: {url!r}")
        return cls(parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80))


@dataclass(frozen=True)
class Listener:
    """What is known of every flow that arrives on one port."""

    kind: Kind
    run: str | None = None
    target: Origin | None = None
    """Fixed upstream (reverse_targets, local model servers); None when the request says where it goes."""
    keep_host: bool = False
    """Leave the Host header as it came: the client believes it talks to the target itself."""

    @property
    def takes_orders(self) -> bool:
        """Whether a request may say by itself where it goes and whose it is (a run's prefix, our own headers): what
        comes from a jail may not, or it had a way around the rules of its run."""
        return self.kind == "reverse" and self.target is None and self.run is None


@dataclass(frozen=True)
class BaseUrlRun:
    """A run in base-URL mode: upstream origins by the key that stands in the path prefix."""

    upstreams: dict[str, Origin]


@dataclass
class Sources:
    """The table of listeners and runs; written by the daemon when they come and go, read by the addons."""

    listeners: dict[tuple[str, int], Listener] = field(default_factory=dict)
    base_url_runs: dict[str, BaseUrlRun] = field(default_factory=dict)
    proxy_runs: dict[str, str] = field(default_factory=dict)
    """Run id -> password of its proxy credentials."""
    run_records: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Run id -> its record (docs/architecture.md), of live runs."""
    run_egress: dict[str, Egress] = field(default_factory=dict)
    """Run id -> what it may reach, of live runs that have rules of their own."""
    connection_runs: dict[str, str] = field(default_factory=dict)
    """Client connection's id -> run, where proxy credentials have told it; of open connections."""
    supervisors: dict[str, int] = field(default_factory=dict)
    """Run id -> process id of its supervisor, of live runs."""

    def of(self, client: Client) -> Listener:
        """Find the listener a client connected to. Our listeners always name their port in the mode."""
        mode = client.proxy_mode
        return self.listeners.get((mode.type_name, mode.custom_listen_port or 0), Listener("proxy"))

    def note_credentials(self, client: Client, header: str) -> None:
        """Remember the run that a `Proxy-Authorization` value names for its connection."""
        if run := self.run_of_credentials(header):
            self.connection_runs[client.id] = run

    def run_of_credentials(self, header: str) -> str | None:
        """Check a `Proxy-Authorization` value; None when it is not that of a live run."""
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            user, _, password = base64.b64decode(token, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        return user if password and self.proxy_runs.get(user) == password else None
