"""A keyless jail: the command works with a sentinel, and the key is nowhere that it can look."""

from __future__ import annotations

import base64
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import StartDaemon
from tests.support import unprivileged
from tests.support.daemon import Daemon

pytestmark = pytest.mark.jail

KEY = "sk-real-" + "0123456789abcdef" * 2

# Runs inside: uses the key that it was given, then looks for the real one in its environment, in the files that hold it
# outside, and in the memory and environment of every process that it can see.
LOOK = """
import base64, glob, json, os, sys, urllib.request
wanted = base64.b64decode(sys.argv[1]).decode()
request = urllib.request.Request(
    "https://api.anthropic.com/v1/messages",
    json.dumps({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}).encode(),
    {"content-type": "application/json", "x-api-key": os.environ["ANTHROPIC_API_KEY"]},
)
status = urllib.request.urlopen(request).status
found = [name for name, value in os.environ.items() if wanted in value]
for path in sys.argv[2:]:
    try:
        if wanted in open(path).read():
            found.append(path)
    except OSError:
        pass
own = str(os.getpid())
for directory in glob.glob("/proc/[0-9]*"):
    pid = directory.rpartition("/")[2]
    try:
        if wanted.encode() in open(directory + "/environ", "rb").read():
            found.append(directory + "/environ")
    except OSError:
        pass
    if pid == own:
        continue
    try:
        maps, memory = open(directory + "/maps").readlines(), open(directory + "/mem", "rb", 0)
    except OSError:
        continue
    for line in maps:
        start, end = (int(part, 16) for part in line.split(" ")[0].split("-"))
        if " rw" not in line or end - start > 64 << 20:
            continue
        try:
            memory.seek(start)
            if wanted.encode() in memory.read(end - start):
                found.append(directory + "/mem")
                break
        except (OSError, OverflowError, ValueError):
            pass
print(json.dumps({"status": status, "found": found, "variables": sorted(
    name for name in os.environ if "KEY" in name or "TOKEN" in name)}))
"""


def test_the_key_is_nowhere(start: Callable[..., Daemon]) -> None:
    place = unprivileged.private_directory("ccinspect-keyless-")
    place.chmod(0o755)
    try:
        key_file, script = place / "key", place / "look.py"
        key_file.write_text(KEY + "\n")
        script.write_text(LOOK)
        # The other one is never asked: it puts the key into the settings themselves.
        daemon = start(providers={"anthropic": {"auth": {"file": str(key_file)}}, "openai": {"auth": f"echo {KEY}"}})
        assert KEY in daemon.paths.config_file.read_text()
        _look(daemon, script, key_file, daemon.paths.config_file)
    finally:
        shutil.rmtree(place)


def _look(daemon: Daemon, script: Path, *files: Path) -> None:
    encoded = base64.b64encode(KEY.encode()).decode()
    environment = {"ANTHROPIC_API_KEY": KEY, "SOMETHING_ELSE": f"prefix {KEY}", "HARMLESS": "yes"}
    done = daemon.raw(
        daemon.argv(
            "run", "--inspect", "--keyless", "anthropic", "--", sys.executable, str(script), encoded, *map(str, files)
        ),
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told == {"status": 200, "found": [], "variables": ["ANTHROPIC_API_KEY"]}
    (flow,) = [flow for flow in daemon.flows() if flow["type"] == "http"]
    assert flow["changes"]["credentials"] == "anthropic"


def test_a_provider_without_auth_is_no_keyless_one(start_daemon: StartDaemon) -> None:
    done = start_daemon().run("run", "--inspect", "--keyless", "openai", "--", "true")
    assert done.returncode == 2
    assert "providers.openai.auth" in done.stderr


def test_outside_of_a_jail_it_makes_no_sense(start_daemon: StartDaemon) -> None:
    done = start_daemon().run("run", "--keyless", "openai", "--", "true")
    assert done.returncode == 2
    assert "--inspect" in done.stderr
