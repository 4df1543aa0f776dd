"""The `changes` of a flow's record in lines: hooks, route, credentials, attempts, policy, diagnostics.

What stands there comes from hooks that anybody may write: nothing is taken for granted about its form.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ccinspect.cli import text
from ccinspect.cli.output import DIM, GREEN, RED, YELLOW, paint

_STATES = {"ran": GREEN, "skipped": DIM, "failed": RED, "timeout": RED}
_SEVERITIES = {"info": DIM, "warning": YELLOW, "error": RED}
_HANDLED = {"flag": "noted", "stop": "stopped"}
_NAMES = 12
_TOLD = {
    *("hooks", "route", "credentials", "attempts", "policy", "refused", "unknown_hooks", "diagnostics", "notes"),
    "stored",
}


def change_lines(changes: dict[str, Any] | None) -> Iterator[str]:
    """A line for each thing that was done; nothing where nothing was."""
    if not isinstance(changes, dict):
        return
    for hook in _objects(changes.get("hooks")):
        yield _line("hook", _hook(hook), _STATES.get(str(hook.get("state")), ""))
    route = changes.get("route")
    if route:
        yield _line("route", _route(route))
    if changes.get("credentials"):
        yield _line("key", f"credential of {changes['credentials']}")
    for number, attempt in enumerate(_objects(changes.get("attempts")), 1):
        yield _line("attempt", f"{number}. {_attempt(attempt)}")
    if changes.get("policy"):
        yield _line("policy", _policy(changes["policy"]))
    if changes.get("refused"):
        yield _line("refused", _refused(changes["refused"]), RED)
    unknown = changes.get("unknown_hooks")
    if isinstance(unknown, list) and unknown:
        yield _line("hook", f"none is configured that is called {', '.join(map(_said, unknown[:_NAMES]))}", YELLOW)
    for diagnostic in _objects(changes.get("diagnostics")):
        severity = str(diagnostic.get("severity") or "")
        words = [severity, diagnostic.get("code"), diagnostic.get("path"), diagnostic.get("message")]
        yield _line("note", " ".join(_said(word) for word in words if word), _SEVERITIES.get(severity, ""))
    notes = changes.get("notes")
    for name, note in notes.items() if isinstance(notes, dict) else ():
        yield _line(name, _masked(note), YELLOW) if name == "redact" else _line("notes", f"{name}: {_said(note)}")
    stored = changes.get("stored")
    for side, found in stored.items() if isinstance(stored, dict) else ():
        yield _line("stored", f"{side}: {_masked(found)}", YELLOW)
    for name, value in changes.items():
        if name not in _TOLD and value:
            yield _line(name, _said(value))


def _policy(policy: Any) -> str:
    """What the rules for hosts, or the budgets, said."""
    if not isinstance(policy, dict):
        return _said(policy)
    rule = policy.get("rule")
    return _said(policy.get("message") or policy.get("reason") or policy) + (f" ({_said(rule)})" if rule else "")


def _refused(refused: Any) -> str:
    if not isinstance(refused, dict):
        return _said(refused)
    return ": ".join(_said(refused[key]) for key in ("by", "reason") if refused.get(key))


def _masked(found: Any) -> str:
    """What the rules of `redact` found in one body or record."""
    if not isinstance(found, dict) or not (found.get("findings") or found.get("unsearched")):
        return _said(found)
    names: dict[str, int] = {}
    for finding in _objects(found.get("findings")):
        words = f"{_said(finding.get('name'))} {_HANDLED.get(str(finding.get('mode')), 'masked')}"
        names[words] = names.get(words, 0) + 1
    said = [f"{words} ({number})" if number > 1 else words for words, number in names.items()]
    said += [f"not searched for {_said(rule)}" for rule in found.get("unsearched") or ()]
    return ", ".join(said)


def _hook(hook: dict[str, Any]) -> str:
    words = [str(hook.get("name") or "?"), f"({hook['stage']})" if hook.get("stage") else "", _said(hook.get("state"))]
    spent = hook.get("ms")
    if isinstance(spent, int | float) and not isinstance(spent, bool):
        words.append(text.duration(spent / 1000) if spent >= 1 else f"{spent:.2f}ms")
    words += [_names("changed", hook.get("changed")), _names("dropped, for it is not declared:", hook.get("dropped"))]
    if hook.get("error"):
        # Of one that ran, or was to be skipped, it is a remark.
        words.append(f"{'error: ' if hook.get('state') in ('failed', 'timeout') else ''}{_said(hook['error'])}")
    return " ".join(word for word in words if word)


def _names(what: str, names: Any) -> str:
    if not isinstance(names, list) or not names:
        return ""
    more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    return f"{what} {', '.join(map(_said, names[:_NAMES]))}{more}"


def _route(route: Any) -> str:
    if not isinstance(route, dict):
        return _said(route)
    rule = route.get("rule")
    destination = route.get("destination")
    there = destination if isinstance(destination, dict) else route
    where = "/".join(_said(there[key]) for key in ("provider", "model") if there.get(key))
    words = [
        f"rule {_said(rule)}:" if rule is not None else "",
        _said(route.get("action")),
        f"to {where or _said(there['host'])}" if where or there.get("host") else "",
        f"as {_said(there['dialect'])}" if there.get("dialect") else "",
        _said(route.get("reason")),
    ]
    return " ".join(word for word in words if word)


def _attempt(attempt: dict[str, Any]) -> str:
    where = "/".join(_said(attempt[key]) for key in ("provider", "model") if attempt.get(key))
    spent = attempt.get("ms")
    took = text.duration(spent / 1000) if isinstance(spent, int | float) and not isinstance(spent, bool) else ""
    return " ".join(word for word in (where, _said(attempt.get("status")), took, _said(attempt.get("error"))) if word)


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _said(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str | int | float):
        return str(value)
    from ccinspect.wire.jsontext import dump_text

    return dump_text(value)


def _line(label: str, said: str, colour: str = "") -> str:
    return f"  {text.clean(label):<8} {paint(text.clean(said), colour)}".rstrip()
