"""In which order hooks run: who writes a part of the request before who reads it, else as configured.

Two hooks that both read and write the same part change it in place, one after the other, as configured; so do two that
only write it. Hooks without an order between them run at the same time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from pydantic import BaseModel

from ccinspect.errors import HookError
from ccinspect.pipeline.declaration import Hook
from ccinspect.pipeline.resources import Resource, name_of, overlap, shared


@dataclass(frozen=True, slots=True)
class Step:
    """A hook as configured: with its parameters, under a name of its own in its stage."""

    name: str
    hook: Hook
    params: BaseModel | None
    timeout: float


@dataclass(frozen=True, slots=True)
class Edge:
    """`first` runs before `then`, because of `parts`; `strict` when one of them reads what the other writes."""

    first: int
    then: int
    parts: tuple[str, ...]
    strict: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """The hooks of a stage in an order in which they can run."""

    stage: str
    steps: tuple[Step, ...] = ()
    edges: tuple[Edge, ...] = ()
    """Between indexes of `steps`."""
    before: tuple[tuple[int, ...], ...] = ()
    """For each step, those that must have ended."""


def make_plan(stage: str, steps: Sequence[Step]) -> Plan:
    """Raises HookError naming the hooks that wait for each other."""
    strict = [edge for one in range(len(steps)) for other in range(one) for edge in _strict(steps, one, other)]
    edges = {(edge.first, edge.then): edge for edge in strict}
    order = _sorted(steps, edges)
    for one in range(len(steps)):
        for other in range(one + 1, len(steps)):
            parts = _changed_by_both(steps[one].hook, steps[other].hook)
            if parts and (one, other) not in edges and (other, one) not in edges and not _leads(edges, other, one):
                edges[one, other] = Edge(one, other, parts, False)
    order = _sorted(steps, edges)
    place = {index: at for at, index in enumerate(order)}
    placed = sorted((Edge(place[e.first], place[e.then], e.parts, e.strict) for e in edges.values()), key=_by_ends)
    before = tuple(tuple(edge.first for edge in placed if edge.then == at) for at in range(len(order)))
    return Plan(stage, tuple(steps[index] for index in order), tuple(placed), before)


def _by_ends(edge: Edge) -> tuple[int, int]:
    return edge.then, edge.first


def _strict(steps: Sequence[Step], one: int, other: int) -> list[Edge]:
    """Edges between two hooks for what one writes and the other only reads; both ways if they wait for each other."""
    found = []
    for first, then in ((one, other), (other, one)):
        writer, reader = steps[first].hook, steps[then].hook
        parts = [
            (written, read)
            for written, read in shared(writer.writes, reader.reads)
            if not (_touches(writer.reads, read) and _touches(reader.writes, written))
        ]
        if parts:
            found.append(Edge(first, then, tuple(dict.fromkeys(name_of(max(pair, key=len)) for pair in parts)), True))
    return found


def _touches(resources: Sequence[Resource], part: Resource) -> bool:
    return any(overlap(resource, part) for resource in resources)


def _changed_by_both(one: Hook, other: Hook) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name_of(max(pair, key=len)) for pair in shared(one.writes, other.writes)))


def _leads(edges: dict[tuple[int, int], Edge], start: int, end: int) -> bool:
    """Whether `start` comes before `end` already."""
    reached, new = {start}, [start]
    while new:
        at = new.pop()
        for first, then in edges:
            if first == at and then not in reached:
                reached.add(then)
                new.append(then)
    return end in reached


def _sorted(steps: Sequence[Step], edges: dict[tuple[int, int], Edge]) -> list[int]:
    """Indexes of `steps` so that each edge leads forward; as configured where the edges leave it open."""
    order: list[int] = []
    left = list(range(len(steps)))
    while left:
        free = next((at for at in left if not any(then == at and first in left for first, then in edges)), None)
        if free is None:
            raise _circle(steps, edges, left)
        left.remove(free)
        order.append(free)
    return order


def _circle(steps: Sequence[Step], edges: dict[tuple[int, int], Edge], left: list[int]) -> HookError:
    walked = [left[0]]
    while len(set(walked)) == len(walked):
        walked.append(next(first for first, then in edges if then == walked[-1] and first in left))
    circle = walked[walked.index(walked[-1]) :][::-1]
    told = " and ".join(
        f"{steps[then].name} reads what {steps[first].name} writes ({', '.join(edges[first, then].parts)})"
        for first, then in pairwise(circle)
    )
    return HookError(
        f"the hooks {', '.join(steps[at].name for at in circle[:-1])} wait for each other: {told}",
        "take one of them out, put them into different stages, or let one declare less; nothing was started",
    )
