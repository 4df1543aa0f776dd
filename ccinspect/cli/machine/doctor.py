"""`ccinspect doctor`: everything that can be wrong here, looked at once, one line each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ccinspect.cli.changing.check_lines import check_lines
from ccinspect.cli.instance import Instance
from ccinspect.cli.machine import doctor_daemon, doctor_instance, doctor_machine
from ccinspect.cli.output import GREEN, RED, YELLOW, paint
from ccinspect.cli.refusals import refusal
from ccinspect.cli.status import read_status
from ccinspect.errors import CcinspectError
from ccinspect.jail.doctor import Check
from ccinspect.jail.doctor import checks as jail_checks

_Find = Callable[[], Iterable[Check]]


def examine(instance: Instance, *, credentials: bool) -> dict[str, Any]:
    """`{ok, checks}`; a check is `{group, name, status, detail, fix}`, its status ok, warn, fail or absent.

    Starts and changes nothing. With `credentials` each source of one is asked.
    """
    status = read_status(instance)
    found = [
        *_group("machine", lambda: doctor_machine.checks(instance.paths)),
        *_group("settings", lambda: doctor_instance.checks(instance, status, credentials=credentials)),
        *_group("daemon", lambda: doctor_daemon.checks(status)),
        *_group("jail", jail_checks),
    ]
    return {"ok": not any(check["status"] == "fail" for check in found), "checks": found}


def _group(name: str, find: _Find) -> Iterator[dict[str, Any]]:
    try:
        for check in find():
            yield {"group": name, **check.as_json()}
    except CcinspectError as error:
        yield {"group": name, **Check(name, "fail", error.message, error.hint).as_json()}
    except Exception as error:  # what is wrong with one group must not hide the others
        told = refusal(error) or CcinspectError(
            f"internal error: {type(error).__name__}: {error}",
            "please report it, with what `ccinspect --verbose doctor` shows",
        )
        yield {"group": name, **Check(name, "fail", told.message, told.hint).as_json()}


def report_lines(report: dict[str, Any]) -> Iterator[str]:
    """The report for a person; what is to be done stands below each finding."""
    group = ""
    for check in report["checks"]:
        if check["group"] != group:
            yield from (["", check["group"]] if group else [check["group"]])
            group = check["group"]
        yield from check_lines([check], columns=_NAME_COLUMNS)
    failed = sum(check["status"] == "fail" for check in report["checks"])
    warned = sum(check["status"] == "warn" for check in report["checks"])
    yield ""
    if failed:
        yield paint(f"{failed} to mend, {warned} to look at; see the lines with ->", RED)
    elif warned:
        yield paint(f"nothing to mend, {warned} to look at", YELLOW)
    else:
        yield paint("all is well", GREEN)


_NAME_COLUMNS = 18
