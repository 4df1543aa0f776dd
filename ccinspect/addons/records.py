"""mitmproxy's objects -> the flow record of docs/architecture.md. Headers stay bytes: the store decides their form."""

from __future__ import annotations

from typing import Any

from mitmproxy import dns, flow, http
from mitmproxy.connection import Client, Server

Record = dict[str, Any]


def client_record(client: Client) -> Record:
    return {
        "id": client.id,
        "peername": client.peername,
        "sockname": client.sockname,
        "sni": client.sni,
        "alpn": client.alpn.decode("ascii", "replace") if client.alpn else None,
        "tls_version": client.tls_version,
        "cipher": client.cipher,
        "timestamp_start": client.timestamp_start,
        "timestamp_tls_setup": client.timestamp_tls_setup,
    }


def server_record(server: Server) -> Record:
    return {
        "id": server.id,
        "address": server.address,
        "peername": server.peername,
        "sockname": server.sockname,
        "sni": server.sni,
        "alpn": server.alpn.decode("ascii", "replace") if server.alpn else None,
        "tls_version": server.tls_version,
        "cipher": server.cipher,
        "timestamp_start": server.timestamp_start,
        "timestamp_tcp_setup": server.timestamp_tcp_setup,
        "timestamp_tls_setup": server.timestamp_tls_setup,
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
        "headers": data.headers.fields,
        "trailers": data.trailers.fields if data.trailers else None,
        "pretty_host": request.pretty_host,
        "timestamp_start": data.timestamp_start,
        "timestamp_end": data.timestamp_end,
    }


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
