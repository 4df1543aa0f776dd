"""What one model call, or one other HTTP request, is as a span: its name, attributes, events and error.

Pure: from the stored record and what the analyser found. Where the span hangs is decided in `trees.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ccinspect.analyser.analyse import Analysis
from ccinspect.analysis.observer import SeenCall, SeenFlow
from ccinspect.analysis.parties import address_of, header
from ccinspect.identity.agents import Agent
from ccinspect.store.record import Record, part
from ccinspect.telemetry import names
from ccinspect.telemetry.content import content_of
from ccinspect.telemetry.spans import Attributes, Event
from ccinspect.wire.model import Outcome, Request, Response

_METHODS = {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"}
_MOST_TEXT = 1000

Loose = dict[str, Any]
"""Attributes of which some may be None: not known."""


@dataclass(frozen=True, slots=True)
class Told:
    """A span without its place in a tree. Times are seconds since the epoch."""

    name: str
    started_at: float
    ended_at: float
    attributes: Attributes
    events: tuple[Event, ...] = ()
    error: str | None = None


def tell_call(seen: SeenCall, capture: str = "none") -> Told:
    """The span of a model call; `capture` is the setting `capture_content`."""
    spoken, record, analysis = seen.spoken, seen.flow.record, seen.analysis
    request, response = spoken.request, spoken.response
    operation = names.operation_name(request.kind, spoken.dialect)
    error = call_error(seen)
    found: Loose = {
        names.OPERATION: operation,
        names.PROVIDER: names.provider_name(seen.flow.sender.provider),
        names.OUR_PROVIDER: seen.flow.sender.provider,
        names.DIALECT: spoken.dialect or None,
        names.ERROR_TYPE: error,
        names.NOTE: spoken.note,
        **_asked(request),
        **_answered(seen, response, error),
        **_analysed(analysis, seen.ident),
        **usage_of(analysis),
        **_openai(seen),
        **whose_attributes(seen.flow),
        **_http(record, seen.flow),
    }
    if spoken.readable:
        found |= content_of(request, response, capture)
    ended_at = spoken.ended_at or part(record, "timing").get("ended_at") or spoken.started_at
    name = f"{operation} {request.model}" if request.model else operation
    return Told(
        name, spoken.started_at, max(spoken.started_at, float(ended_at)), clean(found), _events(record), error
    )  # fmt: skip


def tell_flow(seen: SeenFlow) -> Told:
    """The span of an HTTP request that is no model call."""
    record = seen.record
    timing, status = part(record, "timing"), part(record, "response").get("status_code")
    problem = part(record, "error").get("msg")
    failed = isinstance(status, int) and status >= 400
    error = str(status) if failed else names.OTHER_ERROR if problem or record.get("state") != "complete" else None
    found = (
        _http(record, seen)
        | whose_attributes(seen)
        | {names.ERROR_TYPE: error, names.NOTE: problem or record.get("hint")}
    )
    started_at = float(timing.get("started_at") or 0.0)
    ended_at = max(started_at, float(timing.get("ended_at") or started_at))
    return Told(str(found[names.HTTP_METHOD]), started_at, ended_at, clean(found), _events(record), error)


def call_error(seen: SeenCall) -> str | None:
    """The conventions' `error.type`: the provider's own word, the HTTP status, or how the answer broke off."""
    spoken, status = seen.spoken, seen.flow.sender.status
    if spoken.response is not None and spoken.response.error is not None:
        told = spoken.response.error
        return told.type or told.code or told.kind.value
    if status is not None and status >= 400:
        return str(status)
    if spoken.response is None and part(seen.flow.record, "error").get("msg"):
        return names.OTHER_ERROR
    return None if spoken.outcome in (None, Outcome.COMPLETE) else str(spoken.outcome)


def usage_of(analysis: Analysis | None) -> dict[str, int]:
    """Tokens as the provider counted them, by the conventions' names: input includes what was cached. Empty when the
    provider told none: an estimate is not put where people look for the provider's word."""
    told = analysis.usage if analysis is not None else {}
    if not told:
        return {}
    writes = sum(told.get(name) or 0 for name in ("cache_write_5m", "cache_write_1h", "cache_write_other"))
    found = {
        names.INPUT_TOKENS: (told.get("input") or 0) + (told.get("cache_read") or 0) + writes,
        names.OUTPUT_TOKENS: told.get("output"),
        names.CACHE_READ_TOKENS: told.get("cache_read"),
        names.CACHE_WRITE_TOKENS: writes if any(name.startswith("cache_write") for name in told) else None,
        names.REASONING_TOKENS: told.get("reasoning"),
        names.CACHE_WRITE_5M: told.get("cache_write_5m"),
        names.CACHE_WRITE_1H: told.get("cache_write_1h"),
    }
    # Protobuf's integers have 64 bits; a provider may tell any number.
    return {name: max(0, min(2**53, value)) for name, value in found.items() if value is not None}


