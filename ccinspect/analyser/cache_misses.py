"""Why did the prompt cache miss: what should have been read from it, what was, and what stood in the way.

A provider's cache holds beginnings of contexts, in the order tools, system prompt, messages. So a turn should read what
the turn before it left there, unless something changed early, or too much time went by. Sources: Anthropic,
"Prompt caching"; OpenAI, "Prompt caching"; Google, "Context caching".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from itertools import takewhile

from ccinspect.analyser.composition import Category, Part, provider_total
from ccinspect.analyser.identity import digest
from ccinspect.analyser.media import claude_version
from ccinspect.analyser.money import Rates, cost_of
from ccinspect.analyser.records import Record
from ccinspect.analyser.scaling import scale
from ccinspect.wire.jsontext import dump_text
from ccinspect.wire.model import CacheMarker, Path, Request, ToolResult, Usage, format_path


class Verdict(StrEnum):
    HIT = "hit"
    FIRST = "first_turn"
    """There was nothing before it to be read."""
    NO_PREVIOUS = "no_previous"
    """The turn before is not kept, so there is nothing to compare with."""
    NOT_REPORTED = "not_reported"
    """The provider says nothing about its cache."""
    TOO_SMALL = "too_small"
    """What they share is shorter than what this model caches."""
    NOT_CACHED = "not_cached"
    """The turn before left nothing in the cache, though it was marked and long enough."""
    TOOLS_CHANGED = "tools_changed"
    SYSTEM_CHANGED = "system_changed"
    HISTORY_CHANGED = "history_changed"
    MODEL_CHANGED = "model_changed"
    SETTINGS_CHANGED = "settings_changed"
    """Tool choice, thinking or output format: they invalidate the messages' part."""
    NO_MARKER = "no_marker"
    """Nothing was marked to be cached, now or the turn before."""
    MARKER_TOO_FAR = "marker_too_far"
    """More blocks were added than the provider looks back from a marker."""
    EXPIRED = "expired"
    EVICTED = "evicted"
    """Nothing changed and it was in time: the provider did not serve it all the same."""


@dataclass(frozen=True, slots=True)
class Prefix(Record):
    """The beginning that a request leaves in the cache, block by block: kept of the newest turn of a conversation."""

    flow_id: str
    started_at: float
    model: str
    settings: str
    """Hash of what invalidates the messages' part without being in it."""
    hashes: tuple[str, ...]
    tokens: tuple[int, ...]
    """Of each block, scaled to the provider's count where it gave one."""
    paths: tuple[tuple[str | int, ...], ...]
    tools: int
    """The first so many blocks are tool definitions, ..."""
    system: int
    """... and the next so many the system prompt."""
    markers: tuple[int, ...] = ()
    """Indexes of the blocks marked to be cached."""
    ttl: float = 300.0
    """Seconds that the cache keeps it, at least, by the longest marker."""
    explicit: bool = False
    """This provider caches only what is marked."""
    cached: int = 0
    """Tokens in the cache after this request, by the provider's count."""


@dataclass(frozen=True, slots=True)
class CacheReport(Record):
    """What the cache did for one turn. `expected` and `read` are the provider's tokens, `shared` is scaled to them."""

    verdict: Verdict
    previous: str | None = None
    """Flow id of the turn it is compared with."""
    expected: int = 0
    """Tokens that the turn before had left in the cache."""
    read: int = 0
    shared: int = 0
    """Tokens of the beginning that both turns have in common."""
    missed: int = 0
    """Expected, and not read."""
    changed_at: str | None = None
    """Where in the request the first different block stands, as jq writes paths."""
    changed_from: str | None = None
    """The same in the turn before; None when it had ended there."""
    blocks_shared: int = 0
    age: float | None = None
    """Seconds since the turn before."""
    ttl: float | None = None
    markers: tuple[str, ...] = ()
    """Where this request's markers stand."""
    cost: Decimal | None = None
    """What the missed tokens cost more than reading them would have; None when the price is unknown."""


MAX_BLOCKS = 20_000
"""Blocks of a prefix that are remembered."""


