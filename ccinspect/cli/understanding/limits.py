"""`limits`: the newest state of each account's quotas."""

from __future__ import annotations

import sys
import time

from ccinspect.analyser.limits import LimitState
from ccinspect.analysis.results import AccountState
from ccinspect.cli import text
from ccinspect.cli.instance import Instance
from ccinspect.cli.jsonable import jsonable
from ccinspect.cli.output import CYAN, DIM, GREEN, RED, YELLOW, say, write_json, write_table
from ccinspect.cli.table import Cell, Column
from ccinspect.cli.understanding import bars
from ccinspect.cli.understanding.analysing import open_analysis
from ccinspect.cli.understanding.calls import words_of

COLUMNS = (
    Column("Provider"),
    Column("Account"),
    Column("Limit", least=8),
    Column("Used", "right"),
    Column("", sacrifice=4),
    Column("Left", "right", sacrifice=2),
    Column("Of", "right", sacrifice=3),
    Column("Renewed"),
    Column("Status", least=7, sacrifice=1),
    Column("Seen", sacrifice=5),
)
_GAUGE = 10
_ALARM, _WARNING = 0.9, 0.7


def show(instance: Instance, as_json: bool) -> None:
    """Print the limits of all accounts."""
    now = time.time()
    with open_analysis(instance) as analysis:
        accounts = analysis.limits(now)
    if as_json:
        write_json(jsonable(accounts))
        return
    if not accounts:
        say("ccinspect: no provider has told a limit yet")
        return
    write_table(COLUMNS, [row for account in accounts for row in rows(account, now)])
    for account in accounts:
        if account.retry_at is not None and account.retry_at > now:
            wait = text.duration(account.retry_at - now)
            say(f"ccinspect: {account.provider} asks {account.account} to wait {wait} more", YELLOW)


def rows(account: AccountState, now: float) -> list[list[str | Cell]]:
    """The cells of COLUMNS, one row a limit; one without a limit for an account that was told only a verdict."""
    limits = account.limits or (LimitState("-", account.seen_at, status=account.status),)
    return [_row(account, limit, now) for limit in limits]


def _row(account: AccountState, limit: LimitState, now: float) -> list[str | Cell]:
    used = _used(limit)
    colour = "" if used is None else RED if used >= _ALARM else YELLOW if used >= _WARNING else GREEN
    status = limit.status or ""
    if account.binding and words_of(account.binding) == _claim(limit.name):
        status = f"{status}, decides".lstrip(", ")
    return [
        Cell(account.provider, CYAN),
        account.account,
        limit.name,
        Cell("-" if used is None else f"{100 * used:.0f}%", colour),
        Cell(_gauge(used), colour),
        _number(limit.remaining),
        _number(limit.limit),
        "-" if limit.resets_at is None else f"in {text.duration(limit.resets_at - now)}",
        Cell(words_of(status), RED if status.startswith("rejected") else ""),
        Cell(text.moment(limit.seen_at, now), DIM),
    ]


def _used(limit: LimitState) -> float | None:
    if limit.used is not None:
        return limit.used
    if limit.remaining is None or not limit.limit:
        return None
    return 1 - limit.remaining / limit.limit


def _gauge(used: float | None) -> str:
    if used is None or not sys.stdout.isatty():
        return ""
    full = round(min(max(used, 0), 1) * _GAUGE)
    return bars.BLOCK * full + "░" * (_GAUGE - full)


def _claim(name: str) -> str:
    """The words that Anthropic has for a window when it says which one decides."""
    return {"unified-5h": "five hour", "unified-7d": "seven day"}.get(name, name)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.10g}"
