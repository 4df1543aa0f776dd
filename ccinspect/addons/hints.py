"""What a person can do about a failed connection, found from mitmproxy's error text."""

from __future__ import annotations

REFUSES_CA = (
    "this client does not trust our CA, so the connection was given up; if the program reads no trust settings "
    "(pinned or compiled-in roots), add the host to inspector.passthrough_hosts"
)
SILENT_AFTER_HANDSHAKE = (
    "the client hung up right after the TLS handshake, without a request: perhaps it does not trust our CA; if the "
    "program fails, add the host to inspector.passthrough_hosts"
)
NOTHING_SENT = "the program closed this connection without sending anything, perhaps before it was answered"
OWN_ADDRESS = (
    "a jailed program may not reach this host's own addresses through the tunnel; "
    "to let it reach a local port, see jail.host_ports"
)
NO_UDP_THROUGH_PROXY = (
    "UDP does not go through the upstream proxy, so QUIC does not either: programs fall back to TCP; a place that is "
    "reached without the proxy belongs in inspector.upstream_proxy.exceptions"
)
PROXY = "the upstream proxy"
"""Stands in every error that it causes, and in no other; what to do about it follows after the last `; `."""

_BY_ERROR = (
    (
        "certificate verify failed",
        "the upstream's certificate is not trusted by this machine's roots; "
        "if it belongs to your company, name its CA in inspector.upstream_ca",
    ),
    ("client disconnected", "the client hung up before the answer was complete"),
    ("peer closed connection without sending complete message body", "the answer was cut short"),
    ("connect call failed", "nothing listens there, or the network is down"),
    ("name or service not known", "the host name does not resolve on this machine"),
)


def hint_for(error: str | None) -> str | None:
    """A line of advice for an error message, or None."""
    if not error:
        return None
    if PROXY in error:
        return error.rpartition("; ")[2]
    lowered = error.lower()
    return next((hint for needle, hint in _BY_ERROR if needle in lowered), None)