def _agent(agent: Agent | None) -> Loose:
    return {names.AGENT_NAME: agent.name, names.AGENT_VERSION: agent.version} if agent else {}


def run_attributes(run: Record | None, ident: str | None) -> Loose:
    """What every span of a run says of it."""
    run = run or {}
    return {names.RUN: ident, names.RUN_NAME: run.get("name"), names.PROJECT: run.get("project")}


def clean(found: Loose) -> Attributes:
    """Without what is not known, and in types and texts that OTLP can carry."""
    return {name: _value(value) for name, value in found.items() if value is not None and value != ()}


def dollars(amount: Decimal | None) -> float | None:
    return None if amount is None else float(amount)


def _value(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, tuple):
        return tuple(_value(one) for one in value)
    if isinstance(value, int) and not isinstance(value, bool):
        return max(-(2**63), min(2**63 - 1, value))
    return value


def _asked(request: Request) -> Loose:
    sampling, reasoning = request.sampling, request.reasoning
    return {
        names.REQUEST_MODEL: request.model,
        names.STREAM: True if request.stream else None,
        names.OUTPUT_TYPE: "json" if request.output else None,
        names.MAX_TOKENS: sampling.max_tokens,
        names.TEMPERATURE: _double(sampling.temperature),
        names.TOP_P: _double(sampling.top_p),
        names.TOP_K: sampling.top_k,
        names.SEED: sampling.seed,
        names.PRESENCE_PENALTY: _double(sampling.presence_penalty),
        names.FREQUENCY_PENALTY: _double(sampling.frequency_penalty),
        names.CHOICES: sampling.candidates if sampling.candidates != 1 else None,
        names.STOP_SEQUENCES: tuple(sampling.stop),
        names.REASONING_LEVEL: reasoning.effort if reasoning else None,
        names.PREVIOUS_RESPONSE: request.previous_response_id,
    }


def _answered(seen: SeenCall, response: Response | None, error: str | None) -> Loose:
    spoken = seen.spoken
    first = spoken.first_byte_at - spoken.started_at if spoken.first_byte_at is not None else None
    found: Loose = {names.FIRST_CHUNK: max(0.0, first) if first is not None and spoken.request.stream else None}
    reason = None
    if response is not None:
        found |= {names.RESPONSE_ID: response.id, names.RESPONSE_MODEL: response.model}
        reason = response.stop_detail or (response.stop_reason.value if response.stop_reason else None)
    if reason is None and error is not None and spoken.request.kind == "generate":
        # One that was expected and did not come.
        reason = "error"
    return found | {names.FINISH_REASONS: (reason,) if reason else None}


