"""The rules of `inspector.transforms`: which one holds for a request, and what it makes of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ccinspect.pipeline.message import Facts, Outgoing
from ccinspect.transform.destinations import TRANSLATED, Destination, on_vertex
from ccinspect.transform.settings import MATCHES, Action, TransformRule

_NO_BODY = tuple(name for name in MATCHES if name != "model")
_SOURCES = ("reverse", "proxy", "wireguard")


@dataclass(frozen=True, slots=True)
class Decision:
    """What happens to a request. `rule` is the number of the rule in the configuration, from 0."""

    action: Action
    rule: int
    destination: Destination | None = None
    """Where it goes; None: where it went anyway."""
    model: str | None = None
    path: str | None = None
    reason: str | None = None

    def as_record(self) -> dict[str, Any]:
        return {
            "rule": self.rule,
            "action": self.action,
            "provider": self.destination.provider if self.destination else None,
            "model": self.model,
        }


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with a rule that can be seen without a request."""

    rule: int
    message: str
    hint: str


class Router:
    """The rules with the destinations they name; made anew on `reload`."""

    def __init__(self, rules: Sequence[TransformRule], destinations: Mapping[str, Destination]) -> None:
        self.destinations = destinations
        self._rules = [_Rule(number, rule) for number, rule in enumerate(rules)]

    def __bool__(self) -> bool:
        return bool(self._rules)

    def needs_body(self, facts: Facts, outgoing: Outgoing) -> bool:
        """Whether the body must be read to say which rule holds, or to carry out the one that does."""
        for rule in self._rules:
            if not rule.may_hold(facts, outgoing):
                continue
            settings = rule.settings
            if settings.match_model is not None:
                return True
            return bool(settings.action == "transform" or settings.dest_model is not None)
        return False

    def route(self, facts: Facts, outgoing: Outgoing, model: str | None) -> Decision | None:
        """The decision of the first rule that holds; None when none does. `model` is what the request asks for."""
        for rule in self._rules:
            if rule.may_hold(facts, outgoing) and rule.holds_for_model(model):
                return self._decide(rule, outgoing)
        return None

    def explain(self, facts: Facts, outgoing: Outgoing, model: str | None) -> list[dict[str, Any]]:
        """Each rule up to the one that holds: {rule, holds, because}."""
        told: list[dict[str, Any]] = []
        for rule in self._rules:
            reasons = [*rule.misses(facts, outgoing)]
            if not rule.holds_for_model(model):
                reasons.append(f"match_model {rule.settings.match_model!r} is not in {model!r}")
            told.append({"rule": rule.number, "holds": not reasons, "because": reasons})
            if not reasons:
                break
        return told

    def _decide(self, rule: _Rule, outgoing: Outgoing) -> Decision:
        settings = rule.settings
        if settings.action in ("passthrough", "deny"):
            return Decision(settings.action, rule.number, reason=settings.reason)
        destination = self._destination(settings, outgoing)
        return Decision(settings.action, rule.number, destination, settings.dest_model, settings.dest_path)

    def _destination(self, settings: TransformRule, outgoing: Outgoing) -> Destination | None:
        destination = self.destinations.get(settings.dest_provider or "")
        if destination is None and settings.dest_host is None:
            return None
        if destination is None:
            destination = Destination("", outgoing.scheme, outgoing.host, outgoing.port, {})
        if settings.dest_host is not None:
            destination = _at_host(destination, settings.dest_host)
        if settings.vertex_project or settings.vertex_location or "{location}" in destination.host:
            destination = on_vertex(destination, settings.vertex_project, settings.vertex_location)
        return destination


