"""Run in a network namespace of its own: a daemon with key logs, its traffic captured as a wiretap would.

Prints {port, loopback, jail, tls_keylog, wg_keylog}: the provider's port, and paths of captures and key logs.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

from ccinspect.demo.provider import Provider
from tests.support.daemon import Daemon, settings_for, started

WORDS = "a secret that only keys reveal"
_ETHERNET, _RAW_IP = 1, 101
_OUTGOING = 4
_CLIENT = """if True:
    import json, os, sys, urllib.request as u
    print(os.getpid(), flush=True); sys.stdin.readline()
    body = json.dumps({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": sys.argv[1]}]}).encode()
    headers = {"content-type": "application/json", "x-api-key": "sk-test", "anthropic-version": "2023-06-01"}
    print(u.urlopen(u.Request("https://api.anthropic.com/v1/messages", body, headers), timeout=60).status)
"""


class Wiretap:
    """All packets of an interface from now on."""

    def __init__(self, interface: str) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self._socket.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE
        self._socket.bind((interface, 0))
        self._socket.setblocking(False)
        self._is_loopback = interface == "lo"

    def write(self, path: Path) -> Path:
        """Write what has come as a pcap file."""
        with path.open("wb") as file:
            link = _ETHERNET if self._is_loopback else _RAW_IP
            file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, link))
            while True:
                try:
                    packet, (_, _, kind, *_) = self._socket.recvfrom(262_144)
                except BlockingIOError:
                    break
                except OSError as error:
                    if error.errno != errno.ENETDOWN:
                        raise
                    # Told once, before what had come: the interface went with its jail.
                    continue
                # Of the loopback each packet is seen on its way out and in.
                if not (self._is_loopback and kind == _OUTGOING):
                    now = time.time()
                    file.write(struct.pack("<IIII", int(now), int(now % 1 * 1e6), len(packet), len(packet)) + packet)
        self._socket.close()
        return path


def wiretap_in(pid: int) -> Wiretap:
    """In the jail of a process."""
    own, other = os.open("/proc/self/ns/net", os.O_RDONLY), os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    os.setns(other, os.CLONE_NEWNET)
    try:
        return Wiretap("wg0")
    finally:
        os.setns(own, os.CLONE_NEWNET)
        os.close(own)
        os.close(other)


def main(directory: Path) -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with Provider() as provider:
        settings = settings_for(provider, directory)
        settings["inspector"]["keylog"] = True
        with started(Daemon(directory / "instance", settings)) as daemon:
            loopback = Wiretap("lo")
            argv = daemon.argv("run", "-i", "--", sys.executable, "-c", _CLIENT, WORDS)
            with daemon.popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
                jail = wiretap_in(int(process.stdout.readline()))
                said, _ = process.communicate("\n", timeout=60)
            assert said == "200\n", said
        told = {
            "port": provider.https_port,
            "loopback": str(loopback.write(directory / "loopback.pcap")),
            "jail": str(jail.write(directory / "jail.pcap")),
            "tls_keylog": str(daemon.paths.tls_keylog),
            "wg_keylog": str(daemon.paths.wg_keylog),
        }
    print(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