def _openai(seen: SeenCall) -> Loose:
    """What only calls to OpenAI say."""
    if names.provider_name(seen.flow.sender.provider) != "openai":
        return {}
    request, response = seen.spoken.request, seen.spoken.response
    fingerprint = response.extra.get("system_fingerprint") if response is not None else None
    return {
        names.OPENAI_API: names.openai_api(seen.spoken.dialect),
        names.OPENAI_REQUEST_TIER: request.service_tier if request.service_tier != "auto" else None,
        names.OPENAI_RESPONSE_TIER: response.service_tier if response is not None else None,
        names.OPENAI_FINGERPRINT: fingerprint if isinstance(fingerprint, str) else None,
    }


def _analysed(analysis: Analysis | None, ident: str) -> Loose:
    found: Loose = {names.FLOW: ident}
    if analysis is None:
        return found
    lineage, cost = analysis.lineage, analysis.cost
    return found | {
        names.CONVERSATION: lineage.conversation,
        names.COMPACTED: True if lineage.relation.value == "compaction" else None,
        names.SESSION: analysis.session.session,
        names.PURPOSE: analysis.purpose.value,
        names.RELATION: lineage.relation.value,
        names.TURN: lineage.depth,
        names.CERTAINTY: lineage.certainty.value,
        names.COST: dollars(cost.total),
        names.COST_BASIS: analysis.cost_basis.value if cost.total is not None else None,
        names.CACHE_SAVED: dollars(cost.saved),
        names.CACHE_VERDICT: analysis.cache.verdict.value,
    }


def whose_attributes(seen: SeenFlow) -> Loose:
    """Agent, run, project, tags and machine."""
    labels = seen.sender.labels
    tags = {names.TAG + name: value for name, value in labels.tags.items()}
    of_run = run_attributes(seen.run, labels.run) | ({names.PROJECT: labels.project} if labels.project else {})
    return _agent(seen.sender.agent) | of_run | tags | {names.HOST_NAME: labels.machine}


def _http(record: Record, seen: SeenFlow) -> Loose:
    host, port, path, method = address_of(record)
    request, response, sizes = part(record, "request"), part(record, "response"), part(record, "sizes")
    scheme = str(request.get("scheme") or "https")
    usual = {"http": 80, "https": 443}.get(scheme)
    name = f"[{host}]" if ":" in host else host
    # The query is left out: it may hold more than names that are known to be secret.
    url = f"{scheme}://{name}{'' if port in (None, usual) else f':{port}'}{path.partition('?')[0]}"
    status, version = response.get("status_code"), str(request.get("http_version") or "")
    return {
        names.FLOW: record["id"],
        names.SOURCE: record.get("source"),
        names.SERVER_ADDRESS: host or None,
        names.SERVER_PORT: port if host else None,
        names.HTTP_METHOD: method if method in _METHODS else names.OTHER_ERROR,
        names.HTTP_STATUS: status if isinstance(status, int) else None,
        names.URL: url[:_MOST_TEXT],
        names.USER_AGENT: header(seen.request_headers, b"user-agent")[:_MOST_TEXT] or None,
        names.REQUEST_BYTES: sizes.get("request"),
        names.RESPONSE_BYTES: sizes.get("response"),
        names.PROTOCOL_VERSION: version.removeprefix("HTTP/").removesuffix(".0") if "2" in version
        else version.removeprefix("HTTP/") or None,
    }  # fmt: skip


def _events(record: Record) -> tuple[Event, ...]:
    """Hooks that ran. Only how long each took is kept, not when: they are told one after the other from the start of
    the flow."""
    at = float(part(record, "timing").get("started_at") or 0.0)
    events = []
    for hook in part(record, "changes").get("hooks") or ():
        at += float(hook.get("ms") or 0.0) / 1000
        said = {
            names.EVENT_NAME: hook.get("name"), names.EVENT_STAGE: hook.get("stage"),
            names.EVENT_STATE: hook.get("state"), names.EVENT_MILLISECONDS: _double(hook.get("ms")),
            names.NOTE: hook.get("error"),
        }  # fmt: skip
        events.append(Event(names.HOOK_EVENT, at, clean(said)))
    return tuple(events)


def _double(value: float | None) -> float | None:
    return None if value is None else float(value)
