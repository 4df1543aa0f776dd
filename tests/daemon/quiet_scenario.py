"""Run in namespaces of its own, whose only way out is a cable that is listened to: a daemon with all it can have.

Prints {"sent": [...], "heard": [...]}: what ccinspect sent through the cable, and what came when the test sent some.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

from ccinspect.demo.provider import Provider
from tests.support.daemon import Daemon, settings_for, started

HERE, ROUTER = "10.78.0.1", "10.78.0.2"
_ALL_PROTOCOLS = 3
_CABLE = (
    "link set lo up",
    "link add cable0 type veth peer name cable1",
    "link set cable0 addrgenmode none",
    "link set cable1 addrgenmode none",
    f"address add {HERE}/24 dev cable0",
    "link set cable0 up",
    "link set cable1 up",
    f"route add default via {ROUTER}",
)
# One call through the daemon, so that everything that looks at calls has something to do.
_CALL = """if True:
    import json, os, urllib.request as u
    body = json.dumps({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}).encode()
    headers = {"content-type": "application/json", "x-api-key": "sk-test", "anthropic-version": "2023-06-01"}
    u.urlopen(u.Request(os.environ["ANTHROPIC_BASE_URL"] + "/v1/messages", body, headers), timeout=60).read()
"""


class Cable:
    """The far end: who asks for an address, a name or a connection out there is heard here."""

    def __init__(self) -> None:
        for words in _CABLE:
            subprocess.run(["ip", *words.split()], check=True)
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL_PROTOCOLS))
        self._socket.bind(("cable1", 0))
        self._socket.setblocking(False)

    def heard(self) -> list[str]:
        """The frames since the last call, as hexadecimal digits."""
        frames = []
        while True:
            try:
                frames.append(self._socket.recv(200).hex())
            except BlockingIOError:
                return frames


def main(directory: Path) -> None:
    cable = Cable()
    with Provider() as provider:
        settings = settings_for(provider, directory) | {"mcp": {"enabled": True, "port": 0}}
        with started(Daemon(directory / "instance", settings)) as daemon:
            daemon.run("run", "--inspect", "--", "true", check=True)
            daemon.run("run", "--", sys.executable, "-c", _CALL, check=True)
            assert daemon.json("report", "--json")
            # It finds fault with a machine without a resolver.
            assert "authority" in daemon.run("doctor").stdout
    sent = cable.heard()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.sendto(b"listen", ("192.0.2.1", 53))
    print(json.dumps({"sent": sent, "heard": cable.heard()}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
