"""The uplink: a user-space network stack that carries packets between the transit namespace and the host.

Only the tunnel's encrypted datagrams cross it; no command ever runs in the transit namespace.
"""

from __future__ import annotations

import os
import shutil
from abc import ABC, abstractmethod

from ccinspect.errors import JailUnavailable
from ccinspect.jail.helpers import Helper, HelperFailed

_READY_WITHIN = 10.0
# What the tunnel's datagrams may measure; see docs/jail.md on the choice of sizes.
_LINK_MTU = 65520


class Uplink(ABC):
    """One program that can be the uplink."""

    program: str
    package: str
    gateway = "10.0.2.2"
    """The address in the transit namespace that leads to the host's 127.0.0.1."""

    @abstractmethod
    def command(self, user_namespace: str, net_namespace: str, ready_fd: int) -> list[str]:
        """The command line. The program says that it is ready by writing to `ready_fd`."""

    def start(self, user_namespace: int, net_namespace: int) -> RunningUplink:
        """Start it on two namespaces given by descriptors. Raises JailUnavailable."""
        ready, ready_in_child = os.pipe()
        # Through our own /proc entry, because an uplink may close what it inherited before it opens the namespaces.
        user_path, net_path = (f"/proc/{os.getpid()}/fd/{fd}" for fd in (user_namespace, net_namespace))
        helper = Helper(self.command(user_path, net_path, ready_in_child), [ready_in_child])
        os.close(ready_in_child)
        return RunningUplink(self, helper, ready)


class RunningUplink:
    """An uplink program at work."""

    def __init__(self, kind: Uplink, helper: Helper, ready: int) -> None:
        self.kind = kind
        self.helper = helper
        self._ready = ready

    def wait_ready(self) -> None:
        """Wait until packets flow. Raises JailUnavailable."""
        try:
            self.helper.started()
            self.helper.await_byte(self._ready, _READY_WITHIN)
        except HelperFailed as error:
            raise JailUnavailable(
                f"the jail has no uplink: {error}; the command was not started",
                "run `ccinspect namespace doctor`, or choose the other program with `jail.uplink`",
            ) from error

    def stop(self) -> None:
        """Kill it and wait for its end."""
        self.helper.kill()
        self.helper.reap()
        os.close(self._ready)


class Slirp4netns(Uplink):
    program = "slirp4netns"
    package = "slirp4netns"

    def command(self, user_namespace: str, net_namespace: str, ready_fd: int) -> list[str]:
        return [
            self.program,
            "--configure",
            f"--mtu={_LINK_MTU}",
            f"--ready-fd={ready_fd}",
            f"--userns-path={user_namespace}",
            "--netns-type=path",
            net_namespace,
            "tap0",
        ]


class Pasta(Uplink):
    program = "pasta"
    package = "passt"

    def command(self, user_namespace: str, net_namespace: str, ready_fd: int) -> list[str]:
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
            f"--pid=/proc/{os.getpid()}/fd/{ready_fd}",
            f"--userns={user_namespace}",
            f"--netns={net_namespace}",
        ]


UPLINKS: dict[str, Uplink] = {"slirp4netns": Slirp4netns(), "pasta": Pasta()}


def choose(wanted: str) -> Uplink:
    """The uplink for the setting `jail.uplink`. Raises JailUnavailable."""
    candidates = list(UPLINKS.values()) if wanted == "auto" else [UPLINKS[wanted]]
    for uplink in candidates:
        if shutil.which(uplink.program):
            return uplink
    raise JailUnavailable(
        f"the jail has no uplink: {' and '.join(uplink.program for uplink in candidates)} not found",
        f"install it: sudo apt-get install {candidates[0].package}; or use `ccinspect run --proxy`",
    )
