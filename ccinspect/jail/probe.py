"""The live probe: runs inside a jail, tries everything, and writes what it found as JSON.

    python -m ccinspect.jail.probe REQUEST        REQUEST is JSON: see `ProbeRequest`

It is started by `live.py` through the same code that runs every jailed command.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ccinspect.jail import escapes
from ccinspect.jail.doctor import Check

_TIMEOUT = 30
_BUILD_TIMEOUT = 90
LOOPBACK_GREETING = b"ccinspect probe\n"

_PYTHON = """
import sys, urllib.error, urllib.request
try: urllib.request.urlopen(sys.argv[1], timeout=20)
except urllib.error.HTTPError: pass
"""
_REQUESTS = "import sys, requests; requests.get(sys.argv[1], timeout=20)"
_HTTPX = "import sys, httpx; httpx.get(sys.argv[1], timeout=20)"
_FETCH = "fetch(process.argv.at(-1)).then(() => 0, e => { console.error(e.cause ?? e); process.exit(1) })"
_DENO = "await fetch(Deno.args[0])"
_GO = """package main

import ("fmt"; "net/http"; "os")

func main() {
    if _, err := http.Get(os.Args[1]); err != nil { fmt.Fprintln(os.Stderr, err); os.Exit(1) }
}
"""
_JAVA = """
public class Probe {
    public static void main(String[] arguments) throws Exception {
        ((java.net.HttpURLConnection) new java.net.URI(arguments[0]).toURL().openConnection()).getResponseCode();
    }
}
"""


# What OpenSSL, GnuTLS and curl's other libraries say of an authority that they do not know.
_REFUSALS = ("certificate problem", "certificate verif", "peer certificate", "ssl connect error", "unknown issuer")


@dataclass(frozen=True)
class ProbeRequest:
    """What the probe shall try."""

    url: str
    """An https URL. Any answer will do, an error page too: what is tried is the handshake."""
    partner_port: int | None
    """Port of the partner on the host's loopback; None when the settings bridge no host ports."""
    report_fd: int
    """Where to write the findings."""


def inside_probe(request: ProbeRequest) -> list[Check]:
    """Try everything. Call inside a jail."""
    found = [_dns(request.url), _tcp(request.url)]
    with tempfile.TemporaryDirectory() as directory:
        found += [_runtime(name, request.url, Path(directory)) for name in _RUNTIMES]
    return [*found, _ipv6(), *_loopback(request.partner_port), *escapes.attempts()]


def _dns(url: str) -> Check:
    host = urlsplit(url).hostname or ""
    try:
        addresses = {info[4][0] for info in socket.getaddrinfo(host, 443, type=socket.SOCK_STREAM)}
    except OSError as error:
        fix = "see `ccinspect logs`: the daemon answers names for the jail"
        return Check("dns", "fail", f"{host} has no address inside: {error}", fix)
    return Check("dns", "ok", f"{host} is {', '.join(sorted(map(str, addresses))[:2])}")


def _tcp(url: str) -> Check:
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 443), timeout=_TIMEOUT).close()
    except OSError as error:
        return Check("tcp", "fail", f"cannot connect through the tunnel: {error}", "see `ccinspect logs`")
    return Check("tcp", "ok", "connections go through the tunnel")


def _ipv6() -> Check:
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as attempt:
        attempt.settimeout(_TIMEOUT)
        try:
            # An address from the documentation range: the daemon takes the connection before it looks for its target.
            attempt.connect(("2001:db8::1", 443))
        except OSError as error:
            if not _has_ipv6_route():
                return Check("ipv6", "absent", "the host has no IPv6 route, so the jail has none")
            return Check("ipv6", "fail", f"cannot connect through the tunnel: {error}", "see `ccinspect logs`")
    return Check("ipv6", "ok", "connections go through the tunnel")


def _has_ipv6_route() -> bool:
    with contextlib.suppress(OSError):
        lines = Path("/proc/net/ipv6_route").read_text().splitlines()
        return any(line.startswith("0" * 32 + " 00") and line.split()[-1] != "lo" for line in lines)
    return False


