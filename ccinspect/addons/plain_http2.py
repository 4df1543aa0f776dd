"""HTTP/2 without TLS (prior knowledge, RFC 9113 section 3.3), as gRPC uses: mitmproxy knows HTTP/2 from ALPN only."""

from __future__ import annotations

from mitmproxy.proxy import layer, server_hooks

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class PlainHttp2:
    """Addon: lets a connection that opens with the HTTP/2 preface be read as HTTP/2 on both sides.

    Where there is TLS on the upstream's side only, as behind a reverse listener, HTTP/2 is offered there; some speak
    nothing else (gRPC).
    """

    name = "ccinspect_plain_http2"

    def next_layer(self, data: layer.NextLayer) -> None:
        context = data.context
        if context.client.alpn is None and (
            data.data_client().startswith(_PREFACE) or _opens_with_settings(data.data_server())
        ):
            context.client.alpn = b"h2"
            context.server.alpn = b"h2"

    def server_connect(self, data: server_hooks.ServerConnectionHookData) -> None:
        # mitmproxy offers what the client has offered, who had nobody to offer it to.
        if data.client.alpn == b"h2" and not data.client.tls:
            data.server.alpn_offers = (b"h2", b"http/1.1")


def _opens_with_settings(data: bytes) -> bool:
    """Whether a server greets with a SETTINGS frame (RFC 9113, section 6.5); it may precede the client's preface."""
    length = int.from_bytes(data[:3], "big")
    # Type 4, not an acknowledgement, stream 0; six bytes a setting, of which there are few.
    return len(data) >= 9 and data[3:9] == b"\x04\0\0\0\0\0" and length % 6 == 0 and length <= 600
