"""The jail with the real daemon: what is captured, and what of ours is out of reach."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from tests.jail.processes import alive, named, tree
from tests.support.daemon import Daemon
from tests.support.waiting import wait_until

pytestmark = pytest.mark.jail

ASK = """if True:
    import json, sys, urllib.request as u
    body = json.dumps({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": sys.argv[2]}]}).encode()
    headers = {"content-type": "application/json", "x-api-key": "sk-test", "anthropic-version": "2023-06-01"}
    print(u.urlopen(u.Request(sys.argv[1], body, headers), timeout=30).status)
"""
MESSAGES = "https://api.anthropic.com/v1/messages"

StartDaemon = Callable[..., Daemon]


def ask(daemon: Daemon, text: str) -> str:
    done = daemon.run("run", "-i", "--name", text, "--", sys.executable, "-c", ASK, MESSAGES, text)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_client_that_never_heard_of_us_is_recorded_with_its_run(start: StartDaemon) -> None:
    daemon = start()
    assert ask(daemon, "hello") == "200\n"
    (flow,) = daemon.wait_for(1)
    assert flow["request"]["pretty_host"] == "api.anthropic.com"
    assert flow["source"] == "wireguard"
    assert flow["run"]
    lookups = [found for found in daemon.flows() if found["type"] == "dns"]
    assert {lookup["run"] for lookup in lookups} == {flow["run"]}
    [asked] = [one for one in lookups if one["request"]["question"]["type"] == "A"]
    assert asked["request"]["question"]["name"] == "api.anthropic.com"
    assert (asked["state"], asked["response"]["response_code"]) == ("complete", "NOERROR")
    assert [answer["type"] for answer in asked["response"]["answers"]] == ["A"]


def test_jails_side_by_side_are_told_apart(start: StartDaemon) -> None:
    daemon = start()
    words = [f"jail-{number}" for number in range(6)]
    with ThreadPoolExecutor(len(words)) as pool:
        assert list(pool.map(lambda word: ask(daemon, word), words)) == ["200\n"] * len(words)
    flows = daemon.wait_for(len(words))
    assert len({flow["run"] for flow in flows}) == len(words)


class Model(BaseHTTPRequestHandler):
    """A local model server."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"llama")

    def log_message(self, *_arguments: object) -> None:
        """Nothing on the terminal."""


def test_a_local_model_server_is_reached_through_the_daemon(start: StartDaemon) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    serving = Thread(target=server.serve_forever)
    serving.start()
    port = server.server_address[1]
    code = (
        f"import urllib.request as u; print(u.urlopen('http://localhost:{port}/api/tags', timeout=20).read().decode())"
    )
    try:
        daemon = start(jail={"model_ports": [port]})
        done = daemon.run("run", "-i", "--", sys.executable, "-c", code)
    finally:
        server.shutdown()
        serving.join()
        server.server_close()
    assert done.stdout == "llama\n", done.stderr
    (flow,) = daemon.wait_for(1)
    assert flow["request"]["path"] == "/api/tags"
    assert flow["run"]


LOOK = """if True:
    import json, os, socket, sys
    def connects(port):
        with socket.socket() as s: return s.connect_ex(("127.0.0.1", port)) == 0
    def opens(path):
        try: return bool(open(path, "rb").read(1))
        except OSError: return False
    def dials(path):
        if not os.path.isdir(os.path.dirname(path)): return False
        os.chdir(os.path.dirname(path))  # for a path that is too long for a socket's address
        with socket.socket(socket.AF_UNIX) as s: return s.connect_ex(os.path.basename(path)) == 0
    ports, files, sockets = json.loads(sys.argv[1])
    reached = [p for p in ports if connects(p)], [f for f in files if opens(f)], [s for s in sockets if dials(s)]
    print(json.dumps(reached))
"""


def test_what_is_ours_is_out_of_reach(start: StartDaemon) -> None:
    daemon = start()
    secrets = [daemon.paths.web_token, daemon.paths.ca_dir / "mitmproxy-ca.pem", daemon.paths.log_file]
    assert all(path.is_file() for path in secrets)
    wanted = json.dumps([[daemon.ports["web"]], [str(path) for path in secrets], [str(daemon.paths.control_socket)]])
    done = daemon.run("run", "-i", "--", sys.executable, "-c", LOOK, wanted)
    assert json.loads(done.stdout) == [[], [], []], done.stderr


def test_a_killed_daemon_leaves_a_closed_jail_that_ends_with_its_command(start: StartDaemon) -> None:
    daemon = start()
    code = """if True:
        import socket, sys
        print("ready", flush=True); sys.stdin.readline()
        s = socket.socket(); s.settimeout(2); print("open" if s.connect_ex(("203.0.113.9", 80)) == 0 else "closed")
    """
    argv = daemon.argv("run", "-i", "--", sys.executable, "-c", code)
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with daemon.popen(argv, **pipes) as process:
        assert process.stdout.readline() == b"ready\n"
        pids = tree(process.pid)
        assert named(pids, "wireguard-go")
        daemon.kill()
        out, _err = process.communicate(b"\n", timeout=30)
    assert out == b"closed\n"
    assert wait_until(lambda: alive(pids) == []), alive(pids)
    daemon.restart_after_kill()


def test_a_killed_supervisor_ends_its_run_in_the_daemon(start: StartDaemon) -> None:
    daemon = start()
    argv = daemon.argv("run", "-i", "--", "sh", "-c", "echo ready; exec sleep 600")
    with daemon.popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout.readline() == b"ready\n"
        pids = tree(process.pid)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)
    assert wait_until(lambda: alive(pids) == []), alive(pids)
    assert wait_until(lambda: daemon.json("status", "--json")["runs"] == [])
