"""Turn after turn against Anthropic's cache; each test is one reason for a miss."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccinspect.analyser.cache_misses import (
    CacheReport,
    Prefix,
    Verdict,
    explain,
    minimum_cached,
    prefix_of,
)
from ccinspect.analyser.composition import measure
from ccinspect.analyser.money import Prices
from ccinspect.analyser.tokens import TokenCounter
from ccinspect.wire.model import Usage
from tests.analyser.talk import COUNTS, Agent, answer, assistant, call, failure, request, result, tool, user

PRICES = Prices()
EPHEMERAL = {"cache_control": {"type": "ephemeral"}}
HOUR = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
SYSTEM = [{"type": "text", "text": "You are an agent. " * 300, **EPHEMERAL}]
TOOLS = [tool("Read", "Reads a file. " * 200), tool("Bash", "Runs a command. " * 200)]


def marked(text, marker=EPHEMERAL):
    return {"type": "text", "text": text, **marker}


def usage(read, write, new=10):
    return Usage(input=new, cache_read=read, cache_write_5m=write, output=50)


def two_turns(first=None, second=None, *, read=0, write=6_500, wait=5.0, marker=EPHEMERAL, added=0, response=None):
    """The cache report of the second turn, whose request differs from the first's continuation by `second`."""
    agent = Agent()
    begin = {"system": SYSTEM, "tools": TOOLS, **(first or {})}
    agent.send(
        request(user(marked("Find the bug", marker)), **begin), response or answer("Where?", usage=usage(0, 6_000))
    )
    agent.now += wait - agent.step
    more = [assistant("Where?"), user(*["x"] * added, marked("There", marker))]
    changed = {**begin, **(second or {})}
    messages = changed.pop("messages", [user(marked("Find the bug", {})), *more])
    return agent.send(request(*messages, **changed), answer("Ah.", usage=usage(read, write))).analysis.cache


def test_a_turn_that_reads_what_the_one_before_left_is_a_hit():
    report = two_turns(read=6_000, write=500)
    assert (report.verdict, report.missed, report.expected, report.read) == (Verdict.HIT, 0, 6_000, 6_000)
    assert report.cost is None
    assert report.markers == (".system[0]", ".messages[2].content[0]")


def test_the_first_turn_has_nothing_to_read():
    outcome = Agent().send(request(user("hi")), answer("x", usage=usage(0, 5_000)))
    assert outcome.analysis.cache.verdict is Verdict.FIRST


def test_another_tool_first_in_the_list_changes_everything():
    report = two_turns(second={"tools": [tool("Zap"), *TOOLS]})
    assert (report.verdict, report.missed, report.changed_at, report.changed_from) == (
        Verdict.TOOLS_CHANGED,
        6_000,
        ".tools[0]",
        ".tools[0]",
    )
    assert report.blocks_shared == 0


def test_a_changed_system_prompt_leaves_the_tools():
    report = two_turns(second={"system": [{**SYSTEM[0], "text": "It is 12:01. " + SYSTEM[0]["text"]}]})
    assert (report.verdict, report.changed_at, report.blocks_shared) == (Verdict.SYSTEM_CHANGED, ".system[0]", 2)
    assert 0 < report.shared < 6_000


def test_a_changed_message_leaves_tools_and_system_prompt():
    talk = [user("Find the bug"), assistant("Where?"), user(result("1", "a long result")), user(marked("There"))]
    cleared = [*talk[:2], user(result("1", "[removed]")), talk[3], assistant("Ah."), user(marked("Thanks"))]
    before, after = (request(*each, system=SYSTEM, tools=TOOLS) for each in (talk, cleared))
    old = prefix_of("one", 0.0, before, measure(before, TokenCounter(COUNTS)), usage(0, 6_000))
    used = usage(5_000, 1_100)
    new = prefix_of("two", 9.0, after, measure(after, TokenCounter(COUNTS)), used)
    report = explain(old, new, used, PRICES.rates("claude-sonnet-4-5", "anthropic", 0.0, 6_110))
    assert (report.verdict, report.missed) == (Verdict.HISTORY_CHANGED, 1_000)
    assert (report.changed_at, report.blocks_shared) == (".messages[2].content[0]", 5)


