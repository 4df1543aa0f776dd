"""The connect_to map, its DNS answers, and the guard of the host's own addresses."""

from __future__ import annotations

import ipaddress
import socket

import pytest
from mitmproxy import connection, dns
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.proxy.server_hooks import ServerConnectionHookData
from mitmproxy.test import tflow

from ccinspect.addons.borrowed_addresses import BorrowedAddresses
from ccinspect.addons.connect_to import ConnectTo, is_own_address, lead, parse_connect_to
from ccinspect.addons.sources import Listener, Sources

SOURCES = Sources({("wireguard", 5000): Listener("wireguard", "run"), ("regular", 4080): Listener("proxy")})


def addon(entries: dict[str, str]) -> ConnectTo:
    return ConnectTo(SOURCES, parse_connect_to(entries), BorrowedAddresses())


def client(mode: str) -> connection.Client:
    found = tflow.tclient_conn()
    found.proxy_mode = ProxyMode.parse(mode)
    return found


TUNNEL, PROXY = "wireguard:key@127.0.0.1:5000", "regular@127.0.0.1:4080"


def connect(where: tuple[str, int], entries: dict[str, str], mode: str = PROXY) -> connection.Server:
    server = connection.Server(address=where)
    addon(entries).server_connect(ServerConnectionHookData(server=server, client=client(mode)))
    return server


@pytest.mark.parametrize(
    ("entries", "where", "goes"),
    [
        ({"a.com:443": "127.0.0.1:8443"}, ("a.com", 443), ("127.0.0.1", 8443)),
        ({"a.com:443": "127.0.0.1:8443"}, ("A.com.", 443), ("127.0.0.1", 8443)),
        ({"a.com:443": "127.0.0.1:8443"}, ("a.com", 80), ("a.com", 80)),
        ({"a.com": "b.com"}, ("a.com", 80), ("b.com", 80)),
        ({"a.com:443": ":444"}, ("a.com", 443), ("a.com", 444)),
        ({":443": "127.0.0.1:1"}, ("other", 443), ("127.0.0.1", 1)),
        ({"[::1]:443": "[::2]:444"}, ("::1", 443), ("::2", 444)),
    ],
)
def test_connections_go_where_the_map_says(
    entries: dict[str, str], where: tuple[str, int], goes: tuple[str, int]
) -> None:
    assert connect(where, entries).address == goes


def test_a_connection_that_is_open_goes_by_the_name_asked_for() -> None:
    mapping = addon({"a.com:443": "127.0.0.1:8443"})
    server = connection.Server(address=(mapping.borrowed.lend("a.com"), 443))
    data = ServerConnectionHookData(server=server, client=client(TUNNEL))
    mapping.server_connect(data)
    assert server.address == ("127.0.0.1", 8443)
    server.state = connection.ConnectionState.OPEN
    mapping.server_connected(data)
    assert server.address == ("a.com", 443)
    assert mapping.asked_for == {}


@pytest.mark.parametrize("entry", [{"a.com:http": "b"}, {"a.com:70000": "b"}])
def test_an_entry_that_cannot_be_read_is_named(entry: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"a\.com"):
        parse_connect_to(entry)


def query(name: str, kind: int, entries: dict[str, str], mode: str) -> dns.DNSFlow:
    flow = tflow.tdnsflow()
    flow.client_conn.proxy_mode = ProxyMode.parse(mode)
    flow.request.questions = [dns.Question(name, kind, dns.classes.IN)]
    addon(entries).dns_request(flow)
    return flow


def test_a_mapped_name_resolves_in_a_jail_to_an_address_that_leads_back() -> None:
    entries = {"a.com:443": "127.0.0.1:8443", "b.com:443": "127.0.0.1:9443"}
    flow = query("B.com", dns.types.A, entries, TUNNEL)
    assert flow.response is not None
    address = str(ipaddress.ip_address(flow.response.answers[0].data))
    assert address.startswith("198.18.")
    assert connect((address, 443), entries, TUNNEL).address == ("127.0.0.1", 9443)
    # A port that is not in the map is reached under the name.
    assert connect((address, 80), entries, TUNNEL).address == ("b.com", 80)


def test_a_mapped_name_has_no_other_records() -> None:
    flow = query("a.com", dns.types.AAAA, {"a.com:443": "127.0.0.1:8443"}, TUNNEL)
    assert flow.response is not None
    assert flow.response.answers == []


def test_other_names_and_other_listeners_are_left_to_the_resolver() -> None:
    assert query("c.com", dns.types.A, {"a.com:443": "x"}, TUNNEL).response is None
    assert query("a.com", dns.types.A, {"a.com:443": "x"}, PROXY).response is None


OWN = ["127.0.0.1", "127.9.9.9", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1", "224.0.0.1", "ff02::1"]


@pytest.mark.parametrize("address", OWN)
def test_own_addresses_are_recognised(address: str) -> None:
    assert is_own_address(address)


def test_the_address_of_an_interface_is_our_own() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # No packet is sent: connecting a UDP socket only chooses the interface.
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.fail("this machine has no route at all; give its loopback an address to run this test")
        assert is_own_address(probe.getsockname()[0])


@pytest.mark.parametrize("address", ["198.51.100.7", "8.8.8.8", "2001:db8::1", "10.0.2.2", "a.com"])
def test_foreign_addresses_are_not(address: str) -> None:
    assert not is_own_address(address)


@pytest.mark.parametrize("address", [*OWN, "localhost", "LOCALHOST.", "x.localhost"])
def test_a_jail_is_refused_the_hosts_own_addresses(address: str) -> None:
    assert connect((address, 22), {}, TUNNEL).error
    assert not connect((address, 22), {}, PROXY).error


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "localhost"])
def test_a_jails_requests_go_where_a_rule_leads_them(address: str) -> None:
    led, other = client(TUNNEL), client(TUNNEL)
    lead(led, address, 11434)

    def refused(who: connection.Client, port: int) -> bool:
        server = connection.Server(address=(address, port))
        addon({}).server_connect(ServerConnectionHookData(server=server, client=who))
        return server.error is not None

    assert (refused(led, 11434), refused(led, 22), refused(other, 11434)) == (False, True, True)
