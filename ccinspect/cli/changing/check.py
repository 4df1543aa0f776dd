"""`check`: what is wrong with the rules of the settings, and what they would do to one request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from ccinspect.cli import text
from ccinspect.cli.changing.change_settings import destinations_of, egress_of, hooks_of, library_of, rules_of
from ccinspect.cli.changing.hooks import plans
from ccinspect.cli.changing.shapes import library
from ccinspect.cli.flows.sides import side
from ccinspect.cli.instance import Instance
from ccinspect.cli.output import BOLD, DIM, GREEN, RED, YELLOW, paint, write, write_json
from ccinspect.cli.reading import open_store
from ccinspect.config import Config
from ccinspect.errors import CcinspectError, HookError, ShapeError, TransformError
from ccinspect.hooks import BUILT_IN as HOOKS
from ccinspect.identity.agents import detect_agent
from ccinspect.identity.providers import Providers
from ccinspect.identity.table import BUILT_IN
from ccinspect.pipeline.message import Facts, Headers, Outgoing
from ccinspect.replay.sendable import check_sendable
from ccinspect.store.changed import asked_origin, routed_path
from ccinspect.store.record import bytes_of
from ccinspect.transform.problems import Problem, problems
from ccinspect.transform.redirect import read_model
from ccinspect.transform.routes import Router, Step
from ccinspect.wire.registry import recognise

_SHAPE_HOOK = ("shape", HOOKS["shape"])
_COLOURS = {"error": RED, "warning": YELLOW}


@dataclass(frozen=True, slots=True)
class Assumed:
    """What a URL does not say of a request; None keeps what is known, or guessed."""

    model: str | None = None
    agent: str | None = None
    source: str | None = None
    project: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """The request whose fate is told."""

    outgoing: Outgoing
    facts: Facts
    model: str | None


def check(instance: Instance, target: str | None, assumed: Assumed, as_json: bool) -> int:
    """Print problems, and with a URL or a flow's id what would happen to it.

    The exit status is 1 when a rule cannot do what it says. Raises ConfigError, FlowNotFound, AmbiguousFlowId.
    """
    config = instance.config()
    found = all_problems(instance, config)
    asked = _asked(instance, config, target, assumed) if target is not None else None
    told = fate(config, asked) if asked is not None else None
    if as_json:
        write_json({"problems": [asdict(problem) for problem in found], "request": told})
    else:
        for line in _lines(config, found, asked, told):
            write(line)
    return 1 if any(problem.severity == "error" for problem in found) else 0


def all_problems(instance: Instance, config: Config) -> list[Problem]:
    """What cannot do what the settings say: rules, providers, and hooks that cannot be loaded or put in order."""
    return [
        *problems(rules_of(config), destinations_of(config)),
        *_provider_problems(config),
        *_hook_problems(instance, config),
        *_shape_problems(instance, config),
    ]


def _provider_problems(config: Config) -> Iterator[Problem]:
    built_in = {entry.name for entry in BUILT_IN}
    for name, entry in config.providers.items():
        if name not in built_in and not entry.host and not entry.hosts:
            yield Problem(
                "warning", None, f"providers.{name}: no request is its own, for it has no host", "set its `host`"
            )


def _hook_problems(instance: Instance, config: Config) -> Iterator[Problem]:
    try:
        plans(hooks_of(config), library_of(instance.paths))
    except HookError as error:
        yield Problem("error", None, error.message, error.hint)


def _shape_problems(instance: Instance, config: Config) -> Iterator[Problem]:
    shelf = library(instance)
    for entry in (*config.hooks.inbound, *config.hooks.outbound):
        name = entry.params.get("shape")
        if entry.hook in _SHAPE_HOOK and isinstance(name, str):
            try:
                shelf.load(name)
            except ShapeError as error:
                yield Problem("error", None, f"the hook {entry.hook}: {error.message}", error.hint)


def _asked(instance: Instance, config: Config, target: str, assumed: Assumed) -> Asked:
    # No id of a flow has a dot: that is a host.
    if "/" in target or "." in target:
        return of_url(config, target, assumed)
    with open_store(instance) as store:
        record = store.get(target)
        message = check_sendable(record, "client_request")
        read = side(store, record, "client_request")
        runs = {str(run["id"]): run for run in store.runs()}
    run = runs.get(str(record.get("run"))) or {}
    project = (record.get("said") or {}).get("project") or run.get("project")
    if record.get("source") == "reverse":
        # By itself such a request says only the path; where the listener sends it is in what was forwarded.
        there = asked_origin(record) or record.get("request") or message
        place = {key: there.get(key) for key in ("scheme", "pretty_host", "port")}
        message = {**message, **place, "path": routed_path(message, place["pretty_host"])}
    headers = [(bytes_of(str(name)), bytes_of(str(value))) for name, value in message.get("headers") or ()]
    agent = detect_agent(headers, (record.get("process") or {}).get("argv") or run.get("command") or ())
    outgoing = Outgoing(
        method=str(message["method"]),
        scheme=str(message.get("scheme")),
        host=str(message.get("pretty_host") or message.get("host")),
        port=int(message.get("port") or 443),
        path=str(message.get("path")),
        headers=Headers(headers),
        body=read.body if read is not None else None,
    )
    facts = Facts(
        str(record["id"]), str(record.get("source")), record.get("run"), project, agent=agent.name if agent else None
    )
    return _completed(config, outgoing, facts, assumed)


def of_url(config: Config, url: str, assumed: Assumed) -> Asked:
    """A POST to this URL, about which nothing else is known. Raises CcinspectError when it is none."""
    try:
        parts = urlsplit(url if "://" in url else f"https://{url}")
        port = parts.port or (80 if parts.scheme == "http" else 443)
    except ValueError as error:
        raise _no_url(url) from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _no_url(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    outgoing = Outgoing("POST", parts.scheme, parts.hostname, port, path, Headers())
    return _completed(config, outgoing, Facts("-", "proxy"), assumed)


def _no_url(url: str) -> CcinspectError:
    return CcinspectError(
        f"{url!r} is neither the id of a flow nor a URL", "as: ccinspect check https://api.anthropic.com/v1/messages"
    )


def _completed(config: Config, outgoing: Outgoing, facts: Facts, assumed: Assumed) -> Asked:
    """With what the address tells, and what was assumed."""
    match = Providers(config.identities).match(
        outgoing.host, outgoing.path, port=outgoing.port, method=outgoing.method, headers=outgoing.headers.fields
    )
    spoken = recognise(outgoing.method, outgoing.path)
    dialect = (match.dialect if match else None) or (spoken.dialect if spoken else None)
    facts = replace(
        facts,
        provider=match.provider if match else None,
        dialect=dialect,
        kind=spoken.kind if spoken else None,
        source=assumed.source or facts.source,
        agent=assumed.agent or facts.agent,
        project=assumed.project or facts.project,
    )
    return Asked(outgoing, facts, assumed.model or read_model(outgoing, dialect))


def fate(config: Config, asked: Asked) -> dict[str, Any]:
    """What is known of the request, what each rule says to it, and what becomes of it."""
    facts, outgoing = asked.facts, asked.outgoing
    router = Router(rules_of(config), destinations_of(config))
    known = {
        "url": outgoing.url,
        "method": outgoing.method,
        "source": facts.source,
        "provider": facts.provider,
        "dialect": facts.dialect,
        "model": asked.model,
        "agent": facts.agent,
        "run": facts.run,
        "project": facts.project,
    }
    egress = egress_of(config).decide(outgoing.host, outgoing.port, outgoing.path, outgoing.method, facts)
    try:
        decision: dict[str, Any] = dict(router.route(facts, outgoing, asked.model).as_record())
    except TransformError as error:
        decision = {"action": "error", "reason": f"{error.message}; {error.hint}"}
    steps = [asdict(step) for step in router.explain(facts, outgoing, asked.model)]
    return {"known": known, "policy": egress.as_record(), "rules": steps, "decision": decision}


def _lines(config: Config, found: Sequence[Problem], asked: Asked | None, told: dict[str, Any] | None) -> Iterator[str]:
    for problem in found:
        place = f"inspector.transforms[{problem.rule}]: " if problem.rule is not None else ""
        yield paint(f"{problem.severity}: ", _COLOURS.get(problem.severity, "")) + text.clean(place + problem.message)
        if problem.hint:
            yield f"  {text.clean(problem.hint)}"
    if not found:
        rules = text.count(len(rules_of(config)), "rule")
        yield paint(f"{rules}, and nothing is wrong with what can be told without a request", GREEN)
    if asked is not None and told is not None:
        yield ""
        yield from _fate_lines(asked, told)


def _fate_lines(asked: Asked, told: dict[str, Any]) -> Iterator[str]:
    yield paint(text.clean(f"{asked.outgoing.method} {asked.outgoing.url}"), BOLD)
    for name, value in told["known"].items():
        if value and name not in ("url", "method"):
            yield text.clean(f"  {name:<9}{value}")
    policy = told["policy"]
    if policy["rule"] or not policy["allowed"]:
        word = "allowed" if policy["allowed"] else "refused"
        yield paint(text.clean(f"  policy   {word}: {policy['reason']}"), "" if policy["allowed"] else RED)
        if not policy["allowed"]:
            return
    for step in (Step(**each) for each in told["rules"]):
        mark = paint("takes it", GREEN) if step.takes else paint("passes", DIM)
        yield f"  rule {step.rule:<4}{mark}: {text.clean(step.why)}"
    yield "  " + paint(text.clean(_outcome(told["decision"])), BOLD)


def _outcome(decision: dict[str, Any]) -> str:
    action, there = decision["action"], decision.get("destination") or {}
    if action == "none":
        return "no rule takes it: it goes where it asks to"
    if action == "passthrough":
        return "it goes where it asks to, as it is"
    if action == "deny":
        return f"it is refused: {decision.get('reason') or 'by this rule'}"
    if action == "error":
        return f"it is refused, for the rule cannot be carried out: {decision['reason']}"
    path = there.get("path") or ""
    place = f"{there.get('scheme')}://{there.get('host')}:{there.get('port')}{path}"
    facts = [f"{name} {there[name]}" for name in ("provider", "dialect", "model") if there.get(name)]
    return f"it is sent to {place}" + (f" ({', '.join(facts)})" if facts else "")
