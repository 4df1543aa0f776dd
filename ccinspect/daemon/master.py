"""mitmweb's master, embedded: options, addons and the web interface, bound to the loopback only."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from mitmproxy import exceptions, options
from mitmproxy.addons import disable_h2c, errorcheck
from mitmproxy.tools.web.master import WebMaster

from ccinspect.config import InspectorConfig
from ccinspect.daemon.dispatch import CachedDispatch
from ccinspect.errors import ConfigError

logger = logging.getLogger("ccinspect")

LOOPBACK = "127.0.0.1"
# A model may think for a long time without sending a byte: mitmproxy's ten minutes would cut it off.
_IDLE_SECONDS = 24 * 3600

# Options that would undo a promise of ours, and where to set the same thing instead.
RESERVED_OPTIONS = {
    "mode": "inspector.reverse_port, proxy_port or reverse_targets",
    "server": "nothing: the listeners are what the daemon is for",
    "listen_host": "nothing: listeners are bound to the loopback only",
    "listen_port": "inspector.reverse_port or proxy_port",
    "web_host": "nothing: mitmweb is bound to the loopback only",
    "web_port": "inspector.web_port",
    "web_password": "inspector.web_password",
    "web_open_browser": "nothing: the daemon opens no browser",
    "confdir": "--config DIR: our certificate authority lives in the data directory",
    "ssl_verify_upstream_trusted_ca": "inspector.upstream_ca",
    "proxyauth": "nothing: runs have credentials of their own",
}


class ProxyMaster(WebMaster):
    """A WebMaster that logs through us and does not stop the process when an addon logs an error."""

    def __init__(self, opts: options.Options) -> None:
        super().__init__(opts, with_termlog=False)
        check = self.addons.get("errorcheck")
        if isinstance(check, errorcheck.ErrorCheck):
            check.finish()
            self.addons.remove(check)
        # It removes `Upgrade: h2c` from requests, and kills HTTP/2 without TLS: we pass both.
        h2c = self.addons.get("disableh2c")
        if isinstance(h2c, disable_h2c.DisableH2C):
            self.addons.remove(h2c)

    def insert_addons(self, *first: Any) -> None:
        """Add addons in front of mitmproxy's own, in the order given: they see each event first."""
        self.addons.add(*first)
        chain = self.addons.chain
        self.addons.chain = [*first, *(addon for addon in chain if addon not in first)]


def build_master(
    config: InspectorConfig, ca_dir: Path, roots: Path, web_port: int, password: str | None, token: str
) -> ProxyMaster:
    """Create the master with our options and the user's. Raises ConfigError for an option mitmproxy refuses.

    `password` is what the user configured; without one, `token` opens mitmweb.
    """
    opts = options.Options()
    master = ProxyMaster(opts)
    opts.update(
        confdir=str(ca_dir),
        listen_host=LOOPBACK,
        web_host=LOOPBACK,
        web_port=web_port,
        web_open_browser=False,
        web_password=password or "",
        mode=[],
        onboarding=False,
        show_ignored_hosts=True,
        keep_alt_svc_header=True,
        ssl_verify_upstream_trusted_ca=str(roots),
        tcp_timeout=_IDLE_SECONDS,
    )
    _apply_user_options(opts, config)
    if not password:
        # Given as an option, it would be kept out of the URL that mitmweb prints.
        master.addons.get("webauth")._password = token
    CachedDispatch(master.addons)
    return master


def _apply_user_options(opts: options.Options, config: InspectorConfig) -> None:
    given = dict(config.mitmproxy)
    for name, instead in RESERVED_OPTIONS.items():
        if name in given:
            raise ConfigError(f"inspector.mitmproxy.{name} cannot be set here", f"use {instead}")
    given["ignore_hosts"] = [*given.get("ignore_hosts", []), *config.passthrough_hosts]
    for name, value in given.items():
        try:
            opts.update(**{name: value})
        except KeyError as error:
            raise ConfigError(
                f"inspector.mitmproxy.{name}: mitmproxy has no such option", "see `mitmproxy --options` for its names"
            ) from error
        except (exceptions.OptionsError, TypeError, ValueError) as error:
            raise ConfigError(f"inspector.mitmproxy.{name}: {error}", "correct the value, or remove it") from error