def test_lines_that_change_with_each_call_change_nothing():
    line = "x-anthropic-billing-header: cch={};\n"
    first = {"system": [{"type": "text", "text": line.format(1)}, *SYSTEM]}
    second = {"system": [{"type": "text", "text": line.format(2)}, *SYSTEM]}
    assert two_turns(first, second, read=6_000).verdict is Verdict.HIT


def test_five_minutes_later_it_has_expired_and_an_hour_marker_lasts_an_hour():
    assert two_turns(wait=301).verdict is Verdict.EXPIRED
    assert two_turns(wait=299).verdict is Verdict.EVICTED
    assert two_turns(wait=301, marker=HOUR).verdict is Verdict.EVICTED
    late = two_turns(wait=4_000, marker=HOUR)
    assert (late.verdict, late.age, late.ttl) == (Verdict.EXPIRED, 4_000.0, 3_600.0)


def test_another_model_has_another_cache():
    assert two_turns(second={"model": "claude-opus-4-1"}).verdict is Verdict.MODEL_CHANGED


def test_another_tool_choice_or_thinking_budget_loses_the_messages():
    assert two_turns(second={"tool_choice": {"type": "any"}}, read=4_000).verdict is Verdict.SETTINGS_CHANGED
    thinking = {"thinking": {"type": "enabled", "budget_tokens": 2_048}}
    assert two_turns(second=thinking, read=4_000).verdict is Verdict.SETTINGS_CHANGED


def test_without_a_marker_nothing_is_read():
    talk = [user("Find the bug"), assistant("Where?"), user("There")]
    plain = {"system": "You are an agent. " * 300}
    report = two_turns(plain, {"messages": talk}, write=0)
    assert (report.verdict, report.markers) == (Verdict.NO_MARKER, ())


def test_a_marker_more_than_twenty_blocks_on_finds_nothing():
    first = {"system": "You are an agent. " * 300}
    near, far = two_turns(first, added=15), two_turns(first, added=30)
    assert near.verdict is Verdict.EVICTED
    assert far.verdict is Verdict.MARKER_TOO_FAR


def test_a_provider_that_keeps_nothing_is_told_from_a_text_too_short():
    """Endpoints that only speak the dialect may ignore all markers."""
    agent = Agent()
    long = "word " * 3_000
    agent.send(request(user(marked(long))), answer("yes?", usage=Usage(input=3_000, cache_read=0, output=5)))
    talk = [user(long), assistant("yes?"), user(marked("x"))]
    report = agent.send(request(*talk), answer("ok", usage=Usage(input=3_010, cache_read=0, output=5))).analysis.cache
    assert (report.verdict, report.expected, report.missed) == (Verdict.NOT_CACHED, 0, 0)


def test_what_is_too_short_is_not_cached():
    agent = Agent()
    agent.send(request(user(marked("hi"))), answer("yes?", usage=Usage(input=20, cache_read=0, output=5)))
    talk = [user("hi"), assistant("yes?"), user(marked("x"))]
    report = agent.send(request(*talk), answer("ok", usage=Usage(input=40, cache_read=0, output=5))).analysis.cache
    assert report.verdict is Verdict.TOO_SMALL


def test_a_provider_that_says_nothing_of_its_cache():
    agent = Agent()
    agent.send(request(user("hi")), answer("yes?", usage=Usage(input=20)))
    report = agent.send(
        request(user("hi"), assistant("yes?"), user("x")), answer("ok", usage=Usage(input=40))
    ).analysis.cache
    assert report.verdict is Verdict.NOT_REPORTED


def test_a_turn_before_that_is_not_kept_is_said_to_be_so():
    agent = Agent()
    agent.send(request(user("hi")), answer("yes?", usage=usage(0, 5_000)))
    agent.analyser.prefixes._kept.clear()
    follow = request(user("hi"), assistant("yes?"), user("x"))
    assert agent.send(follow, answer("ok", usage=usage(5_000, 0))).analysis.cache.verdict is Verdict.NO_PREVIOUS


