"""The one probe made at start, to tell a person early that the internet cannot be reached. Only ever a warning."""

from __future__ import annotations

import asyncio
import logging
import ssl
import urllib.error
import urllib.request
from pathlib import Path

logger = logging.getLogger("ccinspect.readiness")

_SECONDS = 10


def probe_later(url: str | None, roots: Path) -> asyncio.Future[None]:
    """Fetch `url` in the background, if there is one, and log a warning when that fails."""
    return asyncio.ensure_future(_probe(url, roots))


async def _probe(url: str | None, roots: Path) -> None:
    if url is not None and (problem := await asyncio.to_thread(_fetch, url, roots)):
        logger.warning("inspector.readiness.url %s cannot be reached: %s; agents will probably fail too", url, problem)


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
