from __future__ import annotations

import json
from decimal import Decimal

from ccinspect.analyser.analyse import ANALYSER_VERSION, NOT_BILLED, Analyser, Analysis, Exchange
from ccinspect.analyser.composition import Basis
from ccinspect.analyser.turns import MemoryIndex, Turn
from ccinspect.wire.model import Outcome, Request, Usage
from tests.analyser.talk import Agent, answer, assistant, call, calls, failure, request, result, tool, user


def full_turn():
    agent = Agent(session="s")
    ask = request(user("Find the bug"), tools=[tool("Read"), tool("mcp__gh__issue")], system="You are an agent.")
    used = Usage(input=50, cache_write_5m=400, output=30)
    agent.send(ask, answer("Looking.", calls("1", "Read", file_path="/a.py"), id="msg_1", usage=used))
    talk = [
        user("Find the bug"),
        assistant("Looking.", call("1", "Read", file_path="/a.py")),
        user(result("1", "x = 1\n" * 40)),
    ]
    used = Usage(input=200, cache_read=450, output=90)
    return agent.send(
        request(*talk, tools=[tool("Read")], system="You are an agent."), answer("There.", id="msg_2", usage=used)
    )


def test_all_that_can_be_said_of_a_turn():
    analysis = full_turn().analysis
    assert analysis.version == ANALYSER_VERSION
    assert (analysis.kind, analysis.dialect, analysis.purpose) == ("generate", "anthropic", "tool_continuation")
    assert analysis.lineage.parent == "flow-1"
    assert analysis.session.session == "s"
    assert (analysis.composition.total, analysis.composition.basis) == (650, "provider")
    assert analysis.composition.files.keys() == {"/a.py"}
    assert analysis.usage == {"input": 200, "cache_read": 450, "output": 90}
    assert (analysis.cost.total, analysis.cost_basis) == (Decimal("0.002085"), Basis.PROVIDER)
    assert analysis.answer is not None
    assert analysis.answer.total == 90
    assert analysis.tools.tools.keys() == {"Read"}


def test_results_are_read_back_equal():
    outcome = full_turn()
    assert Analysis.from_json(json.loads(json.dumps(outcome.analysis.to_json()))) == outcome.analysis
    assert Turn.from_json(json.loads(json.dumps(outcome.turn.to_json()))) == outcome.turn
    assert len(json.dumps(outcome.analysis.to_json())) < 3_000


def test_the_parts_that_are_shown_sum_to_the_composition():
    outcome = full_turn()
    assert len(outcome.parts) == len(outcome.tokens)
    assert sum(outcome.tokens) == outcome.analysis.composition.total


def test_the_same_exchange_analysed_again_gives_the_same():
    ask, said = request(user("Find the bug")), answer("There.")
    exchange = Exchange("f", ask, said, 1.0, "anthropic")
    index = MemoryIndex()
    analyser = Analyser(index)
    first = analyser.analyse(exchange)
    index.add(first.turn)
    assert analyser.analyse(exchange).analysis == first.analysis


def test_counting_tokens_is_never_spend():
    counted = request(user("Find the bug"), path="/v1/messages/count_tokens")
    analysis = Agent().send(counted, answer(usage=None, count=14)).analysis
    assert (analysis.cost.source, analysis.cost.total, analysis.usage) == (NOT_BILLED, 0, {})
    assert (analysis.composition.total, analysis.composition.basis) == (14, "provider")


def test_a_request_that_failed_costs_nothing():
    analysis = Agent().send(request(user("Find the bug")), failure()).analysis
    assert (analysis.cost.source, analysis.cost.total) == (NOT_BILLED, 0)
    assert Agent().send(request(user("Find the bug")), None).analysis.cost.source == NOT_BILLED


def test_a_stream_that_was_cut_costs_what_the_provider_had_counted():
    cut = answer("Half an ans", outcome=Outcome.CLIENT_DISCONNECTED, usage=Usage(input=1_000, output=1))
    analysis = Agent().send(request(user("Find the bug")), cut).analysis
    assert analysis.cost_basis is Basis.PROVIDER
    assert analysis.cost.total == Decimal("0.003015")


def test_without_usage_the_cost_is_estimated_and_says_so():
    analysis = Agent().send(request(user("Find the bug " * 100)), answer("There it is.", usage=None)).analysis
    assert analysis.cost_basis is Basis.ESTIMATED
    assert analysis.cost.total is not None
    assert analysis.cost.total > 0
    assert analysis.usage == {}


def test_a_model_without_a_price_costs_an_unknown_sum():
    ask = request(user("Find the bug"), model="my-own")
    analysis = Agent().send(ask, answer("x")).analysis
    assert analysis.model == "claude-sonnet-4-5-20250929"
    own = Analyser().analyse(Exchange("f", Request("ollama", model="my-own"), answer("x"), 0.0, "ollama")).analysis
    assert (own.cost.source, own.cost.total) == ("unknown", None)


def test_an_empty_request_of_any_dialect_is_no_trouble():
    for dialect in ("anthropic", "openai_chat", "openai_responses", "gemini", "ollama", "something"):
        analysis = Analyser().analyse(Exchange("f", Request(dialect), None, 0.0)).analysis
        assert analysis.composition.total >= 0
