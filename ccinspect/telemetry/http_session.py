"""The session that the SDK's exporters over HTTP send with, where `requests` or the SDK do other than was asked for."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import requests


class CollectorSession(requests.Session):
    """Takes no redirect for success, and no other authority than the one that was named."""

    def __init__(self) -> None:
        super().__init__()
        self.hooks["response"] = [_refuse_redirect]

    def merge_environment_settings(
        self,
        url: str,
        proxies: dict[str, str] | None,
        stream: bool | None,
        verify: bool | str | None,
        cert: str | tuple[str, str] | None,
    ) -> dict[str, Any]:
        """`requests` puts `REQUESTS_CA_BUNDLE` before the session's own `verify`, which is
        `OTEL_EXPORTER_OTLP_CERTIFICATE` where that is set."""
        found = super().merge_environment_settings(url, proxies, stream, verify, cert)
        if self.verify is not True:
            found["verify"] = self.verify
        return found


def _refuse_redirect(response: requests.Response, *_: object, **__: object) -> None:
    """The SDK follows none, and takes it for success: what was sent would be gone without a word."""
    if 300 <= response.status_code < 400:
        # Only where: the rest of the address may hold a token.
        where = urlsplit(response.headers.get("location", ""))
        to = f"{where.scheme}://{where.netloc}" if where.netloc else "another path"
        response.close()
        raise requests.RequestException(f"{response.status_code}: it redirects to {to}")