def test_after_a_retry_the_answered_attempt_counts():
    agent = Agent()
    ask = request(user(marked("Find the bug")), system=SYSTEM, tools=TOOLS)
    agent.send(ask, failure())
    agent.send(ask, answer("Where?", usage=usage(0, 6_000)))
    more = request(user("Find the bug"), assistant("Where?"), user(marked("There")), system=SYSTEM, tools=TOOLS)
    report = agent.send(more, answer("Ah.", usage=usage(6_000, 90))).analysis.cache
    assert (report.verdict, report.previous, report.expected) == (Verdict.HIT, "flow-2", 6_000)


def test_a_miss_costs_what_writing_anew_costs_more_than_reading():
    report = two_turns(wait=301)
    # Sonnet 4.5: 3.75 dollars a million to write, 0.30 to read.
    assert report.cost == Decimal(6_000) * (Decimal("3.75") - Decimal("0.30")) / 1_000_000
    assert CacheReport.from_json(json.loads(json.dumps(report.to_json()))) == report


def test_an_unknown_price_makes_an_unknown_cost():
    agent = Agent()
    used = [usage(0, 6_000), usage(0, 6_500)]
    talk = [user(marked("Find the bug")), assistant("Where?"), user(marked("There"))]
    for turn, each in enumerate(used):
        said = replace(answer("Where?", usage=each), model=None)
        report = agent.send(request(*talk[: 2 * turn + 1], model="my-own", system=SYSTEM), said).analysis.cache
    assert (report.verdict, report.missed, report.cost) == (Verdict.EVICTED, 6_000, None)


def test_openai_caches_without_markers():
    agent = Agent()
    words = "You are an agent. " * 300

    def chat(*messages, read):
        ask = replace(request(*messages, system=words), dialect="openai_chat", model="gpt-5")
        used = Usage(input=1_300 - read, cache_read=read, output=5)
        return agent.send(
            ask, replace(answer("Where?", usage=used), dialect="openai_chat", model="gpt-5")
        ).analysis.cache

    chat(user("Find the bug"), read=0)
    report = chat(user("Find the bug"), assistant("Where?"), user("There"), read=1_280)
    assert (report.verdict, report.expected) == (Verdict.HIT, 1_300)


def test_automatic_caching_marks_the_last_block():
    agent = Agent()
    outcome = agent.send(
        request(user("a", "b"), cache_control={"type": "ephemeral"}), answer("x", usage=usage(0, 5_000))
    )
    assert outcome.prefix.markers == (1,)
    assert outcome.analysis.cache.markers == (".messages[0].content[1]",)


def test_a_marker_inside_a_tool_result_marks_the_result():
    inner = result("1", [marked("text")])
    outcome = Agent().send(request(user("a"), assistant(call("1", "Read")), user(inner)), answer("x"))
    assert outcome.prefix.markers == (2,)


@given(st.lists(st.text(max_size=30), min_size=1, max_size=5), st.integers(0, 9_000), st.integers(1, 9_000))
def test_a_prefix_is_read_back_and_its_tokens_sum_to_the_providers(texts, read, new):
    ask = request(user(*texts), system="You are.", tools=TOOLS[:1])
    used = Usage(input=new, cache_read=read)
    prefix = prefix_of("f", 1.0, ask, measure(ask, TokenCounter(COUNTS)), used)
    assert sum(prefix.tokens) == new + read
    assert (prefix.tools, prefix.system) == (1, 1)
    assert len(prefix.hashes) == len(prefix.tokens) == len(prefix.paths)
    assert Prefix.from_json(json.loads(json.dumps(prefix.to_json()))) == prefix


@pytest.mark.parametrize(
    ("model", "tokens"),
    [
        ("claude-sonnet-4-5-20250929", 1_024),
        ("claude-opus-4-1", 1_024),
        ("claude-opus-4-6", 4_096),
        ("claude-opus-4-7", 2_048),
        ("claude-haiku-4-5", 4_096),
        ("claude-3-5-haiku-20241022", 2_048),
        ("claude-opus-5", 512),
        ("claude-sonnet-5", 1_024),
        ("gpt-5", 1_024),
    ],
)
def test_what_a_model_caches_at_least(model, tokens):
    assert minimum_cached(model) == tokens
