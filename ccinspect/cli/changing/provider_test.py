"""`providers test`: what each expression, or a dialect's decoder, finds in a captured flow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any

from ccinspect.cli import text
from ccinspect.cli.instance import Instance
from ccinspect.cli.output import BOLD, CYAN, DIM, GREEN, RED, YELLOW, paint, write, write_json
from ccinspect.cli.reading import open_store
from ccinspect.errors import ConfigError
from ccinspect.identity.declarative import Declarations, Declared, Event, Finding
from ccinspect.identity.providers import ProviderMatch, Providers
from ccinspect.store.decode import decode_body
from ccinspect.store.query import StoreReader
from ccinspect.store.record import header
from ccinspect.wire.jsontext import dump_text
from ccinspect.wire.model import Request, Response
from ccinspect.wire.ndjson import LineDecoder
from ccinspect.wire.registry import DIALECTS
from ccinspect.wire.sse import SseDecoder

_PEEK = 64 << 10
"""Bytes of a body looked at to guess the dialect of a host in no table."""
_SHOWN = 3
"""Results of one expression."""


@dataclass(frozen=True)
class Tried:
    """What was found. `reader` is `expressions`, the name of a dialect, or empty when nothing reads such a flow."""

    provider: str | None
    reader: str
    findings: list[Finding]
    remark: str = ""

    @property
    def ok(self) -> bool:
        return bool(self.reader) and not any(finding.problem for finding in self.findings)


@dataclass(frozen=True)
class _Exchange:
    """A flow's bodies without their content encodings."""

    record: dict[str, Any]
    request: bytes
    response: bytes

    @property
    def content_type(self) -> str:
        return header(self.record.get("response"), "content-type")

    @property
    def path(self) -> str:
        return str((self.record.get("request") or {}).get("path") or "")


def show(instance: Instance, flow: str, provider: str | None, as_json: bool) -> int:
    """Print what is found; returns the exit status. Raises ConfigError, FlowNotFound, AmbiguousFlowId."""
    settings = instance.config().identities
    with open_store(instance) as store, Declarations(settings) as declarations:
        exchange = _read(store, flow)
        if provider is not None and declarations.get(provider) is None:
            raise ConfigError(
                f"the settings declare no provider {provider!r} with expressions", "see: ccinspect providers list"
            )
        match = None if provider else _match(Providers(settings), exchange)
        reader = declarations.get(provider or (match.provider if match and match.declared else ""))
        tried = _by_expressions(reader, exchange) if reader else _without_expressions(match, exchange)
    if as_json:
        write_json(asdict(tried) | {"flow": exchange.record["id"], "ok": tried.ok})
    else:
        for line in _lines(exchange.record, tried):
            write(line)
    return 0 if tried.ok else 1


def _read(store: StoreReader, flow: str) -> _Exchange:
    record = store.get(flow)

    def body(role: str) -> bytes:
        chunks = store.stream_body(record["id"], role)
        encoding = header(record.get(role), "content-encoding")
        return decode_body(chunks, encoding).data if chunks is not None else b""

    return _Exchange(record, body("request"), body("response"))


def _match(providers: Providers, exchange: _Exchange) -> ProviderMatch | None:
    request = exchange.record.get("request") or {}
    headers = [(str(name).encode(), str(value).encode("utf-8", "replace")) for name, value in request["headers"] or []]
    return providers.identify(
        str(request.get("pretty_host") or request.get("host") or ""),
        exchange.path,
        port=request.get("port"),
        method=str(request.get("method") or ""),
        headers=headers,
        body=exchange.request[:_PEEK],
    )


def _by_expressions(reader: Declared, exchange: _Exchange) -> Tried:
    asked, answered = exchange.request.decode("utf-8", "replace"), exchange.response.decode("utf-8", "replace")
    events = _events(reader, exchange) if _streams(reader, exchange) else None
    findings = reader.explain(asked or None, answered or None if events is None else None, events)
    missing = [name for name, body in (("request", asked), ("response", answered)) if not body]
    remark = f"no body was kept of the {' and the '.join(missing)}" if missing else ""
    return Tried(reader.name, "expressions", findings, remark)


def _streams(reader: Declared, exchange: _Exchange) -> bool:
    kind = exchange.content_type.lower()
    has_events = bool(reader.settings.stream.events or reader.settings.stream.final.fields())
    return has_events and ("event-stream" in kind or "ndjson" in kind or not reader.settings.response.fields())


