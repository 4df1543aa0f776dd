"""Asks the policy before anything leaves: names that are looked up, connections, requests.

What is denied gets a clear 403 where HTTP is spoken, is not looked up where it is a name, and is not connected to where
it is neither; and it is recorded like everything else. A jailed program connects to addresses: those that it was told
for a name count as that name's, no other does.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from mitmproxy import connection, dns, http, tcp, tls, udp
from mitmproxy.proxy import server_hooks

from ccinspect.addons.outgoing import FactFinder
from ccinspect.addons.own_endpoints import OWN
from ccinspect.addons.sources import Sources
from ccinspect.pipeline.message import Facts
from ccinspect.policy.egress import Egress, Verdict
from ccinspect.transform.answers import denied

POLICY = "ccinspect.policy"
"""Metadata: what the policy said of a flow that it denied, as a record."""

_MAX_ADDRESSES = 4096


class EgressGuard:
    """Addon: stands before all that could send something."""

    name = "ccinspect_egress"

    def __init__(self, sources: Sources, facts: FactFinder, general: Egress) -> None:
        self.sources = sources
        self.facts = facts
        self.general = general
        """The configuration's rules; runs have theirs in `sources`."""
        self._told: dict[str, OrderedDict[str, set[str]]] = {}
        """Run -> address -> names it was told for."""

    def _egress(self, run: str | None) -> Egress:
        return self.sources.run_egress.get(run or "", self.general)

    def dns_request(self, captured: dns.DNSFlow) -> None:
        run = self.sources.of(captured.client_conn).run
        egress, question = self._egress(run), captured.request.question
        if not egress.active or question is None:
            return
        verdict = egress.decide_name(question.name, self._facts_of_run(captured.client_conn, run))
        if not verdict.allowed:
            captured.metadata[POLICY] = verdict.as_record()
            captured.response = captured.request.fail(dns.response_codes.REFUSED)

    def dns_response(self, captured: dns.DNSFlow) -> None:
        run = self.sources.of(captured.client_conn).run
        question, response = captured.request.question, captured.response
        if run is None or question is None or response is None or not self._egress(run).active:
            return
        if run not in self._told:
            self._told = {known: kept for known, kept in self._told.items() if known in self.sources.run_records}
        told = self._told.setdefault(run, OrderedDict())
        for answer in response.answers:
            if answer.type in (dns.types.A, dns.types.AAAA):
                told.setdefault(str(answer), set()).add(question.name)
                told.move_to_end(str(answer))
        while len(told) > _MAX_ADDRESSES:
            told.popitem(last=False)

    def http_connect(self, captured: http.HTTPFlow) -> None:
        request = captured.request
        if credentials := request.headers.get("proxy-authorization"):
            self.sources.note_credentials(captured.client_conn, credentials)
        facts = self.facts.of(captured)
        egress = self._egress(facts.run)
        if egress.active and captured.response is None:
            verdict = egress.decide(request.host, request.port, facts=facts)
            self._answer(captured, verdict, facts)

    def requestheaders(self, captured: http.HTTPFlow) -> None:
        request = captured.request
        if credentials := request.headers.get("proxy-authorization"):
            self.sources.note_credentials(captured.client_conn, credentials)
        run = self.facts.run_of(captured)
        egress = self._egress(run)
        if not egress.active or captured.response is not None or captured.is_replay or OWN in captured.metadata:
            return
        facts = self.facts.of(captured)
        verdict = egress.decide(
            request.pretty_host, request.port, request.path, request.method, facts, also=_other_names(captured)
        )
        self._answer(captured, verdict, facts)

    def response(self, captured: http.HTTPFlow) -> None:
        """A server that switches to another protocol ends what can be seen; a WebSocket still is."""
        response = captured.response
        if response is None or response.status_code != 101 or OWN in captured.metadata:
            return
        if response.headers.get("upgrade", "").lower() == "websocket":
            return
        egress, facts, request = self._egress(self.facts.run_of(captured)), self.facts.of(captured), captured.request
        verdict = egress.decide(
            request.pretty_host, request.port, facts=facts, also=_other_names(captured), opaque=True
        )
        self._answer(captured, verdict, facts)
        if captured.response is not response and captured.response is not None:
            # Neither of the two connections is of use to anybody now.
            captured.response.headers["connection"] = "close"

    def server_connect(self, data: server_hooks.ServerConnectionHookData) -> None:
        run = self.facts.run_of_client(data.client)
        egress = self._egress(run)
        if not egress.active or not data.server.address:
            return
        host, port = data.server.address[:2]
        names = self._told.get(run or "", OrderedDict()).get(host, set())
        verdict = egress.decide_address(host, port, names, self._facts_of_run(data.client, run))
        if not verdict.allowed:
            data.server.error = f"denied by policy: {verdict.reason}"

    def tcp_start(self, captured: tcp.TCPFlow | udp.UDPFlow) -> None:
        run = self.facts.run_of_client(captured.client_conn)
        egress, sni = self._egress(run), captured.client_conn.sni
        if not egress.active or not sni:
            return
        port = (captured.server_conn.address or ("", 0))[1]
        verdict = egress.decide(sni, port, facts=self._facts_of_run(captured.client_conn, run), opaque=True)
        if not verdict.allowed:
            captured.metadata[POLICY] = verdict.as_record()
            captured.kill()

    udp_start = tcp_start

    def tls_clienthello(self, data: tls.ClientHelloData) -> None:
        run = self.facts.run_of_client(data.context.client)
        egress, sni = self._egress(run), data.client_hello.sni
        if not egress.active or not sni:
            return
        port = (data.context.server.address or ("", 443))[1]
        if not egress.decide(sni, port, facts=self._facts_of_run(data.context.client, run)).allowed:
            # It is answered by us: a host that is passed through would get what was meant for it.
            data.ignore_connection = False

    def _answer(self, captured: http.HTTPFlow, verdict: Verdict, facts: Facts) -> None:
        if verdict.allowed:
            return
        captured.metadata[POLICY] = verdict.as_record()
        answer = denied(facts.dialect, 403, f"ccinspect's policy denies this request: {verdict.reason}")
        captured.response = http.Response.make(answer.status, answer.body, http.Headers(answer.headers.fields))

    def _facts_of_run(self, client: connection.Client, run: str | None) -> Facts:
        record: dict[str, Any] = self.sources.run_records.get(run or "", {})
        return Facts(client.id, self.sources.of(client).kind, run, record.get("project"), run_name=record.get("name"))


def _other_names(captured: http.HTTPFlow) -> list[str]:
    """All the other places a request says it goes to."""
    request, client = captured.request, captured.client_conn
    names = [*request.headers.get_all("host")]
    if request.data.authority:
        names.append(request.authority)
    if client.sni and client.tls_established:
        names.append(f"{client.sni}:{request.port}")
    return names
