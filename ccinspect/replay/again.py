"""A captured flow sent again: read from the store, made ready with the settings, sent through the running daemon."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ccinspect.auth.plain_secret import resolve_secret
from ccinspect.config import Config
from ccinspect.control import protocol
from ccinspect.control.client import ControlClient
from ccinspect.identity.providers import Providers
from ccinspect.replay.request import Replay, Wish, replay_of
from ccinspect.replay.sendable import check_sendable
from ccinspect.replay.sending import send
from ccinspect.store.query import StoreReader


def prepare(
    store: StoreReader, config: Config, flow: str, wish: Wish, environ: Mapping[str, str]
) -> tuple[dict[str, Any], Replay]:
    """The record of a flow, and the request that it is sent again as.

    Raises FlowNotFound, AmbiguousFlowId, ConfigError, CredentialsError, BadPath.
    """
    known = frozenset(name for name, entry in config.providers.items() if entry.auth is not None)
    record = store.get(flow)
    message = check_sendable(record, "client_request")
    body = b"".join(store.stream_body(record["id"], "client_request") or ())
    wish = Wish(wish.model, wish.provider, wish.assignments, known)
    token = resolve_secret(config.proxy.token, "proxy.token")
    return record, replay_of(record, message, body, wish, Providers(config.identities), environ, token)


def reverse_port(control_socket: Path) -> int:
    """Where the daemon takes it. Raises DaemonNotRunning."""
    with ControlClient.connect(control_socket) as control:
        return int(control.call(protocol.STATUS)["inspector"]["ports"]["reverse"])


def send_once(made: Replay, port: int, control_socket: Path) -> dict[str, Any]:
    """Send it to the daemon's reverse listener; the record of the flow that it became. Raises CcinspectError."""
    with ControlClient.connect(control_socket) as events:
        return send(made, port, events)


def succeeded(record: dict[str, Any]) -> bool:
    """Whether a flow was answered with a status below 400."""
    code = (record.get("response") or {}).get("status_code")
    return isinstance(code, int) and code < 400 and not record.get("error")
