"""Who opened each connection of a run, however short: processes told apart, TLS fingerprints, and what requests say."""

from __future__ import annotations

import shlex
import sys
from typing import Any

import pytest

from tests.jail.test_with_daemon import StartDaemon

pytestmark = pytest.mark.jail

MODELS = "//api.openai.com/v1/models"
FETCH = """if True:
    import sys, urllib.request as u
    try: u.urlopen(sys.argv[1], timeout=30)
    except u.HTTPError: pass
"""
# A server of the kind that agents start: it stays, and asks something each time it is asked.
SERVER = f"""if True:
    import sys, urllib.request as u
    for line in sys.stdin:
        try: u.urlopen('http:{MODELS}?server', timeout=30)
        except u.HTTPError: pass
        print('done', flush=True)
"""
AGENT = f"""if True:
    import subprocess, sys, urllib.request as u
    def fetch(url):
        try: u.urlopen(url, timeout=30)
        except u.HTTPError: pass
    server = subprocess.Popen([sys.executable, '-c', {SERVER!r}, 'mcp-server'], stdin=-1, stdout=-1, text=True)
    for number in range(5):
        fetch('https:{MODELS}?agent')
        print('ask', file=server.stdin, flush=True)
        server.stdout.readline()
        subprocess.run(['curl', '-s', '-o', '/dev/null', 'http:{MODELS}?curl'], check=True)
        subprocess.run(['curl', '-s', '-o', '/dev/null', 'https:{MODELS}?curl'], check=True)
    server.stdin.close()
    server.wait()
    server.stdout.close()
"""


def lineage(flow: dict[str, Any]) -> list[str]:
    """The opener's and its parents' last arguments."""
    process = flow["process"]
    assert process is not None, flow["request"]
    return [(one["argv"] or [one["name"]])[-1] for one in (process, *process["parents"])]


def test_an_agent_its_server_and_its_tools_are_told_apart(start: StartDaemon) -> None:
    daemon = start()
    done = daemon.run("run", "-i", "--", sys.executable, "-c", AGENT, "the-agent", timeout=120)
    assert done.returncode == 0, done.stderr
    flows = daemon.flows()
    asked = [flow for flow in flows if flow["type"] == "http"]
    assert len(asked) == 20
    for flow in asked:
        who = flow["request"]["path"].partition("?")[2]
        first = {"agent": ["the-agent"], "server": ["mcp-server", "the-agent"]}
        expected = first.get(who) or [f"{flow['request']['scheme']}:{MODELS}?curl", "the-agent"]
        assert lineage(flow) == expected
        assert flow["process"]["exe"].endswith("/curl") == (who == "curl")
    names = [flow for flow in flows if flow["type"] == "dns"]
    assert names
    assert {lineage(flow)[-1] for flow in names} == {"the-agent"}


def test_a_tls_client_is_recognised_by_its_handshake(start: StartDaemon) -> None:
    daemon = start()
    ask = f"curl -s -o /dev/null https:{MODELS}; {sys.executable} -c {shlex.quote(FETCH)} https:{MODELS}"
    done = daemon.run("run", "-i", "--", "sh", "-c", f"{ask}; {ask}; curl -s -o /dev/null http:{MODELS}")
    assert done.returncode == 0, done.stderr
    flows = [flow for flow in daemon.flows() if flow["type"] == "http"]
    curl, python, curl_again, python_again, plain = (flow["client_conn"]["fingerprint"] for flow in flows)
    assert curl == curl_again
    assert (python["ja3"], python["ja4"]) == (python_again["ja3"], python_again["ja4"])
    assert curl["ja4"] != python["ja4"]
    assert curl["ja4"].startswith("t13d")
    assert plain is None


def test_what_a_request_says_of_itself_stays_here(start: StartDaemon) -> None:
    daemon = start()
    tags = ["x-ccinspect-project: web", "X-CCInspect-Tags: team=a,beta", 'x-ccinspect-context: {"ticket": 7}']
    options = [word for tag in tags for word in ("-H", tag)]
    done = daemon.run("run", "-i", "--", "curl", "-s", *options, f"https:{MODELS}")
    assert done.returncode == 0, done.stderr
    (flow,) = [flow for flow in daemon.flows() if flow["type"] == "http"]
    assert flow["said"]["project"] == "web"
    assert flow["said"]["context"] == {"ticket": 7}
    assert not [name for name, _ in flow["request"]["headers"] if name.lower().startswith("x-ccinspect")]
    assert flow["machine"]["os"]
