"""Finding secrets and patterns in bodies, and taking them out.

Bounded in time whatever the body and the pattern: what could not be searched to its end is not sent by a rule that was
to stop or mask, and is said to be unsearched by one that flags. Nothing here blocks the other threads for long (the
searching lets go of Python's lock), but it works: call it from a thread, not from the event loop.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import regex

from ccinspect.errors import ConfigError
from ccinspect.pipeline.message import Facts, Outgoing
from ccinspect.policy.known_secrets import known_shapes
from ccinspect.policy.settings import RedactConfig
from ccinspect.policy.strings import Texts, paths

SECONDS = 1.0
SECONDS_PER_MB = 0.25
MAX_SECONDS = 10.0
MAX_RECORDED = 100
"""Findings in a record; there may be more in a body."""

Where = Literal["upstream", "store"]
_Place = tuple[int, int, str]
"""(start, end, name) in the text of a piece."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Where something was found. Never what."""

    rule: str
    name: str
    """What it is: the rule's name, or for `secrets` that of the shape."""
    mode: Literal["stop", "mask", "flag"]
    path: str | None
    """Where in the JSON, as jq writes it; None in other bodies."""
    start: int
    end: int
    """Characters of that string, or of the whole body."""

    def as_record(self) -> dict[str, Any]:
        span = [self.start, self.end]
        return {"rule": self.rule, "name": self.name, "mode": self.mode, "path": self.path, "span": span}


@dataclass(frozen=True, slots=True)
class Redaction:
    body: bytes
    """The body to go on with; the very same object where nothing was masked."""
    findings: tuple[Finding, ...] = ()
    stopped: str | None = None
    """Why the request must not be sent (or the body not be kept), for people; None when it may."""
    unsearched: tuple[str, ...] = ()
    """Rules that did not get through the body in time, or could not look into it."""

    def as_record(self) -> dict[str, Any]:
        return {
            "findings": [finding.as_record() for finding in self.findings[:MAX_RECORDED]],
            "found": len(self.findings),
            "stopped": self.stopped,
            "unsearched": list(self.unsearched),
        }


@dataclass(frozen=True)
class _Rule:
    config: RedactConfig
    search: Callable[[Texts, float], Iterator[tuple[int, _Place]]]
    """(index of the piece, place in it) for all that fits, until the deadline. Raises TimeoutError."""
    ignore: tuple[regex.Pattern[str], ...]


class Redactor:
    """The rules of `redact`, ready to be used. Raises ConfigError for a pattern that cannot be compiled."""

    def __init__(self, configs: Iterable[RedactConfig]) -> None:
        self._rules = tuple(_rule(config) for config in configs)

    def wants(self, where: Where, facts: Facts | None = None) -> bool:
        """Whether a body of this flow is to be looked at; `facts` None asks for any flow."""
        return any(
            rule.config.where == where and (facts is None or rule.config.holds_for(facts.project))
            for rule in self._rules
        )

    def redact(self, body: bytes, where: Where, project: str | None = None) -> Redaction:
        """Search a body (without content encoding) and take out what is to be masked. Never raises."""
        rules = [rule for rule in self._rules if rule.config.where == where and rule.config.holds_for(project)]
        if not rules or not body:
            return Redaction(body)
        deadline = time.monotonic() + min(SECONDS + SECONDS_PER_MB * len(body) / 1e6, MAX_SECONDS)
        texts = Texts(body)
        found: list[tuple[_Rule, int, _Place]] = []
        unsearched: list[_Rule] = []
        for rule in rules:
            try:
                found += [(rule, index, place) for index, place in rule.search(texts, deadline)]
            except TimeoutError:
                unsearched.append(rule)
        findings = _findings(texts, found)
        return Redaction(
            _masked(body, texts, [(index, place) for rule, index, place in found if rule.config.mode == "mask"]),
            findings,
            _why_stopped(findings, unsearched),
            tuple(rule.config.name for rule in unsearched),
        )

    def apply(self, outgoing: Outgoing, facts: Facts) -> Redaction:
        """Redact a request on its way out: `outgoing.body` is replaced where something was masked.

        The caller answers the client itself when `stopped` says why."""
        if facts.sealed is not None and outgoing.body:
            return self._unopened(outgoing.body, facts)
        done = self.redact(outgoing.body or b"", "upstream", facts.project)
        if outgoing.body is not None and done.stopped is None:
            outgoing.body = done.body
        return done

    def _unopened(self, body: bytes, facts: Facts) -> Redaction:
        """What the rules make of a body that cannot be looked into."""
        rules = [rule.config for rule in self._rules if rule.config.where == "upstream"]
        rules = [rule for rule in rules if rule.holds_for(facts.project)]
        held = [rule.name for rule in rules if rule.mode != "flag"]
        why = f"the request's content encoding could not be undone: {facts.sealed} (rule {held[0]})" if held else None
        return Redaction(body, (), why, tuple(rule.name for rule in rules))


def _rule(config: RedactConfig) -> _Rule:
    try:
        ignore = tuple(regex.compile(pattern) for pattern in config.ignore)
        own = regex.compile(config.pattern) if config.pattern is not None else None
    except regex.error as error:
        raise ConfigError(
            f"redact, {config.name}: not a regular expression: {error}", "mend the pattern; nothing was started"
        ) from error
    if own is None:
        # Now, at the start, instead of in somebody's request.
        known_shapes()
    search = _known_secrets if own is None else lambda texts, deadline: _pattern(own, config.name, texts, deadline)

    def searched(texts: Texts, deadline: float) -> Iterator[tuple[int, _Place]]:
        for index, place in search(texts, deadline):
            text = texts.texts[index][place[0] : place[1]]
            if not any(pattern.fullmatch(text, timeout=_left(deadline)) for pattern in ignore):
                yield index, place

    return _Rule(config, searched, ignore)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


