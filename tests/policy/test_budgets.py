"""Amounts, limits, and what is said when they are near."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccinspect.pipeline.message import Facts
from ccinspect.policy.amounts import parse_dollars, parse_tokens
from ccinspect.policy.budgets import Ledger, Limit, Scope, Spent, judge
from ccinspect.policy.settings import BudgetConfig

NOON = datetime.datetime(2026, 11, 20, 12, tzinfo=datetime.UTC).astimezone()
TOMORROW = NOON + datetime.timedelta(days=1)
FACTS = Facts("f", "wireguard", run="run-1", project="web")


def ledger(*entries: dict[str, Any]) -> Ledger:
    return Ledger(tuple(BudgetConfig.model_validate(entry).budget() for entry in entries))


@pytest.mark.parametrize(
    ("text", "amount"),
    [("5", "5"), ("$5", "5"), (" $0.50 ", "0.50"), ("5usd", "5"), (5, "5"), (0.5, "0.5"), (Decimal("1.25"), "1.25")],
)
def test_money(text: object, amount: str) -> None:
    assert parse_dollars(text) == Decimal(amount)


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "0.00", "5€", "1e3", "inf", "nan", "$", "1,5", "\u0665", True, None, "9" * 40]
)
def test_no_money(text: object) -> None:
    with pytest.raises(ValueError, match="US dollars"):
        parse_dollars(text)


@pytest.mark.parametrize(
    ("text", "amount"),
    [("800", 800), ("500k", 500_000), ("2M", 2_000_000), ("1.5m", 1_500_000), ("2_000_000", 2_000_000),
     ("2,000", 2_000), ("1g", 10**9), (7, 7), ("0.5k", 500)],
)  # fmt: skip
def test_tokens(text: object, amount: int) -> None:
    assert parse_tokens(text) == amount


@pytest.mark.parametrize(
    "text", ["", "0", "0.1", "1.0001k", "k", "-5", "2 million", "20,00", True, None, "1e3", "9" * 30]
)
def test_no_tokens(text: object) -> None:
    with pytest.raises(ValueError, match="tokens"):
        parse_tokens(text)


@pytest.mark.parametrize(
    ("limit", "spent", "kind"),
    [
        (Limit("x", Decimal(5)), Spent(), "ok"),
        (Limit("x", Decimal(5)), Spent(Decimal("3.99")), "ok"),
        (Limit("x", Decimal(5)), Spent(Decimal(4)), "warn"),
        (Limit("x", Decimal(5)), Spent(Decimal(5)), "exceeded"),
        (Limit("x", None, 100), Spent(Decimal(99), 79), "ok"),
        (Limit("x", None, 100), Spent(Decimal(0), 80), "warn"),
        (Limit("x", None, 100), Spent(Decimal(0), 100), "exceeded"),
        (Limit("x", Decimal(5), 100), Spent(Decimal(0), 100), "exceeded"),
        (Limit("x", Decimal(5), 100), Spent(Decimal(6), 1), "exceeded"),
        (Limit("x", Decimal(5)), Spent(Decimal(0), 10**9, 3), "warn"),
        (Limit("x", Decimal(5), 100), Spent(Decimal(0), 10, 3), "warn"),
        (Limit("x", None, 100), Spent(Decimal(0), 10, 3), "ok"),
    ],
)
def test_judging(limit: Limit, spent: Spent, kind: str) -> None:
    assert judge(limit, spent).kind == kind


def test_what_is_said() -> None:
    said = judge(Limit("this run", Decimal(5), 2_000_000), Spent(Decimal("5.125"), 123_456, 2)).message
    assert said == "the budget of this run is spent: $5.12 of $5.00, 2 calls have no known price"
    assert "a limit of tokens counts them too" in judge(Limit("x", Decimal(5)), Spent(Decimal(0), 5, 1)).message
    assert judge(Limit("today", None, 100), Spent(tokens=90)).message == (
        "the budget of today is nearly spent: 90 of 100 tokens"
    )


@given(st.decimals(0, 1000, places=6), st.integers(0, 10**9), st.integers(0, 5))
def test_more_spent_is_never_better(cost: Decimal, tokens: int, unpriced: int) -> None:
    order = {"ok": 0, "warn": 1, "exceeded": 2}
    limit = Limit("x", Decimal(10), 1_000_000)
    less, more = Spent(cost, tokens, unpriced), Spent(cost + 1, tokens + 1_000, unpriced + 1)
    assert order[judge(limit, less).kind] <= order[judge(limit, more).kind]


def test_a_run_has_its_own_limits() -> None:
    books = Ledger()
    assert not books.active
    books.start_run("run-1", Decimal(1))
    books.add(FACTS, NOON, Decimal("0.85"), 100)
    assert books.judge(FACTS, NOON).kind == "warn"
    assert books.judge(FACTS, NOON).kind == "ok", "said once"
    books.add(FACTS, NOON, Decimal("0.2"), 100)
    judged = books.judge(FACTS, NOON)
    assert (judged.kind, judged.on_exceed) == ("exceeded", "deny")
    assert books.judge(Facts("f", "wireguard", run="run-2"), NOON).kind == "ok"
    books.end_run("run-1")
    assert books.judge(FACTS, NOON).kind == "ok"
    assert not books.active


def test_a_day_ends() -> None:
    books = ledger({"max_tokens": 100})
    books.add(FACTS, NOON, None, 100)
    assert books.judge(FACTS, NOON).kind == "exceeded"
    assert books.judge(FACTS, TOMORROW).kind == "ok"
    books.add(FACTS, TOMORROW, None, 1)
    assert len(books._spent) == 1, "yesterday is forgotten"


def test_each_project_has_its_own_budget() -> None:
    books = ledger({"project": "*", "max_cost": 1})
    books.add(FACTS, NOON, Decimal(2), 1)
    assert books.judge(FACTS, NOON).message == "the budget of project web today is spent: $2.00 of $1.00"
    assert books.judge(Facts("f", "proxy", project="other"), NOON).kind == "ok"
    assert books.judge(Facts("f", "proxy"), NOON).kind == "ok"


def test_runs_by_name() -> None:
    books = ledger({"run": "nightly-*", "per": "run", "max_tokens": "1k", "on_exceed": "ask"})
    books.add(FACTS, NOON, None, 1_000, run_name="nightly-1")
    assert books.judge(FACTS, NOON, run_name="daily").kind == "ok"
    judged = books.judge(FACTS, NOON, run_name="nightly-1")
    assert (judged.kind, judged.on_exceed) == ("exceeded", "ask")
    assert judged.scope is not None
    books.spend_again(judged.scope)
    assert books.judge(FACTS, NOON, run_name="nightly-1").kind == "ok"
    books.add(FACTS, NOON, None, 600, run_name="nightly-1")
    assert books.judge(FACTS, NOON, run_name="nightly-1").kind == "warn"
    books.add(FACTS, NOON, None, 400, run_name="nightly-1")
    assert books.judge(FACTS, NOON, run_name="nightly-1").kind == "exceeded"


def test_who_agrees_agrees_to_the_whole_amount_however_much_is_spent() -> None:
    books = ledger({"max_tokens": 1_000, "on_exceed": "ask"})
    books.add(FACTS, NOON, None, 4_900)
    scope = books.judge(FACTS, NOON).scope
    assert scope is not None
    books.spend_again(scope)
    books.add(FACTS, NOON, None, 1_000)
    assert books.judge(FACTS, NOON).kind != "exceeded"
    books.add(FACTS, NOON, None, 200)
    assert books.judge(FACTS, NOON).kind == "exceeded"


def test_unknown_prices_and_the_end_of_a_budget_are_two_warnings() -> None:
    books = ledger({"max_cost": 1})
    books.add(FACTS, NOON, None, 5)
    assert "no known price" in books.judge(FACTS, NOON).message
    assert books.judge(FACTS, NOON).kind == "ok"
    books.add(FACTS, NOON, Decimal("0.9"), 5)
    assert "nearly spent" in books.judge(FACTS, NOON).message
    assert books.judge(FACTS, NOON).kind == "ok"


def test_what_the_store_knows_is_taken_over() -> None:
    books = ledger({"max_cost": 1})
    (scope,) = books.scopes(FACTS, NOON)
    assert scope == Scope(0, day=NOON.date())
    books.restore(scope, Spent(Decimal(3), 10, 0))
    assert books.judge(FACTS, NOON).kind == "exceeded"


@pytest.mark.parametrize(
    "entry", [{}, {"project": "a"}, {"max_cost": 0}, {"max_tokens": "some"}, {"max_cost": 1, "x": 1}]
)
def test_no_budget(entry: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        BudgetConfig.model_validate(entry)
