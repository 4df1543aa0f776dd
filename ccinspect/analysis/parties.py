"""Who a flow is between, and whose it is: provider, agent, account, project, tags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ccinspect.identity.agents import Agent, detect_agent
from ccinspect.identity.providers import ProviderMatch, Providers
from ccinspect.store.record import Record, bytes_of, part
from ccinspect.store.redaction import MARK, Redactor

HeaderList = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Labels:
    """What a call is filed under."""

    run: str | None = None
    project: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    said_session: str | None = None
    host: str | None = None
    machine: str | None = None


def header_list(message: Mapping[str, Any]) -> HeaderList:
    """The headers of a stored request or response, as bytes."""
    return [(bytes_of(str(name)), bytes_of(str(value))) for name, value in message.get("headers") or []]


def client_headers(record: Record) -> HeaderList:
    """The headers of a stored flow's request as its client sent them: a translation leaves behind what names it."""
    return header_list(part(record, "client_request") or part(record, "request"))


def header(headers: HeaderList, name: bytes) -> str:
    """The first value of a header, or an empty text."""
    value = next((value for key, value in headers if key.lower() == name), b"")
    return value.decode("utf-8", "replace")


def address_of(record: Record) -> tuple[str, int | None, str, str]:
    """(host as a person would name it, port, path with its query, method) of a stored HTTP flow."""
    request = part(record, "request")
    host = str(request.get("pretty_host") or request.get("host") or "")
    port = request.get("port")
    return host, port if isinstance(port, int) else None, str(request.get("path") or "/"), str(request.get("method"))


def match_address(record: Record, providers: Providers, headers: HeaderList) -> ProviderMatch | None:
    """The provider by the request's address alone."""
    host, port, path, method = address_of(record)
    return providers.match(host, path, port=port, method=method, headers=headers)


def agent_of(record: Record, run: Record | None) -> Agent | None:
    """The sender: what its headers say, with the command line of its process or else of its run."""
    process = part(record, "process")
    command: Sequence[str] = process.get("argv") or (run or {}).get("command") or ()
    return detect_agent(client_headers(record), [str(word) for word in command])


def labels_of(record: Record, run: Record | None) -> Labels:
    """The run's project and tags, with what the request itself said before them."""
    said, run = part(record, "said"), run or {}
    tags = {**(run.get("tags") or {}), **(said.get("tags") or {})}
    return Labels(
        record.get("run"),
        said.get("project") or run.get("project"),
        {str(name): str(value) for name, value in tags.items()},
        said.get("session"),
        address_of(record)[0].lower() or None,
        part(record, "machine").get("host") or run.get("host"),
    )


_ACCOUNT_HEADERS = ((b"chatgpt-account-id",), (b"anthropic-organization-id", b"openai-organization"))
"""Of requests, and of responses. Tokens of subscriptions change every few hours; the account behind them does not."""
_CREDENTIALS = (b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key")


def account_of(request: HeaderList, response: HeaderList, redactor: Redactor) -> str | None:
    """A keyed fingerprint of the account, or of the key where no account is named; None where there is neither."""
    for headers, names in zip((request, response), _ACCOUNT_HEADERS, strict=True):
        for name in names:
            if value := header(headers, name):
                return _fingerprint(value, redactor)
    for name in _CREDENTIALS:
        value = header(request, name)
        secret = value.rpartition(" ")[2]
        # A signature is another with each request.
        if secret and not value.startswith(("AWS4", "Digest")):
            return _fingerprint(secret, redactor)
    return None


def _fingerprint(value: str, redactor: Redactor) -> str:
    clean = value if value.startswith(MARK) else redactor.secret(value)
    return clean.rpartition("~")[2]
