"""How much may be spent: what a call belongs to, what was spent there, and whether the next one may go.

Pure but for the ledger, which adds up. A call is judged before it is sent, on what earlier calls came to: what is under
way when the limit is reached is finished. Money that is not known is never a zero: calls without a price count in
tokens only, and it is said that they do.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Literal

from ccinspect.pipeline.message import Facts
from ccinspect.policy.rules import Wildcards

WARN_AT = Decimal("0.8")


@dataclass(frozen=True, slots=True)
class Limit:
    """What may be spent on one run, or on one day."""

    name: str
    """For people: `this run`, `project web today`."""
    max_cost: Decimal | None = None
    """US dollars."""
    max_tokens: int | None = None
    on_exceed: Literal["deny", "ask"] = "deny"

    def times(self, number: int) -> Limit:
        """The limit after somebody agreed to spend it again."""
        return replace(
            self,
            max_cost=None if self.max_cost is None else self.max_cost * number,
            max_tokens=None if self.max_tokens is None else self.max_tokens * number,
        )


@dataclass(frozen=True, slots=True)
class Spent:
    cost: Decimal = Decimal(0)
    """US dollars of the calls whose price is known."""
    tokens: int = 0
    """Read and written, of all calls."""
    unpriced: int = 0
    """Calls without a known price."""

    def plus(self, cost: Decimal | None, tokens: int) -> Spent:
        return Spent(self.cost + (cost or 0), self.tokens + tokens, self.unpriced + (cost is None))


@dataclass(frozen=True, slots=True)
class Judgement:
    kind: Literal["ok", "warn", "exceeded"]
    message: str = ""
    """One line for people; empty when all is well."""
    on_exceed: Literal["deny", "ask"] = "deny"
    scope: Scope | None = None
    """Whose limit it is."""

    def as_record(self) -> dict[str, Any]:
        return {"kind": self.kind, "message": self.message, "on_exceed": self.on_exceed}


@dataclass(frozen=True, slots=True)
class Scope:
    """One run, or one day, and of which entry of `budgets` (-1: the limits that `run` was given)."""

    entry: int
    run: str | None = None
    day: datetime.date | None = None
    project: str | None = None


def judge(limit: Limit, spent: Spent) -> Judgement:
    """Whether the next call may go. `warn` from 80 % on, and where the price of calls is not known."""
    parts = list(_parts(limit, spent))
    over = [text for used, text in parts if used >= 1]
    if over:
        return Judgement("exceeded", f"the budget of {limit.name} is spent: {' and '.join(over)}", limit.on_exceed)
    near = [text for used, text in parts if used >= WARN_AT]
    if near:
        return Judgement("warn", f"the budget of {limit.name} is nearly spent: {' and '.join(near)}")
    if limit.max_cost is not None and spent.unpriced:
        return Judgement("warn", f"the budget of {limit.name} does not count all: {_unpriced(limit, spent)}")
    return Judgement("ok")


def _parts(limit: Limit, spent: Spent) -> Iterator[tuple[Decimal, str]]:
    """What was used of each limit, as a fraction and in words."""
    if limit.max_cost is not None:
        more = f", {_unpriced(limit, spent)}" if spent.unpriced else ""
        yield spent.cost / limit.max_cost, f"${_plain(spent.cost)} of ${_plain(limit.max_cost)}{more}"
    if limit.max_tokens is not None:
        yield Decimal(spent.tokens) / limit.max_tokens, f"{spent.tokens:,} of {limit.max_tokens:,} tokens"


def _unpriced(limit: Limit, spent: Spent) -> str:
    calls = "1 call has" if spent.unpriced == 1 else f"{spent.unpriced:,} calls have"
    advice = "" if limit.max_tokens is not None else "; a limit of tokens counts them too"
    return f"{calls} no known price{advice}"


def _plain(amount: Decimal) -> str:
    """Cents, and more digits only for what is less than a cent."""
    rounded = amount.quantize(Decimal("0.01"))
    return f"{rounded:f}" if rounded == amount or amount >= 1 else f"{amount.quantize(Decimal('0.0001')).normalize():f}"


def day_of(now: datetime.datetime) -> datetime.date:
    """The day a moment belongs to, on this machine's calendar. `now` knows its time zone."""
    return now.astimezone().date()


@dataclass(frozen=True, slots=True)
class Budget:
    """An entry of `budgets`, without pydantic."""

    project: str | None
    run: str | None
    per: Literal["run", "day"]
    max_cost: Decimal | None
    max_tokens: int | None
    on_exceed: Literal["deny", "ask"]

    def limit(self, scope: Scope) -> Limit:
        whose = f"project {scope.project}" if scope.project is not None else ""
        if self.per == "run":
            name = f"this run ({whose})" if whose else "this run"
        else:
            name = f"{whose} today" if whose else "today"
        return Limit(name, self.max_cost, self.max_tokens, self.on_exceed)

    def scope(self, entry: int, facts: Facts, run_name: str | None, day: datetime.date) -> Scope | None:
        """What a call of this flow is counted for; None when this budget is not about it."""
        if self.project is not None and (facts.project is None or not Wildcards.of(self.project).fits(facts.project)):
            return None
        if self.run is not None and (run_name is None or not Wildcards.of(self.run).fits(run_name)):
            return None
        project = facts.project if self.project is not None else None
        if self.per == "run":
            return None if facts.run is None else Scope(entry, run=facts.run, project=project)
        return Scope(entry, day=day, project=project)


