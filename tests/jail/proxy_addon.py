"""Runs inside the test's mitmdump: sends connections to servers of the test, answers names, notes what it saw."""

from __future__ import annotations

import json
import os
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from mitmproxy import dns, http, tcp, tls, udp
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

LOG = Path(os.environ["JAIL_TEST_LOG"])
UPSTREAMS = {int(port): int(to) for port, to in json.loads(os.environ["JAIL_TEST_UPSTREAMS"]).items()}
IPV4, IPV6 = IPv4Address("203.0.113.10"), IPv6Address("2001:db8::10")


def note(**what: object) -> None:
    with LOG.open("a") as log:
        log.write(json.dumps(what) + "\n")


def server_connect(data: ServerConnectionHookData) -> None:
    """Nothing of a test leaves the machine: what has no server here goes nowhere."""
    address = data.server.address
    assert address
    note(kind="connect", transport=data.server.transport_protocol, host=address[0], port=address[1])
    if address[1] in UPSTREAMS:
        data.server.address = ("127.0.0.1", UPSTREAMS[address[1]])
    else:
        data.server.error = "no such upstream in this test"


def request(flow: http.HTTPFlow) -> None:
    listener = flow.client_conn.sockname[1]
    note(kind="http", url=flow.request.pretty_url, client=flow.client_conn.peername[0], listener=listener)


def dns_request(flow: dns.DNSFlow) -> None:
    question = flow.request.question
    assert question
    note(kind="dns", name=question.name, type=dns.types.to_str(question.type))
    if question.type == dns.types.A:
        flow.response = flow.request.succeed([dns.ResourceRecord.A(question.name, IPV4)])
    elif question.type == dns.types.AAAA:
        flow.response = flow.request.succeed([dns.ResourceRecord.AAAA(question.name, IPV6)])
    else:
        flow.response = flow.request.fail(dns.response_codes.NXDOMAIN)


def tcp_start(flow: tcp.TCPFlow) -> None:
    note(kind="tcp", port=flow.server_conn.address[1] if flow.server_conn.address else None)


def udp_start(flow: udp.UDPFlow) -> None:
    note(kind="udp", port=flow.server_conn.address[1] if flow.server_conn.address else None)


def tls_failed_client(data: tls.TlsData) -> None:
    note(kind="tls-refused", sni=data.conn.sni)
