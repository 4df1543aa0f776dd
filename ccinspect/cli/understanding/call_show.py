"""`flows show` of a model call: what was said, with the tokens of each block."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from ccinspect.analyser.composition import Basis
from ccinspect.analyser.tokens import TokenCounter, scheme_for
from ccinspect.analysis.results import Call, OpenedCall
from ccinspect.cli import text
from ccinspect.cli.flows.flow_show import summary_lines
from ccinspect.cli.instance import Instance
from ccinspect.cli.output import DIM, YELLOW, paint, say, terminal_width
from ccinspect.cli.pager import page
from ccinspect.cli.reading import open_store
from ccinspect.cli.understanding import amounts, calls
from ccinspect.cli.understanding.analysing import open_analysis
from ccinspect.cli.understanding.conversation_view import View, request_lines, response_lines
from ccinspect.errors import AmbiguousFlowId, CcinspectError, FlowNotFound
from ccinspect.wire.model import Path

_PIPE_COLUMNS = 100


def show(instance: Instance, flow: str, *, everything: bool) -> bool:
    """Print the call as a conversation; False when the flow is none that can be read.

    Raises FlowNotFound, AmbiguousFlowId.
    """
    try:
        with open_analysis(instance) as analysis:
            of_flow = analysis.calls_of(flow.partition("#")[0])
            opened = analysis.open_call(flow) if any(call.readable for call in of_flow) else None
    except (FlowNotFound, AmbiguousFlowId):
        raise
    except CcinspectError as error:
        # The flow itself can be shown even where its meaning cannot.
        say(f"ccinspect: {error.message}")
        return False
    if opened is None:
        return False
    with open_store(instance) as store:
        record = store.get(opened.call.flow)
    page(_lines(record, opened, len(of_flow), everything))
    return True


def _lines(record: dict[str, Any], opened: OpenedCall, calls_of_flow: int, everything: bool) -> Iterator[str]:
    call = opened.call
    yield from summary_lines(record)
    yield from _call_lines(call, calls_of_flow)
    view = _view(opened, everything)
    if not opened.complete:
        yield paint("  history kept at the provider was not captured: what follows is a part", YELLOW)
    yield from request_lines(opened.request, view)
    yield from _framing_lines(opened, view)
    if opened.response is not None:
        yield from response_lines(opened.response, view)
    yield ""
    marks = amounts.legend([amounts.ESTIMATED_MARK]) if _has_estimates(opened) else ""
    ident = calls.short_id(call.id)
    more = f"composition: ccinspect flows context {ident}   headers and bodies: --http"
    for line in filter(None, (marks, more)):
        yield paint(text.clean(line), DIM)


def _call_lines(call: Call, calls_of_flow: int) -> Iterator[str]:
    who = [call.provider, call.model or "", calls.agent(call)]
    yield _fact("call", ", ".join(word for word in who if word))
    what = [calls.words_of(call.purpose), f"turn {call.turn}" if call.turn else "", calls.outcome_cell(call).text]
    yield _fact("purpose", ", ".join(word for word in what if word))
    tokens, money = calls.token_lines(call)
    yield _fact("tokens", tokens)
    yield _fact("cost", money)
    if call.conversation:
        ident = calls.short_id(call.conversation)
        yield _fact("part of", f"conversation {ident}: ccinspect conversations show {ident}")
    if calls_of_flow > 1:
        yield _fact("calls", f"{calls_of_flow} on this connection: show {calls.short_id(call.flow)}#1 and so on")
    if call.note:
        yield _fact("note", call.note)


def _fact(label: str, value: str) -> str:
    return f"  {label:<8} {text.clean(value)}"


def _view(opened: OpenedCall, everything: bool) -> View:
    tokens: defaultdict[Path, int] = defaultdict(int)
    for part, count in zip(opened.parts, opened.tokens, strict=True):
        if part.path:
            tokens[part.path] += count
    return View(
        columns=terminal_width() if sys.stdout.isatty() else _PIPE_COLUMNS,
        lines=None if everything else View.lines,
        basis=opened.basis,
        tokens=tokens,
        answer=_answer_tokens(opened),
        answer_basis=Basis.ESTIMATED,
    )


def _framing_lines(opened: OpenedCall, view: View) -> Iterator[str]:
    """What is in the window and stands nowhere in the request, so that everything adds up to the whole."""
    around = sum(count for part, count in zip(opened.parts, opened.tokens, strict=True) if not part.path)
    counts = opened.call.counts
    rest = counts.context - sum(opened.tokens) if counts.basis == Basis.PROVIDER == opened.basis else 0
    if around or rest:
        yield ""
    if around:
        yield view.heading("put around it by the provider", around, DIM)
    if rest > 0:
        yield view.heading("counted by the provider, and not to be seen here", rest, DIM)


def _answer_tokens(opened: OpenedCall) -> list[int | None]:
    """Of each block of the answer, counted here: providers tell only their sum."""
    if opened.response is None:
        return []
    counter = TokenCounter()
    scheme = scheme_for(opened.response.dialect, opened.call.model)
    return [counter.count_block(block, scheme).tokens or None for block in opened.response.blocks]


def _has_estimates(opened: OpenedCall) -> bool:
    return opened.basis != Basis.PROVIDER or bool(opened.response and opened.response.blocks)
