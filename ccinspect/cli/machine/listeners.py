"""What programs that are started without `run` have to be told: ports, and what to trust."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from ccinspect.cli.instance import Instance
from ccinspect.errors import SetupError
from ccinspect.setup.variables import Listeners


def find_listeners(instance: Instance, *, trust: bool) -> Listeners:
    """The ports of the daemon, or those that it will have; with `trust` also what makes programs trust it.

    Raises SetupError where they cannot be told before the daemon runs.
    """
    from ccinspect.cli.status import read_status

    ports: dict[str, int] = read_status(instance)["inspector"]["ports"]
    settings = instance.config().inspector
    reverse, proxy = ports.get("reverse", settings.reverse_port), ports.get("proxy", settings.proxy_port)
    if 0 in (reverse, proxy):
        raise SetupError(
            "the settings leave the ports open, and the daemon does not run: what to write cannot be told",
            "set inspector.reverse_port and inspector.proxy_port, or start it: ccinspect start --detach",
        )
    ca_cert = instance.paths.ca_cert
    return Listeners(reverse, proxy, ca_cert, _bundle(instance) if trust else None, token_to_show(instance))


def token_to_show(instance: Instance) -> str | None:
    """What programs without a run have to show the listeners; None where these are for this machine only.

    Raises ConfigError when the token cannot be had.
    """
    import ipaddress

    from ccinspect.auth.plain_secret import resolve_secret

    config = instance.config()
    if ipaddress.ip_address(config.inspector.host).is_loopback:
        return None
    return resolve_secret(config.proxy.token, "proxy.token")


def runs(instance: Instance) -> bool:
    """Whether the daemon answers."""
    from ccinspect.cli.status import read_status

    return bool(read_status(instance)["proxy"])


def _bundle(instance: Instance) -> Path:
    from ccinspect.daemon.roots import system_bundle
    from ccinspect.jail.trust import write_bundle
    from ccinspect.paths import make_private_dir
    from ccinspect.setup.authority import no_authority_yet

    paths = instance.paths
    environ = _without_ours(os.environ, str(paths.data_dir))
    try:
        return write_bundle(
            make_private_dir(paths.data_dir / "bundles"), paths.ca_cert, environ, system_bundle(environ)
        )
    except FileNotFoundError as error:
        raise no_authority_yet() from error
    except OSError as error:
        raise SetupError(
            f"the bundle of trusted certificates cannot be written: {error}",
            "make room or make the data directory writable",
        ) from error


def _without_ours(environ: Mapping[str, str], data_dir: str) -> dict[str, str]:
    """The environment without what an earlier `env --proxy` set: else each bundle would hold the one before."""
    return {name: value for name, value in environ.items() if not value.startswith(data_dir)}
