"""What was done to a flow, in words."""

from __future__ import annotations

from typing import Any

import pytest

from ccinspect.cli.flows.changes_view import change_lines

FOUND = {
    "findings": [
        {"rule": "keys", "name": "GitHub token", "mode": "mask", "path": ".messages[0].content"},
        {"rule": "keys", "name": "GitHub token", "mode": "mask", "path": ".messages[1].content"},
        {"rule": "mail", "name": "mail", "mode": "flag", "path": ".system"},
        {"rule": "cust", "name": "cust", "mode": "stop", "path": ".system"},
    ],
    "unsearched": ["slow"],
}
DENIED = {"allowed": False, "rule": "policy.deny[0] a.example", "reason": "a.example is denied"}


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"refused": {"by": "rule", "reason": "not here"}}, "refused  rule: not here"),
        ({"refused": {"by": "hook mine", "reason": ""}}, "refused  hook mine"),
        ({"policy": DENIED}, "policy   a.example is denied (policy.deny[0] a.example)"),
        ({"policy": {"kind": "warning", "message": "80 % spent", "on_exceed": "deny"}}, "policy   80 % spent"),
        ({"unknown_hooks": ["shape", "nope"]}, "hook     none is configured that is called shape, nope"),
        (
            {"hooks": [{"name": "it", "state": "ran", "dropped": ["headers.x"]}]},
            "hook     it ran dropped, for it is not declared: headers.x",
        ),
        ({"hooks": [{"name": "it", "state": "skipped", "error": "as asked"}]}, "hook     it skipped as asked"),
        ({"hooks": [{"name": "it", "state": "failed", "error": "boom"}]}, "hook     it failed error: boom"),
        (
            {"notes": {"redact": FOUND}},
            "redact   GitHub token masked (2), mail noted, cust stopped, not searched for slow",
        ),
        ({"notes": {"shape": {"shape": "team"}}}, 'notes    shape: {"shape":"team"}'),
        # Whatever a later version, or a hook, writes there.
        ({"refused": "no"}, "refused  no"),
        ({"policy": {"x": 1}}, 'policy   {"x":1}'),
        ({"policy": ["x"]}, 'policy   ["x"]'),
        ({"notes": {"redact": 5}}, "redact   5"),
        ({"newer": {"a": "b"}}, 'newer    {"a":"b"}'),
    ],
)
def test_each_thing_is_a_line(changes: dict[str, Any], line: str) -> None:
    assert list(change_lines(changes)) == [f"  {line}"]
