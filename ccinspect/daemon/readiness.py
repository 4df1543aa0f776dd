"""The one probe made at start, to tell a person early that the internet cannot be reached. Only ever a warning."""

from __future__ import annotations

import asyncio
import logging
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from ccinspect.errors import UpstreamProxyError
from ccinspect.outward.proxy import UpstreamProxy
from ccinspect.outward.tunnel import open_tunnel

logger = logging.getLogger("ccinspect.readiness")

_SECONDS = 10


def probe_later(url: str | None, roots: Path, proxy: UpstreamProxy | None) -> asyncio.Future[None]:
    """Fetch `url` in the background, if there is one, and log a warning when that fails.

    Where the proxy leads there, it is enough that it opens a tunnel."""
    return asyncio.ensure_future(_probe(url, roots, proxy))


async def _probe(url: str | None, roots: Path, proxy: UpstreamProxy | None) -> None:
    if url is None:
        return
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    if proxy is not None and proxy.covers(host, port):
        problem = await _reach(proxy, host, port)
    else:
        problem = await asyncio.to_thread(_fetch, url, roots)
    if problem:
        logger.warning("inspector.readiness.url %s cannot be reached: %s; agents will probably fail too", url, problem)


async def _reach(proxy: UpstreamProxy, host: str, port: int) -> str | None:
    try:
        _, writer = await open_tunnel(proxy, host, port)
    except UpstreamProxyError as error:
        return error.message
    writer.close()
    return None


def _fetch(url: str, roots: Path) -> str | None:
    request = urllib.request.Request(url, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS, context=ssl.create_default_context(cafile=str(roots))):
            return None
    except urllib.error.HTTPError:
        # Any answer proves that there is a way.
        return None
    except (OSError, ValueError) as error:
        return str(getattr(error, "reason", error))