def prefix_of(flow_id: str, started_at: float, request: Request, parts: Sequence[Part], usage: Usage | None) -> Prefix:
    """Describe a request's beginning. `parts` are all its parts, with estimated tokens."""
    entries = _entries(parts)
    total = provider_total(usage)
    tokens = [entry.tokens for entry in entries]
    if total is not None:
        tokens = scale(tokens, total)
    paths = [entry.path for entry in entries]
    after_tools = entries[len(request.tools) :]
    marked = _markers(request, len(entries))
    places = {path: index for index, path in enumerate(paths[:MAX_BLOCKS])} if marked else {}
    ttls = [_ttl(marker) for marker in marked.values()]
    explicit = request.dialect in _EXPLICIT or "claude" in (request.model or "")
    cached = (usage.cache_read or 0) + usage.cache_write if usage else 0
    if not explicit and total is not None:
        cached = total
    return Prefix(
        flow_id,
        started_at,
        request.model or "",
        digest(dump_text(_settings(request))),
        tuple(entry.identity[:16] for entry in entries[:MAX_BLOCKS]),
        tuple(tokens[:MAX_BLOCKS]),
        tuple(paths[:MAX_BLOCKS]),
        tools=len(request.tools),
        system=sum(1 for _ in takewhile(lambda entry: entry.category is Category.SYSTEM, after_tools)),
        markers=tuple(sorted(places[path] for path in marked if path in places)),
        ttl=max(ttls, default=300.0 if explicit else _IMPLICIT_TTL),
        explicit=explicit,
        cached=cached,
    )


_EXPLICIT = frozenset(("anthropic", "bedrock", "bedrock_converse"))
_IMPLICIT_TTL = 3_600.0
"""OpenAI keeps prefixes for 5 to 10 minutes without use, at most an hour unless asked for 24; Gemini does not say."""


def _entries(parts: Sequence[Part]) -> list[Part]:
    """The blocks of a request; the files of one text are one block again, and framing is none."""
    entries: list[Part] = []
    for part in parts:
        if not part.identity:
            continue
        last = entries[-1] if entries else None
        if last is not None and last.identity == part.identity and last.path == part.path:
            entries[-1] = last._replace(tokens=last.tokens + part.tokens)
        else:
            entries.append(part)
    return entries


def _markers(request: Request, blocks: int) -> dict[Path, CacheMarker]:
    marked = {tool.path: tool.cache for tool in request.tools if tool.cache}
    messages = [block for message in request.messages for block in message.blocks]
    for block in (*request.system, *messages):
        inner = (
            next((each.cache for each in block.content if each.cache), None) if isinstance(block, ToolResult) else None
        )
        if marker := block.cache or inner:
            marked[block.path] = marker
    automatic = request.extra.get("cache_control")
    if isinstance(automatic, dict) and messages and blocks:
        ttl = automatic.get("ttl")
        marked[messages[-1].path] = CacheMarker(ttl if isinstance(ttl, str) else None)
    return marked


def _ttl(marker: CacheMarker) -> float:
    return {"1h": 3_600.0, "30m": 1_800.0, "24h": 86_400.0}.get(marker.ttl or "5m", 300.0)


def _settings(request: Request) -> list[object]:
    choice, thinking, output = request.tool_choice, request.reasoning, request.output
    return [
        [choice.mode, *choice.names, choice.parallel] if choice else None,
        [thinking.enabled, thinking.budget] if thinking else None,
        [output.kind, output.schema] if output else None,
    ]


_TOLERANCE = 0.02
_TOLERATED = 256
_LOOK_BACK = 20
"""Blocks that Anthropic looks back from a marker for something in its cache."""


def explain(
    previous: Prefix | None, current: Prefix, usage: Usage | None, rates: Rates, *, first: bool = True
) -> CacheReport:
    """Compare a turn with the one before it in its conversation. `first` says what it means that there is none."""
    markers = tuple(format_path(current.paths[index]) for index in current.markers)
    read = (usage.cache_read or 0) if usage else 0
    if usage is None or (usage.cache_read is None and not usage.cache_write):
        return CacheReport(Verdict.NOT_REPORTED, previous.flow_id if previous else None, markers=markers)
    if previous is None:
        return CacheReport(Verdict.FIRST if first else Verdict.NO_PREVIOUS, read=read, markers=markers)
    shared = _shared(previous, current)
    report = CacheReport(
        Verdict.HIT,
        previous.flow_id,
        expected=previous.cached,
        read=read,
        shared=sum(current.tokens[:shared]),
        missed=max(0, previous.cached - read),
        blocks_shared=shared,
        age=round(current.started_at - previous.started_at, 3),
        ttl=previous.ttl,
        markers=markers,
    )
    if shared < len(previous.hashes):
        changed_at = format_path(current.paths[shared]) if shared < len(current.paths) else None
        report = replace(report, changed_at=changed_at, changed_from=format_path(previous.paths[shared]))
    verdict = _verdict(previous, current, report)
    if verdict in (Verdict.HIT, Verdict.TOO_SMALL):
        return replace(report, verdict=verdict, missed=0)
    return replace(report, verdict=verdict, cost=_cost(report.missed, usage, rates))


