"""Whether other machines may reach the listeners: only where two settings say so, and with a token."""

from __future__ import annotations

import ipaddress

from ccinspect.config import Config
from ccinspect.errors import ConfigError

LOOPBACK = "127.0.0.1"
# Some 2^64 at the least, were it random letters and digits.
_SHORTEST_TOKEN = 12


def listening_hosts(config: Config, token: str | None) -> tuple[str, ...]:
    """The addresses that the reverse and the forward listeners are bound to; `token` is `proxy.token`, resolved.

    Raises ConfigError where the loopback would be left without consent or without a token.
    """
    host = ipaddress.ip_address(config.inspector.host)
    if host.is_loopback:
        return (LOOPBACK,) if str(host) == LOOPBACK else (LOOPBACK, str(host))
    place = f"inspector.host is {host}: other machines could send requests through this one; nothing was started"
    if not config.proxy.allow_other_machines:
        raise ConfigError(
            f"{place}, because nobody said that this is meant",
            "remove inspector.host, or read docs/network.md and set proxy.allow_other_machines: true",
        )
    if token is None:
        raise ConfigError(
            f"{place}, because they would need no token",
            "set proxy.token, for example to the output of: openssl rand -hex 24",
        )
    if len(token) < _SHORTEST_TOKEN:
        raise ConfigError(
            f"{place}, because proxy.token has less than {_SHORTEST_TOKEN} characters and can be guessed",
            "take a longer one, for example the output of: openssl rand -hex 24",
        )
    if host == ipaddress.IPv4Address(0):
        # It is the loopback too.
        return (str(host),)
    return (LOOPBACK, str(host))


def is_exposed(hosts: tuple[str, ...]) -> bool:
    """Whether one of these addresses can be reached by other machines."""
    return not all(ipaddress.ip_address(host).is_loopback for host in hosts)
