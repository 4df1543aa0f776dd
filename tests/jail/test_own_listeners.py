"""Our reverse listeners inside of a jail, for agents that were set up to use them: the run's own, and no way out."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest

from ccinspect.jail import netlink
from ccinspect.jail.listeners import listeners
from ccinspect.jail.netlink import Netlink
from ccinspect.jail.session import CAPTURING
from tests.support.daemon import Daemon

# As whom it is started makes no difference here; the user is who has less.
pytestmark = [
    pytest.mark.jail,
    pytest.mark.parametrize("start", ["user" if os.geteuid() == 0 else "myself"], indirect=True),
]

StartDaemon = Callable[..., Daemon]

ASK = """if True:
    import http.client, json, sys
    port, method, path, headers = json.loads(sys.argv[1])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    body = b"" if method == "GET" else json.dumps({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]})
    try:
        connection.request(method, path, body, {"x-api-key": "sk-test", "anthropic-version": "2023-06-01", **headers})
        print(connection.getresponse().status)
    except ConnectionRefusedError:
        print("refused")
"""  # noqa: E501

CONNECT = """if True:
    import socket, sys
    sys.stdin.readline()
    for address in sys.argv[2:]:
        with socket.socket() as s: print(s.connect_ex((address, int(sys.argv[1]))))
"""


def ask(
    daemon: Daemon, port: int, method: str = "POST", path: str = "/v1/messages", *options: str, **headers: str
) -> str:
    wanted = json.dumps([port, method, path, headers])
    done = daemon.run("run", "-i", *options, "--", sys.executable, "-c", ASK, wanted)
    return done.stdout.strip() or done.stderr


def listening_for_jails(daemon: Daemon) -> set[int]:
    """Ports of this daemon: those of other tests' daemons come and go meanwhile."""
    sockets = set()
    for link in Path(f"/proc/{daemon.pid}/fd").iterdir():
        # It may have been closed since.
        with suppress(FileNotFoundError):
            sockets.add(str(link.readlink()))
    with closing(Netlink(netlink.SOCK_DIAG)) as diag:
        found = [each for each in listeners(diag) if each.address == CAPTURING]
    return {each.port for each in found if f"socket:[{each.inode}]" in sockets}


def test_what_goes_there_is_the_runs_and_under_its_rules(start: StartDaemon) -> None:
    daemon = start()
    port = daemon.ports["reverse"]
    assert ask(daemon, port) == "200"
    assert ask(daemon, port, "POST", "/v1/messages", "--deny", "api.anthropic.com") == "403"
    assert ask(daemon, port, "POST", "/v1/messages", "--offline") == "403"
    allowed, *denied = daemon.wait_for(3, lambda flow: flow["type"] == "http")
    assert allowed["source"] == "reverse"
    assert len({flow["run"] for flow in (allowed, *denied)} - {None}) == 3
    assert [flow["response"]["status_code"] for flow in denied] == [403, 403]


def test_no_other_way_leads_out_of_it(start: StartDaemon) -> None:
    daemon = start(mcp={"enabled": True})
    port = daemon.ports["reverse"]
    upstream = {"x-ccinspect-upstream": f"http://127.0.0.1:{daemon.ports['web']}"}
    assert ask(daemon, port, "GET", "/flows.json", **upstream) == "501"
    assert ask(daemon, port, "POST", "/mcp") == "403"
    assert ask(daemon, port, "POST", "/mcp/notify") == "501"
    assert ask(daemon, port, "CONNECT", f"127.0.0.1:{daemon.ports['web']}") == "405"
    # In absolute form the path alone counts.
    assert ask(daemon, port, "GET", f"http://127.0.0.1:{daemon.ports['web']}/flows.json") == "501"
    assert ask(daemon, daemon.ports["proxy"]) == "refused"


def test_without_ports_of_the_host_it_is_there_and_local_models_are_not(start: StartDaemon) -> None:
    daemon = start(jail={"host_ports": "none"})
    assert ask(daemon, daemon.ports["reverse"]) == "200"
    assert ask(daemon, daemon.ports["reverse"], "POST", "/api/chat") == "501"


def test_an_upstream_of_its_own_is_there_too(start: StartDaemon) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    daemon = start(inspector={"reverse_targets": [{"port": port, "upstream": "https://api.openai.com"}]})
    assert ask(daemon, port, "POST", "/v1/chat/completions", authorization="Bearer sk-test") == "200"
    (flow,) = daemon.wait_for(1, lambda flow: flow["type"] == "http")
    assert flow["request"]["host"] == "api.openai.com"
    assert flow["run"]


def test_no_jail_reaches_the_listeners_of_another(start: StartDaemon) -> None:
    """Not even those of a run that begins later, of which its bridge was told nothing."""
    daemon = start()
    assert not listening_for_jails(daemon)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    waiting = daemon.argv("run", "-i", "--", "sh", "-c", "echo ready; read line")
    with daemon.popen(waiting, **pipes) as early:
        assert early.stdout.readline() == b"ready\n"
        own = listening_for_jails(daemon)
        assert own
        argv = daemon.argv("run", "-i", "--", sys.executable, "-c", CONNECT, str(min(own)), CAPTURING, "127.0.0.1")
        with daemon.popen(argv, **pipes) as other:
            answers, _ = other.communicate(b"\n", timeout=30)
        early.communicate(b"\n", timeout=30)
    assert len(answers.split()) == 2
    assert b"0" not in answers.split()
    assert not listening_for_jails(daemon)
