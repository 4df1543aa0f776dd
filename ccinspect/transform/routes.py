"""Which rule of `inspector.transforms` takes a request, and where it sends it.

The first rule whose conditions all hold decides. A `transform` rule takes model calls only: other traffic to the same
host goes on to the next rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import regex

from ccinspect.errors import TransformError
from ccinspect.pipeline.message import Facts, Outgoing
from ccinspect.transform.destinations import TRANSLATABLE, Destination, Destinations
from ccinspect.transform.fallbacks import NextTarget
from ccinspect.transform.needs import is_enveloped, model_in_path
from ccinspect.transform.settings import TransformRule

_MAX_VALUE = 4_000
"""Characters of a value that a condition is tried on."""
_PATTERN_SECONDS = 0.02
"""What trying one condition may take: the value comes from the client, and all other flows wait meanwhile."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done with a request."""

    action: Literal["none", "passthrough", "redirect", "transform", "deny"]
    """`none`: no rule takes it."""
    rule: int | None = None
    """Index in `inspector.transforms`."""
    destination: Destination | None = None
    """Of `redirect` and `transform`."""
    reason: str | None = None
    """Of `deny`: what the client is told."""

    def as_record(self) -> dict[str, object]:
        where = self.destination.as_record() if self.destination else None
        return {"action": self.action, "rule": self.rule, "destination": where, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class Step:
    """Why one rule takes a request, or does not."""

    rule: int
    takes: bool
    why: str


class Router:
    """The rules, ready to be asked. Made anew when the configuration changes."""

    def __init__(self, rules: Sequence[TransformRule], destinations: Destinations) -> None:
        self.rules = tuple(rules)
        self.destinations = destinations
        self._patterns = [
            {name: regex.compile(pattern) for name, pattern in rule.conditions().items()} for rule in self.rules
        ]

    def needs_body(self, facts: Facts, outgoing: Outgoing) -> bool:
        """Whether the body has to be read before `route` can say what to do, or for doing it."""
        known = model_in_path(outgoing.path)
        for index, rule in enumerate(self.rules):
            try:
                if self._objection(index, facts, outgoing, known, without_model=known is None):
                    continue
            except TransformError:
                # `route` tells, once the request is there.
                return True
            if known is None and rule.match_model is not None:
                return True
            if rule.action not in ("redirect", "transform"):
                return False
            return self._changes_body(self._destination(rule, facts, outgoing, known), rule.action, facts)
        return False

    def route(self, facts: Facts, outgoing: Outgoing, model: str | None = None) -> Decision:
        """Decide; `model` as `request.read_model` reads it. Raises TransformError when a rule's destination cannot be
        reached, which `problems` would have told, or when a pattern takes too long."""
        model = model if model is not None else model_in_path(outgoing.path)
        for index, rule in enumerate(self.rules):
            if self._objection(index, facts, outgoing, model):
                continue
            if rule.action in ("passthrough", "deny"):
                return Decision(rule.action, index, None, rule.reason)
            destination = self._destination(rule, facts, outgoing, model)
            return Decision(rule.action, index, destination)
        return Decision("none")

    def to_provider(self, name: str, facts: Facts, outgoing: Outgoing, model: str | None = None) -> Decision:
        """Send a request to a provider by its name, as a sentinel key or a fallback asks: translated where the
        provider does not speak the client's dialect. Raises TransformError for a provider without an address."""
        destination = self._find(name, facts, model or model_in_path(outgoing.path), (None, None))
        foreign = facts.dialect in TRANSLATABLE and (
            destination.dialect != facts.dialect or is_enveloped(outgoing.path)
        )
        action: Literal["redirect", "transform"] = "transform" if foreign and destination.dialect else "redirect"
        return Decision(action, None, replace(destination, keeps_credentials=name == facts.provider))

    def to_next(self, last: Decision, target: NextTarget, facts: Facts, outgoing: Outgoing) -> Decision:
        """Where the next attempt of a fallback goes: another model of the provider of a rule goes where the rule says.

        `last` is the decision that has failed, `outgoing` the client's own request. Raises TransformError as `route`.
        """
        rule = None if last.rule is None else self.rules[last.rule]
        provider = target.provider or facts.provider or ""
        if rule is not None and rule.action in ("redirect", "transform"):
            named = rule.dest_provider or facts.provider
            if provider == named:
                other = rule.model_copy(update={"dest_model": target.model or rule.dest_model})
                return replace(last, destination=self._destination(other, facts, outgoing, target.model))
        return replace(self.to_provider(provider, facts, outgoing, target.model), rule=last.rule)

    def explain(self, facts: Facts, outgoing: Outgoing, model: str | None = None) -> list[Step]:
        """Rule by rule up to the one that takes the request, for people."""
        model = model if model is not None else model_in_path(outgoing.path)
        steps = []
        for index, rule in enumerate(self.rules):
            objection = self._objection(index, facts, outgoing, model)
            if objection is None:
                told = [f"{name} matches {pattern!r}" for name, pattern in rule.conditions().items()]
                steps.append(Step(index, True, " and ".join(told) or "it takes every request"))
                break
            steps.append(Step(index, False, objection))
        return steps

    def _objection(
        self, index: int, facts: Facts, outgoing: Outgoing, model: str | None, *, without_model: bool = False
    ) -> str | None:
        """Why a rule does not take the request; None when it does."""
        rule = self.rules[index]
        if rule.sources and facts.source not in rule.sources:
            return f"it came by {facts.source}, and not by {' or '.join(rule.sources)}"
        if rule.action == "transform" and facts.dialect is None:
            return "it is no model call that could be translated"
        for name, pattern in self._patterns[index].items():
            if name == "model" and without_model:
                continue
            value = _value(name, facts, outgoing, model)
            if value is None:
                return f"its {name} is not known"
            if not self._fits(index, name, value[:_MAX_VALUE]):
                return f"its {name} {value[:200]!r} does not match {pattern.pattern!r}"
        return None

    def _fits(self, index: int, name: str, value: str) -> bool:
        """Raises TransformError: whether a rule that forbids takes a request must not be left to a guess."""
        try:
            return self._patterns[index][name].search(value, timeout=_PATTERN_SECONDS) is not None
        except TimeoutError as error:
            raise TransformError(
                f"whether rule {index} of inspector.transforms takes this request could not be told in time, so it was "
                "not sent",
                f"write match_{name} without repetitions inside of repetitions",
            ) from error

    def _destination(self, rule: TransformRule, facts: Facts, outgoing: Outgoing, model: str | None) -> Destination:
        model = rule.dest_model or model
        if rule.dest_provider is None:
            return _elsewhere(rule, facts, outgoing)
        vertex = (rule.vertex_project, rule.vertex_location)
        found = self._find(rule.dest_provider, facts, model, vertex)
        if rule.action == "redirect" and found.dialect != facts.dialect:
            # Nobody knows where there a body of this dialect goes.
            found = replace(found, dialect=None, path=None)
        moved = rule.dest_host is not None
        scheme = rule.dest_scheme or found.scheme
        standard = 80 if scheme == "http" else 443
        return replace(
            found,
            scheme=scheme,
            host=(rule.dest_host or found.host).strip("[]"),
            port=rule.dest_port or (standard if moved or rule.dest_scheme else found.port),
            path=rule.dest_path or found.path,
            # Where no model is asked for, the client's own is only written anew when the provider calls it otherwise.
            model=found.model if rule.dest_model or found.model != model else None,
            keeps_credentials=rule.dest_provider == facts.provider,
        )

    def _find(
        self, provider: str, facts: Facts, model: str | None, vertex: tuple[str | None, str | None]
    ) -> Destination:
        found = self.destinations.find(provider, facts.dialect, model, vertex)
        if found is None:
            known = provider in self.destinations.known
            what = "has no host to send requests to" if known else "is not a provider that is known"
            raise TransformError(
                f"{provider!r} {what}, so the request was not sent", f"set `host` in the block `providers.{provider}`"
            )
        return found

    @staticmethod
    def _changes_body(destination: Destination, action: str, facts: Facts) -> bool:
        if action == "transform":
            return True
        return facts.dialect is not None and (
            destination.model is not None or (destination.dialect == "anthropic" and destination.model_in_path)
        )


def _elsewhere(rule: TransformRule, facts: Facts, outgoing: Outgoing) -> Destination:
    """The request's own provider at another address, or by another model's name."""
    scheme = rule.dest_scheme or outgoing.scheme
    moved = rule.dest_host is not None or rule.dest_scheme is not None
    return Destination(
        provider=facts.provider,
        scheme=scheme,
        host=(rule.dest_host or outgoing.host).strip("[]"),
        port=rule.dest_port or ((80 if scheme == "http" else 443) if moved else outgoing.port),
        path=rule.dest_path,
        dialect=facts.dialect,
        model=rule.dest_model,
        keeps_credentials=True,
    )


def _value(name: str, facts: Facts, outgoing: Outgoing, model: str | None) -> str | None:
    if name == "host":
        return outgoing.host
    if name == "path":
        return outgoing.path
    if name == "model":
        return model
    value: str | None = getattr(facts, name)
    return value
