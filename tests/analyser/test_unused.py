from __future__ import annotations

import json
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from ccinspect.analyser.money import UNKNOWN, Prices, Rates
from ccinspect.analyser.unused import ToolLedger, ToolWeight, ledger_of, merge, unused
from ccinspect.wire.model import Usage
from tests.analyser.talk import Agent, answer, assistant, call, calls, request, result, tool, user

TOOLS = [
    tool("Read"),
    tool("mcp__gh__issue", "Long. " * 80),
    tool("mcp__gh__search", "Longer. " * 90),
    tool("mcp__db__query"),
]


def session():
    """Two turns with four tools, of which one is called in the first."""
    agent = Agent()
    first = agent.send(
        request(user("x"), tools=TOOLS), answer(calls("1", "mcp__gh__issue", n=1), usage=Usage(input=1_000, output=9))
    )
    talk = [user("x"), assistant(call("1", "mcp__gh__issue", n=1)), user(result("1", "y"))]
    second = agent.send(request(*talk, tools=TOOLS), answer("z", usage=Usage(cache_read=1_000, input=40, output=9)))
    return [first.analysis, second.analysis]


def test_tools_never_called_are_named_heaviest_first():
    report = unused(merge(analysis.tools for analysis in session()))
    assert [(weight.name, weight.server, weight.turns) for weight in report.tools] == [
        ("search", "gh", 2),
        ("query", "db", 2),
        ("Read", None, 2),
    ]
    assert report.turns == 2
    assert report.tokens == sum(weight.tokens for weight in report.tools)


def test_servers_say_how_much_of_them_is_used():
    report = unused(merge(analysis.tools for analysis in session()))
    servers = {weight.server: (weight.tools, weight.unused_tools, weight.calls) for weight in report.servers}
    assert servers == {"gh": (2, 1, 1), "db": (1, 1, 0), "": (1, 1, 0)}
    assert report.servers[0].server == "gh"
    assert report.servers[0].unused_tokens < report.servers[0].tokens


def test_definitions_read_from_the_cache_cost_a_tenth():
    first, second = (analysis.tools.tools["gh/search"] for analysis in session())
    new, read = first.cost / first.tokens, second.cost / second.tokens
    assert read == new / 10 == Decimal("0.0000003")


def test_an_unknown_price_makes_an_unknown_cost():
    analysis = session()[0]
    ledger = ledger_of([], [], {}, None, Rates(UNKNOWN))
    assert unused(ledger).cost is None
    priced = unused(
        merge([analysis.tools, ToolLedger(1, {"gh/search": ToolWeight("search", "gh", 1, 50, unpriced=1)})])
    )
    assert priced.cost is not None
    only = unused(ToolLedger(1, {"gh/search": ToolWeight("search", "gh", 1, 50, unpriced=1)}))
    assert (only.tokens, only.cost, only.servers[0].unused_cost) == (50, None, None)


def test_a_tool_called_without_a_definition_is_no_unused_weight():
    ledger = ledger_of([], [], {"web_search": 2}, Usage(), Prices().rates("gpt-5", "openai", 0, 0))
    assert ledger.tools["web_search"].calls == 2
    assert unused(ledger).tools == ()


weights = st.builds(
    ToolWeight,
    st.just("t"),
    st.none(),
    st.integers(0, 9),
    st.integers(0, 9_000),
    st.integers(0, 3),
    st.decimals(0, 100, places=6),
    st.integers(0, 2),
)
ledgers = st.builds(ToolLedger, st.integers(0, 5), st.dictionaries(st.sampled_from("abcd"), weights, max_size=4))


@given(ledgers, ledgers, ledgers)
def test_ledgers_may_be_put_together_in_any_order(one, two, three):
    assert merge([merge([one, two]), three]) == merge([one, merge([two, three])])
    assert merge([one, two]) == merge([two, one])
    assert ToolLedger.from_json(json.loads(json.dumps(one.to_json()))) == one
