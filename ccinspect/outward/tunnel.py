"""Connections through the upstream proxy: a tunnel (CONNECT, RFC 9110 section 9.3.6), or one to the proxy itself."""

from __future__ import annotations

import asyncio
import ssl

from ccinspect.errors import UpstreamProxyError
from ccinspect.outward.proxy import SETTING, UpstreamProxy

_CONNECT_SECONDS = 20.0
# The proxy itself waits for a server that does not answer, often for a minute.
_TUNNEL_SECONDS = 90.0
_MAX_HEADS = 5
# 407 is the standard's; tinyproxy says 401 to a wrong password.
_REFUSED = (401, 407)
_MAX_REASON = 80

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Writer(asyncio.StreamWriter):
    """A writer over TLS to the proxy: TLS cannot end one direction only, and what cannot be said ends both."""

    def write_eof(self) -> None:
        raise OSError("a connection through an https proxy cannot be closed by half")


async def open_tunnel(proxy: UpstreamProxy, host: str, port: int) -> Streams:
    """Let the proxy connect to a place; its name is resolved there. Raises UpstreamProxyError.

    Credentials that are refused are asked for anew, once.
    """
    authorization = await proxy.authorization()
    status, reason, streams = await _connect(proxy, host, port, authorization)
    if status in _REFUSED and proxy.has_credentials:
        proxy.refused()
        renewed = await proxy.authorization()
        if renewed != authorization:
            status, reason, streams = await _connect(proxy, host, port, renewed)
    if streams is None:
        raise refusal(proxy, f"{_bracketed(host)}:{port}", status, reason)
    return streams


async def open_to_proxy(proxy: UpstreamProxy) -> Streams:
    """Connect to the proxy itself. Raises UpstreamProxyError."""
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            return await _open(proxy)
    except ssl.SSLCertVerificationError as error:
        raise UpstreamProxyError(
            f"the certificate of the upstream proxy {proxy.label} is not trusted ({error.verify_message}), so nothing "
            "was sent",
            "if it belongs to your company, name its CA in inspector.upstream_ca",
        ) from error
    except TimeoutError as error:
        raise _unreachable(proxy, f"no answer in {_CONNECT_SECONDS:g} s") from error
    except ssl.SSLError as error:
        raise _unreachable(proxy, f"it does not speak TLS as expected ({error.reason})") from error
    except OSError as error:
        raise _unreachable(proxy, error.strerror or str(error)) from error


def refusal(proxy: UpstreamProxy, place: str, status: int, reason: str) -> UpstreamProxyError:
    """What its answer means for whoever wanted to go to `place` (`host:port`)."""
    if status in _REFUSED:
        if proxy.has_credentials:
            return UpstreamProxyError(
                f"the upstream proxy {proxy.label} refuses the credentials that it was shown ({status}), so nothing "
                "was sent",
                f"see that the source in {SETTING}.auth gives what it expects",
            )
        return UpstreamProxyError(
            f"the upstream proxy {proxy.label} demands credentials ({status}), so nothing was sent",
            f"say in {SETTING}.auth where they come from",
        )
    return UpstreamProxyError(
        f"the upstream proxy {proxy.label} opens no way to {place}: it answered {status} {reason}".rstrip(),
        f"ask whoever runs it, or name the place in {SETTING}.exceptions if it is reached without it",
    )


async def _open(proxy: UpstreamProxy) -> Streams:
    context = proxy.tls_context()
    if context is None:
        return await asyncio.open_connection(proxy.host, proxy.port)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    transport, _ = await loop.create_connection(
        lambda: protocol, proxy.host, proxy.port, ssl=context, server_hostname=proxy.host
    )
    return reader, _Writer(transport, protocol, reader, loop)


async def _connect(
    proxy: UpstreamProxy, host: str, port: int, authorization: str | None
) -> tuple[int, str, Streams | None]:
    """(status, reason, the tunnel where the status is one of success)."""
    reader, writer = await open_to_proxy(proxy)
    try:
        async with asyncio.timeout(_TUNNEL_SECONDS):
            writer.write(_request(host, port, authorization))
            status, reason = _status_of(await _head(reader))
    except (ValueError, OSError, TimeoutError) as error:
        writer.close()
        late = f"it did not answer in {_TUNNEL_SECONDS:g} s" if isinstance(error, TimeoutError) else str(error)
        raise UpstreamProxyError(
            f"the upstream proxy {proxy.label} opened no way to {_bracketed(host)}:{port}: {late}",
            f"see that {SETTING}.url names an HTTP proxy, and that it is well",
        ) from error
    except BaseException:
        writer.close()
        raise
    if 200 <= status < 300:
        return status, reason, (reader, writer)
    writer.close()
    return status, reason, None


def _request(host: str, port: int, authorization: str | None) -> bytes:
    place = f"{_bracketed(_ascii(host))}:{port}".encode()
    if any(byte <= 32 or byte == 127 for byte in place):
        raise ValueError("no host can have this name")
    lines = [b"CONNECT %s HTTP/1.1" % place, b"Host: %s" % place]
    if authorization is not None:
        lines.append(b"Proxy-Authorization: %s" % authorization.encode("latin-1"))
    return b"\r\n".join([*lines, b"", b""])


async def _head(reader: asyncio.StreamReader) -> bytes:
    # Interim answers come before the one that counts.
    for _ in range(_MAX_HEADS):
        try:
            # It reads 64 KB at most.
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            raise OSError("it hung up") from error
        except asyncio.LimitOverrunError:
            break
        if head[9:10] != b"1":
            return head
    raise ValueError("its answer has no end")


def _status_of(head: bytes) -> tuple[int, str]:
    line = head.partition(b"\r\n")[0].decode("latin-1")
    version, _, rest = line.partition(" ")
    status, _, reason = rest.partition(" ")
    if not version.startswith("HTTP/1.") or not (status.isascii() and status.isdigit() and len(status) == 3):
        raise ValueError("what it answers is not HTTP")
    shown = "".join(c for c in reason if c.isprintable())
    return int(status), shown[:_MAX_REASON]


def _unreachable(proxy: UpstreamProxy, why: str) -> UpstreamProxyError:
    return UpstreamProxyError(
        f"the upstream proxy {proxy.label} cannot be reached ({why}), so nothing was sent",
        f"see that it runs and that {SETTING}.url is right",
    )


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _ascii(host: str) -> str:
    try:
        return host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        return host