def _loopback(partner_port: int | None) -> Iterator[Check]:
    """The partner on the host greets whoever connects, reads a port, connects back to that port and greets there."""
    if partner_port is None:
        yield Check("loopback, host to jail", "absent", "`jail.host_ports` bridges no port that could be tried")
        return
    with socket.create_server(("127.0.0.1", 0)) as listening:
        try:
            with socket.create_connection(("127.0.0.1", partner_port), timeout=5) as partner:
                greeted = partner.recv(len(LOOPBACK_GREETING)) == LOOPBACK_GREETING
                partner.sendall(b"%d\n" % listening.getsockname()[1])
        except OSError as error:
            yield Check("loopback, jail to host", "fail", f"port {partner_port} of the host: {error}")
            return
        yield Check("loopback, jail to host", "ok" if greeted else "fail", "the host's ports appear inside")
        listening.settimeout(5)
        try:
            connection, _address = listening.accept()
            with connection:
                greeted = connection.recv(len(LOOPBACK_GREETING)) == LOOPBACK_GREETING
        except OSError as error:
            yield Check("loopback, host to jail", "fail", f"nobody came to a port opened inside: {error}")
            return
        yield Check("loopback, host to jail", "ok" if greeted else "fail", "ports opened inside appear on the host")


def _command(name: str, url: str, directory: Path) -> list[str]:
    """What to run to make `name` fetch `url`; sources go to `directory`."""
    commands: dict[str, list[str]] = {
        "curl": ["curl", "-sS", "-o", os.devnull, url],
        "wget": ["wget", "-q", "-O", os.devnull, "--tries=1", url],
        "git": ["git", "ls-remote", f"{url.rstrip('/')}/probe.git"],
        "python3": ["python3", "-c", _PYTHON, url],
        "requests": ["python3", "-c", _REQUESTS, url],
        "httpx": ["python3", "-c", _HTTPX, url],
        "node": ["node", "-e", _FETCH, url],
        "deno": ["deno", "eval", _DENO, url],
        "bun": ["bun", "-e", _FETCH, url],
        "go": ["go", "run", str(directory / "probe.go"), url],
        "cargo": ["cargo", "search", "--registry", "probe", "anything"],
        "java": ["java", str(directory / "Probe.java"), url],
    }
    (directory / "probe.go").write_text(_GO)
    (directory / "Probe.java").write_text(_JAVA)
    return commands[name]


def _runtime(name: str, url: str, directory: Path) -> Check:
    """One handshake by one runtime."""
    title = f"tls by {name}"
    argv = _command(name, url, directory)
    if not shutil.which(argv[0]):
        return Check(title, "absent", "not on PATH")
    if name in ("requests", "httpx"):
        there = subprocess.run([argv[0], "-c", f"import {name}"], capture_output=True, timeout=_TIMEOUT)
        if there.returncode:
            return Check(title, "absent", "the python3 on PATH does not have it")
    # Without variables of the user's own that would send it elsewhere.
    environ = os.environ | {"GIT_TERMINAL_PROMPT": "0", "CARGO_REGISTRIES_PROBE_INDEX": f"sparse+{url.rstrip('/')}/"}
    try:
        timeout = _BUILD_TIMEOUT if name in ("go", "java", "cargo") else _TIMEOUT
        done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, env=environ, cwd=directory)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check(title, "warn", f"could not be tried: {error}")
    return _RUNTIMES[name](title, done)


def _by_status(title: str, done: subprocess.CompletedProcess[str]) -> Check:
    if done.returncode == 0:
        return _trusted(title)
    return _untrusted(title, done)


def _by_wget(title: str, done: subprocess.CompletedProcess[str]) -> Check:
    # 6: the server wants a password; 8: it answered with an error. So there was a handshake.
    return _trusted(title) if done.returncode in (0, 6, 8) else _untrusted(title, done)


def _by_words(title: str, done: subprocess.CompletedProcess[str]) -> Check:
    """For programs that end in failure anyhow, because there is nothing of theirs at the URL."""
    refused = any(words in done.stderr.lower() for words in _REFUSALS)
    return _untrusted(title, done) if refused else _trusted(title)


def _trusted(title: str) -> Check:
    return Check(title, "ok", "trusts the daemon's authority")


def _untrusted(title: str, done: subprocess.CompletedProcess[str]) -> Check:
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    detail = lines[-1][:200] if lines else f"ended with {done.returncode}"
    return Check(title, "fail", detail, "its traffic cannot be read; add its host to `inspector.passthrough_hosts`")


_RUNTIMES: dict[str, Callable[[str, subprocess.CompletedProcess[str]], Check]] = {
    "curl": _by_status,
    "wget": _by_wget,
    "git": _by_words,
    "python3": _by_status,
    "requests": _by_status,
    "httpx": _by_status,
    "node": _by_status,
    "deno": _by_status,
    "bun": _by_status,
    "go": _by_status,
    "cargo": _by_words,
    "java": _by_status,
}


def main() -> None:
    """Entry point inside the jail."""
    request = ProbeRequest(**json.loads(sys.argv[1]))
    with os.fdopen(request.report_fd, "w") as report:
        json.dump([asdict(check) for check in inside_probe(request)], report)


if __name__ == "__main__":
    main()
