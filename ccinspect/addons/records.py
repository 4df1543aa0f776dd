"""mitmproxy's objects -> the flow record of docs/architecture.md. Headers stay bytes: the store decides their form."""

from __future__ import annotations

from typing import Any

from mitmproxy import dns, flow, http
from mitmproxy.connection import Client, Connection, Server

from ccinspect.auth.permission import TOKEN_HEADER

Record = dict[str, Any]

_TOKEN = TOKEN_HEADER.encode()

VIA = "ccinspect_via"
"""Attribute of a server connection: the upstream proxy it goes through, as a URL."""


def client_record(client: Client) -> Record:
    return _connection_record(client)


def server_record(server: Server) -> Record:
    return {
        **_connection_record(server),
        "address": server.address,
        "via": getattr(server, VIA, None),
        "timestamp_tcp_setup": server.timestamp_tcp_setup,
    }


def _connection_record(connection: Connection) -> Record:
    return {
        "id": connection.id,
        "peername": connection.peername,
        "sockname": connection.sockname,
        "sni": connection.sni,
        "alpn": connection.alpn.decode("ascii", "replace") if connection.alpn else None,
        "tls_version": connection.tls_version,
        "cipher": connection.cipher,
        "timestamp_start": connection.timestamp_start,
        "timestamp_tls_setup": connection.timestamp_tls_setup,
    }


def request_record(request: http.Request) -> Record:
    data = request.data
    return {
        "method": request.method,
        "scheme": request.scheme,
        "host": data.host,
        "port": data.port,
        "path": data.path,
        "authority": data.authority,
        "http_version": request.http_version,
        "headers": _without_token(data.headers.fields),
        "trailers": data.trailers.fields if data.trailers else None,
        "pretty_host": request.pretty_host,
        "timestamp_start": data.timestamp_start,
        "timestamp_end": data.timestamp_end,
    }


def end_of_request(request: Record) -> Record:
    """What is only known when the request has ended; the client's own was noted when it began."""
    return {name: request[name] for name in ("trailers", "timestamp_end")}


def _without_token(fields: tuple[tuple[bytes, bytes], ...]) -> tuple[tuple[bytes, bytes], ...]:
    # Between the client and us: not even masked is it anybody else's.
    if any(len(name) == len(_TOKEN) and name.lower() == _TOKEN for name, _ in fields):
        return tuple(field for field in fields if field[0].lower() != _TOKEN)
    return fields


def response_record(response: http.Response) -> Record:
    data = response.data
    return {
        "http_version": response.http_version,
        "status_code": data.status_code,
        "reason": response.reason,
        "headers": data.headers.fields,
        "trailers": data.trailers.fields if data.trailers else None,
        "timestamp_start": data.timestamp_start,
        "timestamp_end": data.timestamp_end,
    }


def dns_request_record(message: dns.DNSMessage) -> Record:
    question = message.questions[0] if message.questions else None
    return {
        "question": question
        and {
            "name": question.name,
            "type": dns.types.to_str(question.type),
            "class": dns.classes.to_str(question.class_),
        },
        "id": message.id,
        "op_code": dns.op_codes.to_str(message.op_code),
        "timestamp_start": message.timestamp,
    }


def dns_response_record(message: dns.DNSMessage) -> Record:
    return {
        "response_code": dns.response_codes.to_str(message.response_code),
        "answers": [
            {"name": answer.name, "type": dns.types.to_str(answer.type), "ttl": answer.ttl, "data": str(answer)}
            for answer in message.answers
        ],
        "timestamp_start": message.timestamp,
    }


def error_record(error: flow.Error | None) -> Record | None:
    # mitmproxy quotes what it could not parse; a header of 64 KB must not become an error message of 64 KB.
    return {"msg": error.msg[:1000], "timestamp": error.timestamp} if error else None
