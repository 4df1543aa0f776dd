"""Scripts that call tools: Codex's `exec` takes JavaScript, in which the agent's other tools are functions."""

from __future__ import annotations

import json
import re

from ccinspect.wire.model import JsonObject, ToolCall

_LOOKED_AT = 10_000
"""Characters of a script that are read."""
_CALL = re.compile(r"\btools\.(\w{1,200})\s{0,9}\(")
_COMMAND = re.compile(
    r"""\bcmd["']?\s{0,9}:\s{0,9}("(?:[^"\\\n]|\\.){0,2000}+"|'(?:[^'\\\n]|\\.){0,2000}+'|`(?:[^`\\]|\\.){0,2000}+`)"""
)


def first_call(call: ToolCall) -> ToolCall | None:
    """The first tool that the script of such a call uses; of its arguments only a shell's command is read."""
    if call.name != "exec" or call.kind != "custom" or not isinstance(call.arguments, str):
        return None
    script = call.arguments[:_LOOKED_AT]
    found = _CALL.search(script)
    if found is None:
        return None
    command = _COMMAND.search(script, found.end())
    arguments: JsonObject = {"cmd": _literal(command[1])} if command else {}
    return ToolCall(id=call.id, name=found[1], arguments=arguments, path=call.path)


def _literal(text: str) -> str:
    """The value of a JavaScript string, as far as JSON's escapes go; else what stands between the quotes."""
    if text.startswith('"'):
        try:
            return str(json.loads(text))
        except ValueError:
            pass
    return text[1:-1]
