"""The uplink: a user-space network stack that carries packets between the transit namespace and the host.

Only the tunnel's encrypted datagrams cross it; no command ever runs in the transit namespace.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod

from ccinspect.errors import JailUnavailable
from ccinspect.jail.helpers import Helper, HelperFailed, find_program

# What the tunnel's datagrams may measure; see docs/jail.md on the choice of sizes.
_LINK_MTU = 65520


class Uplink(ABC):
    """One program that can be the uplink."""

    program: str
    package: str
    gateway = "10.0.2.2"
    """The address in the transit namespace that leads to the host's 127.0.0.1."""

    @abstractmethod
    def command(self, user_namespace: str, net_namespace: str) -> list[str]:
        """The command line for two namespaces given by paths.

        The program must configure its interface by itself; a default route in the namespace says that it is ready.
        """

    def start(self, warden: int, net_namespace: int) -> Helper:
        """Start it on the user namespace of the process `warden` and the network namespace behind its descriptor.

        Raises JailUnavailable.
        """
        # These names work before and after the uplink has entered the user namespace, and whatever it closes.
        helper = Helper(self.command(f"/proc/{warden}/ns/user", f"/proc/{warden}/fd/{net_namespace}"))
        try:
            helper.started()
        except HelperFailed as error:
            raise unavailable(str(error)) from error
        return helper


def unavailable(reason: str) -> JailUnavailable:
    """The error for an uplink that does not work."""
    return JailUnavailable(
        f"the jail has no uplink: {reason}; the command was not started",
        "run `ccinspect namespace doctor`, or choose the other program with `jail.uplink`",
    )


class Slirp4netns(Uplink):
    program = "slirp4netns"
    package = "slirp4netns"

    def command(self, user_namespace: str, net_namespace: str) -> list[str]:
        return [
            self.program,
            "--configure",
            f"--mtu={_LINK_MTU}",
            f"--userns-path={user_namespace}",
            "--netns-type=path",
            net_namespace,
            "tap0",
        ]


class Pasta(Uplink):
    program = "pasta"
    package = "passt"

    def command(self, user_namespace: str, net_namespace: str) -> list[str]:
        # Every port forward is off: the only thing pasta shall do is to map its gateway to the host's loopback.
        return [
            self.program,
            "--foreground",
            "--quiet",
            "--config-net",
            "--ns-ifname=tap0",
            "--ipv4-only",
            "--address=10.0.2.100",
            "--netmask=24",
            f"--gateway={self.gateway}",
            f"--mtu={_LINK_MTU}",
            *("--tcp-ports=none", "--udp-ports=none", "--tcp-ns=none", "--udp-ns=none"),
            "--no-dhcp",
            # It would become `nobody` for root otherwise, who may not enter the namespaces.
            *(("--runas=0",) if os.geteuid() == 0 else ()),
            f"--userns={user_namespace}",
            f"--netns={net_namespace}",
        ]


UPLINKS: dict[str, Uplink] = {"slirp4netns": Slirp4netns(), "pasta": Pasta()}


def choose(wanted: str) -> Uplink:
    """The uplink for the setting `jail.uplink`. Raises JailUnavailable."""
    candidates = list(UPLINKS.values()) if wanted == "auto" else [UPLINKS[wanted]]
    for uplink in candidates:
        if find_program(uplink.program):
            return uplink
    raise JailUnavailable(
        f"the jail has no uplink: {' and '.join(uplink.program for uplink in candidates)} not found",
        f"install it: sudo apt-get install {candidates[0].package}; or use `ccinspect run --proxy`",
    )
