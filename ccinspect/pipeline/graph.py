"""Plans drawn: for a terminal, as Mermaid, as Graphviz's dot.

An arrow says who waits for whom, and for which part of the request. Dashed: both change the part, as configured.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from ccinspect.pipeline.order import Edge, Plan
from ccinspect.pipeline.resources import name_of


def draw(plans: Sequence[Plan], style: str = "terminal") -> str:
    """All stages in one text, ending in a newline. `style`: `terminal`, `mermaid` or `dot`; else raises KeyError."""
    styles: dict[str, Callable[[Sequence[Plan]], list[str]]] = {
        "terminal": _terminal, "mermaid": _mermaid, "dot": _dot,
    }  # fmt: skip
    return "\n".join(styles[style](plans)) + "\n"


def waves(plan: Plan) -> list[list[int]]:
    """Indexes of steps by when they can start at the earliest; those of one wave run at the same time."""
    depth: list[int] = []
    for before in plan.before:
        depth.append(1 + max((depth[first] for first in before), default=-1))
    return [[at for at, each in enumerate(depth) if each == wave] for wave in range(max(depth, default=-1) + 1)]


def needed_edges(plan: Plan) -> list[Edge]:
    """The edges without those that follow from others."""
    reach: list[set[int]] = []
    for before in plan.before:
        reach.append(set(before).union(*(reach[first] for first in before)))
    return [
        edge
        for edge in plan.edges
        if not any(edge.first in reach[other] for other in plan.before[edge.then] if other != edge.first)
    ]


def _terminal(plans: Sequence[Plan]) -> list[str]:
    lines = []
    for plan in plans:
        lines.append(f"{plan.stage}:" if plan.steps else f"{plan.stage}: no hooks")
        width = max((len(step.name) for step in plan.steps), default=0)
        edges = needed_edges(plan)
        for number, wave in enumerate(waves(plan), 1):
            for at in wave:
                step = plan.steps[at]
                after = "; ".join(f"{plan.steps[e.first].name} ({', '.join(e.parts)})" for e in edges if e.then == at)
                mark = f"{number}." if at == wave[0] else ""
                lines.append(f"  {mark:3} {step.name:{width}}  {'after ' + after if after else ''}".rstrip())
                hook = step.hook
                for word, parts in (("reads", hook.reads), ("writes", hook.writes)):
                    if parts:
                        lines.append(f"      {'':{width}}    {word} {', '.join(map(name_of, parts))}")
    return lines


def _mermaid(plans: Sequence[Plan]) -> list[str]:
    lines = ["flowchart LR"]
    for plan in plans:
        lines.append(f"  subgraph {plan.stage}")
        for at, step in enumerate(plan.steps):
            lines.append(f'    {plan.stage}{at}["{_safe(step.name)}"]')
        for edge in needed_edges(plan):
            arrow = "-->" if edge.strict else "-.->"
            label = _safe(", ".join(edge.parts))
            lines.append(f'    {plan.stage}{edge.first} {arrow}|"{label}"| {plan.stage}{edge.then}')
        lines.append("  end")
    return lines


def _safe(text: str) -> str:
    """Text within a quoted label of Mermaid: what means something there is written as an entity."""
    return "".join(each if each.isalnum() or each in " _.,-" else f"#{ord(each)};" for each in text)


def _dot(plans: Sequence[Plan]) -> list[str]:
    lines = ["digraph hooks {", "  rankdir=LR;", "  node [shape=box];"]
    for plan in plans:
        lines.append(f"  subgraph cluster_{plan.stage} {{")
        lines.append(f"    label={json.dumps(plan.stage)};")
        for at, step in enumerate(plan.steps):
            lines.append(f"    {plan.stage}{at} [label={json.dumps(step.name)}];")
        for edge in needed_edges(plan):
            style = "" if edge.strict else ", style=dashed"
            label = json.dumps(", ".join(edge.parts))
            lines.append(f"    {plan.stage}{edge.first} -> {plan.stage}{edge.then} [label={label}{style}];")
        lines.append("  }")
    return [*lines, "}"]
