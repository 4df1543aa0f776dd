"""What crosses the tunnel, and that everything does."""

from __future__ import annotations

import json

import pytest

from tests.jail.conftest import Jail

pytestmark = pytest.mark.jail

FETCH = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=20).read().decode())"


def test_http_by_name_goes_through_the_tunnel(jail: Jail) -> None:
    done = jail.python(FETCH, "http://somewhere.example/by-name")
    assert done.stdout == "hello from outside: /by-name\n", done.stderr
    assert {"kind": "dns", "name": "somewhere.example", "type": "A"} in jail.tunnels.seen("dns")
    assert "http://somewhere.example/by-name" in [flow["url"] for flow in jail.tunnels.seen("http")]


def test_only_lo_and_wg0_are_there(jail: Jail) -> None:
    links = json.loads(jail.output(["ip", "-json", "address"]))
    assert [link["ifname"] for link in links] == ["lo", "wg0"]
    addresses = {info["local"] for link in links for info in link["addr_info"]}
    assert addresses == {"127.0.0.1", "::1", "10.0.0.1"}
    assert jail.output(["ls", "/sys/class/net"]).split() == ["lo", "wg0"]
    assert json.loads(jail.output(["ip", "-json", "route"])) == [
        {"dst": "default", "dev": "wg0", "scope": "link", "flags": []}
    ]


def test_without_ipv6_on_the_host_connections_fail_at_once(jail: Jail) -> None:
    code = "import socket as s; x = s.socket(s.AF_INET6); print(x.connect_ex(('2001:db8::1', 80)))"
    assert jail.python(code).stdout.strip() in ("101", "99")  # ENETUNREACH, EADDRNOTAVAIL


def test_with_ipv6_on_the_host_it_goes_through_the_tunnel(jail: Jail) -> None:
    done = jail.python(FETCH, "http://[2001:db8::7]:8000/six", ipv6=True)
    assert done.stdout == "hello from outside: /six\n", done.stderr
    assert ("2001:db8::7", 8000) in [(seen["host"], seen["port"]) for seen in jail.tunnels.seen("connect")]


@pytest.mark.parametrize("size", [1, 1400, 4000, 20_000, 65_000])
def test_udp_datagrams_of_every_size_come_back(jail: Jail, size: int) -> None:
    code = """if True:
        import socket, sys
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(10)
        s.connect(("203.0.113.9", 7)); s.send(b"u" * int(sys.argv[1]))
        print(len(s.recv(1 << 16)))
    """
    done = jail.python(code, str(size))
    assert done.stdout.strip() == str(size), done.stderr


def test_a_megabyte_each_way_arrives_whole(jail: Jail) -> None:
    code = """if True:
        import urllib.request as u
        print(len(u.urlopen("http://203.0.113.9/bytes/3000000", timeout=30).read()))
        print(u.urlopen("http://203.0.113.9/", data=b"y" * 3000000, timeout=30).read().decode())
    """
    done = jail.python(code)
    assert done.stdout.split() == ["3000000", "3000000"], done.stderr


def test_search_lists_and_options_of_the_resolver_are_kept(jail: Jail) -> None:
    lines = jail.output(["cat", "/etc/resolv.conf"]).splitlines()
    assert [line for line in lines if line.startswith("nameserver")] == ["nameserver 10.0.0.53"]


@pytest.mark.parametrize("uplink", ["slirp4netns", "pasta"])
def test_both_uplinks_carry_the_tunnel(jail: Jail, uplink: str) -> None:
    done = jail.python(FETCH, f"http://203.0.113.9/{uplink}", uplink=uplink)
    assert done.stdout == f"hello from outside: /{uplink}\n", done.stderr


def test_proxies_that_the_user_had_set_are_no_way_past_the_tunnel(jail: Jail) -> None:
    env = {"HTTPS_PROXY": "http://127.0.0.1:7890", "http_proxy": "http://127.0.0.1:7890", "NO_PROXY": "localhost"}
    done = jail.python(FETCH, "http://direct.example/x", env=env)
    assert done.stdout == "hello from outside: /x\n", done.stderr
    assert done.stderr == "report: HTTPS_PROXY, http_proxy not set inside: the tunnel takes the place of a proxy\n"