# In these the text around a string makes no difference to what is found in it: no anchors, no looking around, nothing
# that does not go back.
_LOCAL = regex.compile(
    r"(?:\\[dDwWsSbnrtx.\\/+*?()\[\]{}|^$:-]|\(\?(?:i\)|:)|\[\^?[^\]\[&|~]+\]|[^\\^$(\[]|\((?!\?))*+"
)
_POSSESSIVE = regex.compile(r"[+*?}]\+")


def _is_local(pattern: str) -> bool:
    return _LOCAL.fullmatch(pattern) is not None and _POSSESSIVE.search(pattern) is None


def _pattern(pattern: regex.Pattern[str], name: str, texts: Texts, deadline: float) -> Iterator[tuple[int, _Place]]:
    """As if each text were searched by itself, so that `^`, `$` and `.*` mean what their writer thinks they mean."""
    if _is_local(pattern.pattern):
        for index, match, begin in _matches(pattern, texts, deadline):
            if match.end() > match.start():
                yield index, (match.start() - begin, match.end() - begin, name)
        return
    for index, text in enumerate(texts.texts):
        for match in pattern.finditer(text, timeout=_left(deadline), concurrent=True):
            if match.end() > match.start():
                yield index, (match.start(), match.end(), name)


def _matches(pattern: regex.Pattern[str], texts: Texts, deadline: float) -> Iterator[tuple[int, regex.Match[str], int]]:
    """(index of the text, match in the joined text, where the text begins there): all texts searched at once."""
    joined, starts, at = texts.joined, texts.starts, 0
    while match := pattern.search(joined, at, timeout=_left(deadline), concurrent=True):
        index = texts.at(match.start())
        end = starts[index] + len(texts.texts[index])
        if match.end() > end:
            # It runs on into the next text: only what lies in this one counts.
            within = pattern.search(joined, match.start(), end, timeout=_left(deadline), concurrent=True)
            if within is None:
                at = end + 1
                continue
            match = within
        at = max(match.end(), match.start() + 1)
        yield index, match, starts[index]


def _known_secrets(texts: Texts, deadline: float) -> Iterator[tuple[int, _Place]]:
    """All texts at once: sixty patterns over ten thousand short strings would take too long one by one."""
    for shape in known_shapes():
        searched = 0
        for index, match, begin in _matches(shape.pattern, texts, deadline):
            if match.start() < searched:
                continue
            span = shape.span(match, texts.joined, begin + len(texts.texts[index]))
            if span is not None:
                searched = span[1]
                yield index, (span[0] - begin, span[1] - begin, shape.name)


def _findings(texts: Texts, found: list[tuple[_Rule, int, _Place]]) -> tuple[Finding, ...]:
    if not found:
        return ()
    places: dict[int, list[_Place]] = {}
    for _, index, place in found:
        places.setdefault(index, []).append(place)
    where: dict[int, str] = {}
    if texts.json:
        begins = {index: texts.piece(index).start for index in places}
        shown = {begins[index]: _shown(texts.texts[index], at) for index, at in places.items()}
        by_begin = paths(texts.body.text, shown.keys(), shown)
        where = {index: by_begin[begin] for index, begin in begins.items()}
    return tuple(
        Finding(rule.config.name, name, rule.config.mode, where.get(index), start, end)
        for rule, index, (start, end, name) in found
    )


def _merged(places: list[_Place]) -> list[_Place]:
    """In order, those that overlap as one with the name of the first."""
    merged: list[_Place] = []
    for start, end, name in sorted(places):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]), merged[-1][2])
        else:
            merged.append((start, end, name))
    return merged


def _instead(name: str) -> str:
    """What stands where something was: no quote, backslash or control character, so it fits into any text."""
    return f"[redacted: {name}]"


def _shown(text: str, places: list[_Place]) -> str:
    parts, at = [], 0
    for start, end, name in _merged(places):
        parts += [text[at:start], _instead(name)]
        at = end
    return "".join([*parts, text[at:]])[:60]


def _masked(body: bytes, texts: Texts, found: list[tuple[int, _Place]]) -> bytes:
    if not found:
        return body
    by_piece: dict[int, list[_Place]] = {}
    for index, place in found:
        by_piece.setdefault(index, []).append(place)
    text, parts, at = texts.body.text, [], 0
    for index in sorted(by_piece):
        piece = texts.piece(index)
        if piece.number:
            # A part of a number cannot be text: all of it becomes a string.
            name = _merged(by_piece[index])[0][2]
            parts += [text[at : piece.start], f'"{_instead(name)}"']
            at = piece.end
            continue
        for start, end, name in _merged(by_piece[index]):
            raw_start, raw_end = piece.raw_span(text, start, end)
            parts += [text[at:raw_start], _instead(name)]
            at = raw_end
    return texts.body.encode("".join([*parts, text[at:]]))


def _why_stopped(findings: tuple[Finding, ...], unsearched: list[_Rule]) -> str | None:
    stopping = [finding for finding in findings if finding.mode == "stop"]
    if stopping:
        first, more = stopping[0], len(stopping) - 1
        place = f" at {first.path}" if first.path else ""
        others = f", and {more} more" if more else ""
        return f"the request holds what may not leave: {first.name}{place}{others} (rule {first.rule})"
    held = [rule.config.name for rule in unsearched if rule.config.mode != "flag"]
    return f"the request could not be searched in time (rule {held[0]})" if held else None
