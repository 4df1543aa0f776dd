"""Well-known file-system sockets through which a program outside acts for one inside."""

from __future__ import annotations

import contextlib
import glob
import os
import stat
from collections.abc import Mapping

# They would look names up past the tunnel, unseen.
_RESOLVER_SOCKETS = (
    "/run/nscd/socket",
    "/var/run/nscd/socket",
    "/run/systemd/resolve/io.systemd.Resolve",
    "/run/systemd/resolve/io.systemd.Resolve.Monitor",
    "/run/avahi-daemon/socket",
    "/run/unscd/socket",
)
# Through each of these a program outside can be made to act for the one inside.
_SERVICE_SOCKETS = (
    "/run/docker.sock",
    "/run/containerd/containerd.sock",
    "/run/containerd/containerd.sock.ttrpc",
    "/run/k3s/containerd/containerd.sock",
    "/run/podman/podman.sock",
    "/run/crio/crio.sock",
    "/run/buildkit/buildkitd.sock",
    "/run/libvirt/libvirt-sock",
    "/var/lib/lxd/unix.socket",
    "/var/lib/incus/unix.socket",
    "/run/snapd.socket",
    "/run/dbus/system_bus_socket",
    "/run/systemd/private",
    "/run/WSL/*_interop",
    "{runtime}/bus",
    "{runtime}/systemd/private",
    "{runtime}/docker.sock",
    "{runtime}/podman/podman.sock",
    "{runtime}/containerd-rootless/api.sock",
    "{home}/.docker/run/docker.sock",
    "{home}/.docker/desktop/docker.sock",
    "{home}/.colima/*/docker.sock",
    "/tmp/tmux-{uid}/*",
    "{tmux}/tmux-{uid}/*",
    "/run/screen/S-*/*",
)


def reachable_resolvers(environ: Mapping[str, str]) -> list[str]:
    """Sockets of name services that exist now. The jail always hides them: a lookup must not pass the tunnel by."""
    return _existing(_RESOLVER_SOCKETS, environ)


def reachable_services(environ: Mapping[str, str]) -> list[str]:
    """Sockets of container engines, buses, multiplexers and the like that exist now."""
    return _existing(_SERVICE_SOCKETS, environ)


def _existing(patterns: tuple[str, ...], environ: Mapping[str, str]) -> list[str]:
    """The sockets among these names, by their real paths."""
    uid = os.getuid()
    names = {
        "runtime": environ.get("XDG_RUNTIME_DIR") or f"/run/user/{uid}",
        "home": environ.get("HOME") or "/nonexistent",
        "tmux": environ.get("TMUX_TMPDIR") or "/tmp",
        "uid": str(uid),
    }
    found: dict[str, None] = {}
    for pattern in patterns:
        for path in glob.glob(pattern.format(**{key: glob.escape(value) for key, value in names.items()})):
            with contextlib.suppress(OSError):
                if stat.S_ISSOCK(os.stat(path).st_mode):
                    found[os.path.realpath(path)] = None
    return list(found)
