"""Eight jails at once, a hundred requests each: every one recorded, every one attributed to its own run."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from bench.servers import Instance, environment
from ccinspect.demo.provider import Provider

JAILS = 8
REQUESTS = 100

# Runs inside the jail; knows nothing of us.
_CLIENT = """
import http.client, json, sys
body = json.dumps({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": sys.argv[1]}]})
connection = http.client.HTTPSConnection("api.anthropic.com", timeout=60)
for _ in range(int(sys.argv[2])):
    connection.request("POST", "/v1/messages", body, {"x-api-key": "k"})
    answer = connection.getresponse()
    assert answer.status == 200 and sys.argv[1].encode() in answer.read()
"""


@dataclass(frozen=True)
class Outcome:
    recorded: int
    attributed: int
    """Recorded under the run that sent them."""
    errors: int
    """Jailed clients that failed, and flows that did not complete."""


def measure(directory: Path) -> Outcome:
    """Run the jails and count."""
    with Provider() as provider:
        settings = {
            "connect_to": provider.connect_to(),
            "upstream_ca": str(provider.write_ca(directory / "provider-ca.pem")),
        }
        instance = Instance(directory / "jails", settings)
        with instance.running():
            failed = _run_all(instance)
            flows = instance.json("flows", "list", "--json", "--limit", str(JAILS * REQUESTS * 4))
            runs = {run["id"]: run["name"] for run in instance.json("runs", "list", "--json")}
    posts = [flow for flow in flows if flow["type"] == "http"]
    by_run = Counter(runs.get(flow["run"]) for flow in posts)
    attributed = sum(min(by_run[f"jail-{number}"], REQUESTS) for number in range(JAILS))
    unfinished = sum(flow["state"] != "complete" for flow in posts)
    return Outcome(len(posts), attributed, failed + unfinished)


def _run_all(instance: Instance) -> int:
    clients = [
        subprocess.Popen(
            instance.argv(
                "run", "-i", "--name", f"jail-{n}", "--", sys.executable, "-c", _CLIENT, f"jail-{n}", str(REQUESTS)
            ),
            stdin=subprocess.DEVNULL,
            env=environment(),
        )
        for n in range(JAILS)
    ]
    return sum(client.wait(300) != 0 for client in clients)
