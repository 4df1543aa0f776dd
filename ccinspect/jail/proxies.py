"""Proxies that the user had set: not for a command in the jail.

One on the host's loopback would be reached over the bridge, and everything sent through it would pass unseen. One
elsewhere would be asked, through the tunnel, to open tunnels of its own, which the daemon refuses. Without them the
command connects directly, as far as it can tell, and the daemon sees where to.
"""

from __future__ import annotations

from collections.abc import Mapping

_VARIABLES = frozenset(
    {"http_proxy", "https_proxy", "all_proxy", "ftp_proxy", "npm_config_proxy", "npm_config_https_proxy"}
)


def without_proxies(environ: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The environment without proxies, and the names of the variables that were taken out."""
    removed = [name for name, value in environ.items() if name.lower() in _VARIABLES and value]
    return {name: value for name, value in environ.items() if name not in removed}, removed