def _events(reader: Declared, exchange: _Exchange) -> list[Event]:
    if reader.stream_format(exchange.content_type) == "sse":
        sse = SseDecoder()
        found = sse.feed(exchange.response)
        last = sse.close()
        return [(event.name, event.data) for event in (*found, *([last] if last else []))]
    lines = LineDecoder()
    found_lines = lines.feed(exchange.response)
    rest = lines.close()
    return [("", line) for line in (*found_lines, *([rest] if rest else []))]


def _without_expressions(match: ProviderMatch | None, exchange: _Exchange) -> Tried:
    if match is None:
        return Tried(None, "", [], "no provider has this host, and it does not look like a model call")
    if match.dialect is None:
        why = "nobody can read its calls" if match.opaque else "this is no model call: its path is not that of one"
        return Tried(match.provider, "", [], why)
    codec = DIALECTS[match.dialect]
    request = codec.decode_request(exchange.request, exchange.path)
    findings = list(_of_request(request))
    if exchange.response:
        status = (exchange.record.get("response") or {}).get("status_code") or 0
        # What is no stream, a stream's decoder tells by finding nothing in it.
        response = codec.decode_response(exchange.response, status)
        if response.diagnostics and status < 400:
            stream = codec.open_stream(exchange.content_type)
            stream.feed(exchange.response)
            response = stream.close()
        findings += _of_response(response)
    return Tried(match.provider, match.dialect, findings, "" if exchange.request else "no body was kept of the request")


def _of_request(request: Request) -> Iterator[Finding]:
    yield _said("request.model", request.model)
    yield _said("request.kind", request.kind)
    yield _said("request.stream", request.stream)
    yield _counted("request.system", len(request.system), [block.raw for block in request.system[:1]])
    yield _counted("request.messages", len(request.messages), [message.role for message in request.messages[:10]])
    yield _counted("request.tools", len(request.tools), [tool.name for tool in request.tools[:10]])
    yield from _problems("request", request)


def _of_response(response: Response) -> Iterator[Finding]:
    yield _said("response.model", response.model)
    yield _counted("response.blocks", len(response.blocks), [type(block).__name__ for block in response.blocks[:10]])
    yield _said("response.stop_reason", response.stop_reason)
    yield _said("response.outcome", response.outcome)
    for field in fields(response.usage) if response.usage else ():
        if field.name != "raw" and getattr(response.usage, field.name) is not None:
            yield _said(f"response.usage.{field.name}", getattr(response.usage, field.name))
    yield from _problems("response", response)


def _said(key: str, value: object) -> Finding:
    return _counted(key, int(value is not None), [] if value is None else [value])


def _counted(key: str, number: int, examples: list[Any]) -> Finding:
    return Finding(key, "", tuple(text.shorten(dump_text(example), 300) for example in examples), number)


def _problems(side: str, said: Request | Response) -> Iterator[Finding]:
    for diagnostic in said.diagnostics[:20]:
        if diagnostic.severity == "error":
            yield Finding(side, "", (), 0, diagnostic.message)


def _lines(record: dict[str, Any], tried: Tried) -> Iterator[str]:
    request = record.get("request") or {}
    host = text.clean(f"{request.get('pretty_host')}{request.get('path')}")
    yield paint(f"flow {text.clean(str(record['id']))}  {host}", BOLD)
    how = {"": "not read", "expressions": "read by expressions"}.get(
        tried.reader, f"read in the dialect {tried.reader}"
    )
    yield f"provider {tried.provider or 'unknown'}, {how}"
    if tried.remark:
        yield paint(text.clean(tried.remark), YELLOW)
    for finding in tried.findings:
        sign, colour = ("!", RED) if finding.problem else ("+", GREEN) if finding.count else ("-", DIM)
        number = f" ({text.count(finding.count, 'result')})" if finding.count > 1 else ""
        yield f"{paint(sign, colour)} {paint(text.clean(finding.key), CYAN)}{number}"
        if finding.expression:
            yield paint(f"    {text.clean(finding.expression)}", DIM)
        if finding.problem:
            yield f"    {paint(text.clean(finding.problem), RED)}"
        elif not finding.count:
            yield paint("    finds nothing", DIM)
        for found in finding.found[:_SHOWN]:
            yield f"    {text.clean(found)}"
        if len(finding.found) > _SHOWN:
            yield paint("    ...", DIM)