class _Rule:
    def __init__(self, number: int, settings: TransformRule) -> None:
        self.number = number
        self.settings = settings
        self._patterns = {
            name: re.compile(pattern)
            for name in _NO_BODY
            if (pattern := getattr(settings, f"match_{name}")) is not None
        }
        self._model = re.compile(settings.match_model) if settings.match_model is not None else None

    def may_hold(self, facts: Facts, outgoing: Outgoing) -> bool:
        """Whether all that can be said without the body fits."""
        return next(self.misses(facts, outgoing), None) is None

    def misses(self, facts: Facts, outgoing: Outgoing) -> Iterator[str]:
        """Why it does not hold, as far as that can be said without the body."""
        if self.settings.sources and facts.source not in self.settings.sources:
            yield f"sources {list(self.settings.sources)} have no {facts.source!r}"
        if self.settings.action == "transform" and self.settings.dest_provider and facts.dialect is None:
            yield "it is no model call that can be read, so there is nothing to transform"
        for name, pattern in self._patterns.items():
            values = _values(name, facts, outgoing)
            if not any(pattern.search(value) for value in values):
                yield f"match_{name} {pattern.pattern!r} is not in {values[0] if values else None!r}"

    def holds_for_model(self, model: str | None) -> bool:
        return self._model is None or (model is not None and self._model.search(model) is not None)


def _values(name: str, facts: Facts, outgoing: Outgoing) -> list[str]:
    if name == "host":
        return [outgoing.host]
    if name == "path":
        return [outgoing.path]
    if name == "run":
        return [value for value in (facts.run, facts.run_name) if value]
    value = getattr(facts, name)
    return [value] if value else []


def _at_host(destination: Destination, text: str) -> Destination:
    scheme, separator, rest = text.rpartition("://")
    scheme = scheme if separator else destination.scheme
    host, colon, port = rest.rpartition(":")
    if not colon or not port.isdecimal() or host.endswith(":"):
        host, port = rest, ""
    keeps_port = not separator and not port and destination.provider == ""
    number = int(port) if port else destination.port if keeps_port else {"http": 80, "https": 443}[scheme]
    return replace(destination, scheme=scheme, host=host.strip("[]"), port=number)


def problems(rules: Sequence[TransformRule], destinations: Mapping[str, Destination]) -> list[Problem]:
    """What is wrong with the rules, whatever is asked."""
    found: list[Problem] = []
    catch_all: int | None = None
    for number, rule in enumerate(rules):
        if catch_all is not None:
            found.append(
                Problem(number, f"can never hold: rule {catch_all} before it holds for every request", "move it up")
            )
        elif (earlier := _same_matches(rules[:number], rule)) is not None:
            found.append(
                Problem(number, f"can never hold: rule {earlier} before it has the same conditions", "remove one")
            )
        if not any(getattr(rule, f"match_{name}") for name in MATCHES) and not rule.sources:
            catch_all = number if catch_all is None else catch_all
        found += _own_problems(number, rule, destinations)
    return found


def _same_matches(earlier: Sequence[TransformRule], rule: TransformRule) -> int | None:
    """The first rule all of whose conditions this one has too."""
    for number, other in enumerate(earlier):
        wanted = [(name, value) for name in MATCHES if (value := getattr(other, f"match_{name}")) is not None]
        same = all(getattr(rule, f"match_{name}") == value for name, value in wanted)
        sources = not other.sources or (rule.sources and set(rule.sources) <= set(other.sources))
        reads = other.action != "transform" or other.dest_provider is None
        if wanted and same and sources and (reads or rule.action == "transform"):
            return number
    return None


def _own_problems(number: int, rule: TransformRule, destinations: Mapping[str, Destination]) -> Iterator[Problem]:
    allowed = rule.sources or _SOURCES
    if rule.match_source is not None and not any(re.search(rule.match_source, name) for name in allowed):
        hint = f"sources are {', '.join(_SOURCES)}"
        yield Problem(number, f"can never hold: match_source {rule.match_source!r} fits no source that is left", hint)
    if rule.dest_provider is None:
        return
    destination = destinations.get(rule.dest_provider)
    if destination is None:
        known = ", ".join(sorted(destinations))
        yield Problem(number, f"there is no provider {rule.dest_provider!r} to send to", f"known: {known}")
        return
    dialects = list(destination.paths)
    if rule.action == "transform" and dialects and not set(dialects) & set(TRANSLATED):
        yield Problem(
            number, f"nothing can be translated into {dialects[0]}", f"translated are {', '.join(TRANSLATED)}"
        )
    if any("{project}" in path for path in destination.paths.values()) and not rule.vertex_project:
        yield Problem(number, "Vertex needs a project in its path", "set vertex_project")