@dataclass
class Ledger:
    """What was spent, by scope. Bounded: days and runs that are over are forgotten."""

    budgets: tuple[Budget, ...] = ()
    _runs: dict[str, Limit] = field(default_factory=dict)
    _spent: dict[Scope, Spent] = field(default_factory=dict)
    _allowed: dict[Scope, int] = field(default_factory=dict)
    _warned: set[Scope] = field(default_factory=set)
    _noted: set[Scope] = field(default_factory=set)
    _refused: set[tuple[Scope, str | None]] = field(default_factory=set)
    _declined: set[tuple[Scope, str | None]] = field(default_factory=set)

    @property
    def active(self) -> bool:
        return bool(self.budgets or self._runs)

    def start_run(
        self,
        run: str,
        max_cost: Decimal | None = None,
        max_tokens: int | None = None,
        on_exceed: Literal["deny", "ask"] = "deny",
    ) -> None:
        """Give one run limits of its own, as `run --max-cost --max-tokens` does."""
        if max_cost is not None or max_tokens is not None:
            self._runs[run] = Limit("this run", max_cost, max_tokens, on_exceed)

    def end_run(self, run: str) -> None:
        self._runs.pop(run, None)
        self._forget([scope for scope in self._spent if scope.run == run])
        self._refused = {refused for refused in self._refused if refused[1] != run}
        self._declined = {declined for declined in self._declined if declined[1] != run}

    def scopes(self, facts: Facts, now: datetime.datetime, run_name: str | None = None) -> list[Scope]:
        """What a call of this flow is counted for."""
        day = day_of(now)
        found = [budget.scope(entry, facts, run_name, day) for entry, budget in enumerate(self.budgets)]
        own = [Scope(-1, run=facts.run)] if facts.run in self._runs else []
        return [*own, *(scope for scope in found if scope is not None)]

    def add(
        self,
        facts: Facts,
        now: datetime.datetime,
        cost: Decimal | None,
        tokens: int,
        run_name: str | None = None,
    ) -> None:
        """A call has ended. `cost` in US dollars, None when its price is not known; `tokens` read and written."""
        day = day_of(now)
        self._forget([scope for scope in self._spent if scope.day is not None and scope.day < day])
        for scope in self.scopes(facts, now, run_name):
            self._spent[scope] = self._spent.get(scope, Spent()).plus(cost, tokens)

    def restore(self, scope: Scope, spent: Spent) -> None:
        """What the store knows was spent before this process began."""
        self._spent[scope] = spent

    def judge(self, facts: Facts, now: datetime.datetime, run_name: str | None = None) -> Judgement:
        """Whether the next call may go. A warning is given once for each limit, and once for unknown prices."""
        warning = Judgement("ok")
        for scope in self.scopes(facts, now, run_name):
            found = judge(self.limit(scope), self._spent.get(scope, Spent()))
            if found.kind == "exceeded":
                return replace(found, scope=scope)
            if found.kind == "warn" and warning.kind == "ok" and self._is_news(scope):
                warning = replace(found, scope=scope)
        return warning

    def limit(self, scope: Scope) -> Limit:
        own = self._runs[scope.run or ""] if scope.entry < 0 else self.budgets[scope.entry].limit(scope)
        return own.times(1 + self._allowed.get(scope, 0))

    def spend_again(self, scope: Scope) -> None:
        """Somebody agreed: the same amount once more, counted from now, with a warning before its end."""
        # Calls side by side may have gone far above the limit.
        plain = replace(self, _allowed={}).limit(scope)
        used = max((used for used, _ in _parts(plain, self._spent.get(scope, Spent()))), default=Decimal(0))
        self._allowed[scope] = max(self._allowed.get(scope, 0) + 1, math.ceil(used))
        self._warned.discard(scope)
        self._refused = {refused for refused in self._refused if refused[0] != scope}

    def decline(self, scope: Scope, run: str | None) -> None:
        """Somebody was asked, and said no: once is enough."""
        self._declined.add((scope, run))

    def is_declined(self, scope: Scope, run: str | None) -> bool:
        return (scope, run) in self._declined

    def is_first_refusal(self, scope: Scope, run: str | None) -> bool:
        """Whether a run is refused something for the first time because of this limit: an agent tries many times."""
        first = (scope, run) not in self._refused
        self._refused.add((scope, run))
        return first

    def _is_news(self, scope: Scope) -> bool:
        limit, spent = self.limit(scope), self._spent[scope]
        near = any(used >= WARN_AT for used, _ in _parts(limit, spent))
        told = self._warned if near else self._noted
        if scope in told:
            return False
        told.add(scope)
        return True

    def _forget(self, scopes: Collection[Scope]) -> None:
        for scope in scopes:
            self._spent.pop(scope, None)
            self._allowed.pop(scope, None)
            self._warned.discard(scope)
            self._noted.discard(scope)
        gone = set(scopes)
        self._refused = {refused for refused in self._refused if refused[0] not in gone}
        self._declined = {declined for declined in self._declined if declined[0] not in gone}
