"""Who writes a part of the request runs before who reads it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccinspect.errors import HookError
from ccinspect.pipeline.declaration import Hook, hook
from ccinspect.pipeline.order import Plan, Step, make_plan
from ccinspect.pipeline.resources import overlap


def declared(name: str, reads: str = "", writes: str = "") -> Step:
    def nothing(ctx: object) -> None: ...

    made: Hook = hook(reads=reads.split(), writes=writes.split(), name=name)(nothing)
    return Step(name, made, None, 5.0)


def names(plan: Plan) -> list[str]:
    return [step.name for step in plan.steps]


def arrows(plan: Plan) -> set[tuple[str, str, bool]]:
    return {(plan.steps[edge.first].name, plan.steps[edge.then].name, edge.strict) for edge in plan.edges}


@pytest.mark.parametrize(
    ("steps", "order", "edges"),
    [
        ([], [], set()),
        ([declared("b", reads="session"), declared("a", writes="session")], ["a", "b"], {("a", "b", True)}),
        # A name stands for all below it, on either side.
        ([declared("b", reads="body.model"), declared("a", writes="body")], ["a", "b"], {("a", "b", True)}),
        ([declared("b", reads="headers"), declared("a", writes="headers.X-One")], ["a", "b"], {("a", "b", True)}),
        ([declared("a", reads="headers.x"), declared("b", writes="headers.y")], ["a", "b"], set()),
        # Whoever changes a part in place comes in the order of the configuration.
        (
            [declared("b", reads="body", writes="body"), declared("a", reads="body", writes="body")],
            ["b", "a"],
            {("b", "a", False)},
        ),
        ([declared("b", writes="url"), declared("a", writes="url.host")], ["b", "a"], {("b", "a", False)}),
        # Who only writes comes before who changes in place.
        (
            [declared("b", reads="body", writes="body"), declared("a", writes="body.model")],
            ["a", "b"],
            {("a", "b", True)},
        ),
        ([declared("c"), declared("a"), declared("b")], ["c", "a", "b"], set()),
        # The configured order gives way where it would close a circle: c before b before a.
        (
            [
                declared("a", reads="session", writes="url"),
                declared("b", reads="notes.x", writes="session"),
                declared("c", writes="notes.x url"),
            ],
            ["c", "b", "a"],
            {("b", "a", True), ("c", "b", True)},
        ),
    ],
)
def test_order(steps: list[Step], order: list[str], edges: set[tuple[str, str, bool]]) -> None:
    plan = make_plan("inbound", steps)
    assert names(plan) == order
    assert arrows(plan) == edges


def test_hooks_that_wait_for_each_other_are_named() -> None:
    circle = [
        declared("first", reads="session", writes="url"),
        declared("bystander", reads="body"),
        declared("second", reads="url.host", writes="notes.a"),
        declared("third", reads="notes", writes="session"),
    ]
    with pytest.raises(HookError) as caught:
        make_plan("inbound", circle)
    message = caught.value.message
    assert all(name in message for name in ("first", "second", "third", "url.host", "notes.a", "session"))
    assert "bystander" not in message
    assert caught.value.hint


def test_two_that_wait_for_each_other() -> None:
    with pytest.raises(HookError, match="wait for each other"):
        make_plan("inbound", [declared("a", "headers", "body"), declared("b", "body", "headers")])


parts = st.lists(
    st.sampled_from(["body", "body.a", "body.b", "headers", "headers.x", "session", "url.host", "notes.n"]), max_size=2
)


@settings(deadline=None)
@given(st.lists(st.tuples(parts, parts), max_size=7))
def test_no_order_is_given_that_breaks_a_promise(declarations: list[tuple[list[str], list[str]]]) -> None:
    steps = [declared(str(at), " ".join(reads), " ".join(writes)) for at, (reads, writes) in enumerate(declarations)]
    try:
        plan = make_plan("inbound", steps)
    except HookError:
        return
    assert sorted(names(plan)) == sorted(step.name for step in steps)
    for edge in plan.edges:
        assert edge.first < edge.then
    reach: list[set[int]] = []
    for before in plan.before:
        reach.append(set(before).union(*(reach[first] for first in before)))
    for then, second in enumerate(plan.steps):
        for first, one in enumerate(plan.steps[:then]):
            # Whatever one of them writes and the other touches, they never run at the same time.
            touched = [*second.hook.reads, *second.hook.writes]
            clash = any(overlap(w, t) for w in one.hook.writes for t in touched)
            clash |= any(overlap(w, t) for w in second.hook.writes for t in one.hook.reads)
            assert not clash or first in reach[then]