def _shared(previous: Prefix, current: Prefix) -> int:
    pairs = zip(previous.hashes, current.hashes, strict=False)
    return next(
        (at for at, (old, new) in enumerate(pairs) if old != new), min(len(previous.hashes), len(current.hashes))
    )


def _verdict(previous: Prefix, current: Prefix, report: CacheReport) -> Verdict:
    if not previous.cached:
        return _nothing_kept(previous)
    if report.missed <= max(_TOLERATED, _TOLERANCE * report.expected):
        return Verdict.HIT
    if previous.model != current.model:
        return Verdict.MODEL_CHANGED
    if previous.explicit and not current.markers:
        return Verdict.NO_MARKER
    late = report.age is not None and report.age > previous.ttl
    # Nothing at all was read, though the change came late: then time explains more than the change.
    reachable = report.shared > minimum_cached(current.model)
    if report.changed_from is not None and not (late and report.read == 0 and reachable):
        return _what_changed(previous, report)
    if late:
        return Verdict.EXPIRED
    if previous.settings != current.settings:
        return Verdict.SETTINGS_CHANGED
    if not previous.explicit and report.expected <= minimum_cached(current.model):
        return Verdict.TOO_SMALL
    return Verdict.MARKER_TOO_FAR if _too_far(previous, current) else Verdict.EVICTED


def _nothing_kept(previous: Prefix) -> Verdict:
    if previous.explicit and not previous.markers:
        return Verdict.NO_MARKER
    cacheable = previous.tokens[: previous.markers[-1] + 1] if previous.markers else previous.tokens
    return Verdict.NOT_CACHED if sum(cacheable) >= minimum_cached(previous.model) else Verdict.TOO_SMALL


def _what_changed(previous: Prefix, report: CacheReport) -> Verdict:
    if report.blocks_shared < previous.tools:
        return Verdict.TOOLS_CHANGED
    if report.blocks_shared < previous.tools + previous.system:
        return Verdict.SYSTEM_CHANGED
    return Verdict.HISTORY_CHANGED


def _too_far(previous: Prefix, current: Prefix) -> bool:
    """Whether no marker of this request is near enough behind the last of the turn before to find it."""
    if not previous.explicit or not previous.markers:
        return False
    last = previous.markers[-1]
    return not any(last <= marker <= last + _LOOK_BACK for marker in current.markers)


def minimum_cached(model: str) -> int:
    """Tokens below which a prefix is not cached. Sources: the providers' pages named above, November 2026."""
    name = model.lower()
    if "claude" not in name:
        return 2_048 if "gemini-2.5-pro" in name else 1_024
    version = claude_version(name)
    if "haiku" in name:
        return 4_096 if version >= (4, 5) else 2_048
    if "opus" in name and version in ((4, 5), (4, 6)):
        return 4_096
    if version == (4, 7):
        return 2_048
    return 512 if version >= (5, 0) and "sonnet" not in name else 1_024


def _cost(missed: int, usage: Usage, rates: Rates) -> Decimal | None:
    """The price of the turn less what it had been with `missed` more tokens read from the cache."""
    now = cost_of(usage, rates).total
    if now is None:
        return None
    left = missed
    counts: dict[str, int] = {}
    for name in ("cache_write_1h", "cache_write_5m", "cache_write_other", "input"):
        have = getattr(usage, name) or 0
        counts[name] = have - min(have, left)
        left -= min(have, left)
    better = replace(usage, cache_read=(usage.cache_read or 0) + missed - left, **counts)
    return now - (cost_of(better, rates).total or Decimal(0))
