"""What is wrong with rules and destinations, found without any request: for `check`, and for the daemon's start."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ccinspect.identity.agents import KNOWN_NAMES
from ccinspect.identity.table import BUILT_IN
from ccinspect.transform.destinations import TRANSLATABLE, Destinations
from ccinspect.transform.settings import SOURCES, TransformRule

_ANYTHING = frozenset(("", ".*", ".*?", ".+", "^", "^.*", "^.*$", ".*$", "$", "."))
_ALWAYS_KNOWN = frozenset(("source", "host", "path"))


@dataclass(frozen=True, slots=True)
class Problem:
    """`error`: the rule cannot do what it says; `warning`: it most likely does not do what was meant."""

    severity: str
    rule: int | None
    """Index in `inspector.transforms`; None for what stands in `providers`."""
    message: str
    hint: str = ""


def problems(rules: Sequence[TransformRule], destinations: Destinations) -> list[Problem]:
    """All that can be said without a request, in the order of the rules."""
    found: list[Problem] = []
    for index, rule in enumerate(rules):
        found += _never(index, rule)
        found += _hidden(index, rules)
        found += _nowhere(index, rule, destinations)
    for name, known in destinations.known.items():
        fallbacks = known.settings.fallbacks if known.settings else None
        for target in fallbacks.to if fallbacks else ():
            if target.provider is not None and (reason := _unreachable(target.provider, destinations, None)):
                found.append(Problem("error", None, f"providers.{name}.fallbacks: {reason[0]}", reason[1]))
    return found


def _never(index: int, rule: TransformRule) -> Iterator[Problem]:
    """Conditions that no request fulfils."""
    conditions = rule.conditions()
    if pattern := conditions.get("source"):
        allowed = rule.sources or SOURCES
        if not any(re.search(pattern, source) for source in allowed):
            yield Problem(
                "error",
                index,
                f"it can never match: match_source {pattern!r} fits none of {', '.join(allowed)}",
                "the sources are reverse, proxy and wireguard",
            )
    entries = {entry.name: entry for entry in BUILT_IN}
    if pattern := conditions.get("provider"):
        names = [name for name in entries if re.search(pattern, name)]
        if not names and pattern not in _ANYTHING:
            yield Problem(
                "warning",
                index,
                f"match_provider {pattern!r} fits none of the built-in providers",
                f"{_nearest(pattern, entries)}; providers of your own are matched by their name in `providers`",
            )
        elif names and (wanted := conditions.get("host")):
            hosts = [host.partition(":")[0] for name in names for host in entries[name].hosts]
            if not any("*" in host or re.search(wanted, host) for host in hosts):
                yield Problem(
                    "error",
                    index,
                    f"it can never match: no host of {', '.join(names)} fits match_host {wanted!r}",
                    "remove one of the two conditions",
                )
    if (pattern := conditions.get("agent")) and not any(re.search(pattern, name) for name in KNOWN_NAMES):
        yield Problem(
            "warning", index, f"match_agent {pattern!r} fits no program known by name", _nearest(pattern, KNOWN_NAMES)
        )


def _nearest(pattern: str, names: Iterable[str]) -> str:
    bare = re.sub(r"[^\w.-]", "", pattern)
    close = difflib.get_close_matches(bare, list(names), n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known are {', '.join(sorted(names))}"


def _hidden(index: int, rules: Sequence[TransformRule]) -> Iterator[Problem]:
    """An earlier rule takes everything that this one could take."""
    rule = rules[index]
    for earlier, other in enumerate(rules[:index]):
        if other.action == "transform" and rule.action != "transform":
            # That one leaves what is no model call.
            continue
        if other.sources and not (rule.sources and set(rule.sources) <= set(other.sources)):
            continue
        mine = rule.conditions()
        if all(_covers(name, pattern, mine) for name, pattern in other.conditions().items()):
            yield Problem(
                "error",
                index,
                f"it can never match: rule {earlier} takes all that it could take",
                f"put it before rule {earlier}, or narrow that one",
            )
            return


def _covers(name: str, pattern: str, conditions: dict[str, str]) -> bool:
    if pattern in _ANYTHING:
        return name in _ALWAYS_KNOWN or name in conditions
    return conditions.get(name) == pattern


def _nowhere(index: int, rule: TransformRule, destinations: Destinations) -> Iterator[Problem]:
    """Destinations that do not exist, or that do not understand what would be sent."""
    if rule.dest_provider is None:
        return
    if reason := _unreachable(rule.dest_provider, destinations, rule):
        yield Problem("error", index, *reason)
        return
    known = destinations.known[rule.dest_provider]
    if rule.action == "transform" and not any(dialect in TRANSLATABLE for dialect in known.paths):
        spoken = ", ".join(known.paths) or "a dialect that is only read"
        yield Problem(
            "error",
            index,
            f"nothing can be translated for {rule.dest_provider}: it speaks {spoken}",
            "use `redirect`, or another provider",
        )


def _unreachable(name: str, destinations: Destinations, rule: TransformRule | None) -> tuple[str, str] | None:
    """(why, hint) when nothing can be sent to a provider."""
    known = destinations.known.get(name)
    if known is None:
        return f"there is no provider {name!r}", _nearest(name, destinations.names())
    if known.host is None and not (rule and rule.dest_host):
        return f"{name} has no host to send requests to", f"set `host` in the block `providers.{name}`"
    paths = " ".join(known.paths.values())
    if "{project}" in paths and not (rule and (rule.vertex_project or rule.dest_path)):
        return f"{name} needs a Google Cloud project", "set `vertex_project` (and `vertex_location`) in the rule"
    return None
