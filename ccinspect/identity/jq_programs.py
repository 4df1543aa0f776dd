"""The jq programs that expressions of the configuration are put into.

One program reads all fields of a document at once, so that it is parsed only once. Each expression stands in its own
`try`, and yields at most MAX_RESULTS results. Built-ins that reach out of the document are replaced by errors.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

MAX_EXPRESSION = 4_000
"""Characters."""
MAX_RESULTS = 10_000
"""Results of one expression, for example messages."""

Alternatives = Sequence[str]
"""Expressions of which the first that finds something counts."""
Fields = Mapping[str, Alternatives]

_NOT_HERE = (
    "halt",
    "halt_error",
    "halt_error(f)",
    "input",
    "inputs",
    "env",
    "input_filename",
    "modulemeta",
    "get_search_list",
)
PRELUDE = (
    "".join(f'def {name}: error("{name.split("(")[0]} is not available here"); ' for name in _NOT_HERE)
    + "def debug: .; def debug(f): .; def stderr: .;\n"
)


def check(expression: str, in_event: bool = False) -> None:
    """Compile an expression. Raises ValueError with jq's reason; `in_event` makes `$name` and `$type` known."""
    # The binding is compiled code: loading it costs nothing to those who declare no provider.
    import jq

    if len(expression) > MAX_EXPRESSION:
        raise ValueError(f"longer than {MAX_EXPRESSION} characters")
    variables = '"" as $name | "" as $type | ' if in_event else ""
    for program in (f"{variables}{expression}", f"{variables}({expression}\n)"):
        try:
            jq.compile(PRELUDE + program)
        except ValueError as error:
            reason = str(error).splitlines()[0].removeprefix("jq: error: ").split(" at <top-level>")[0]
            raise ValueError(f"not a jq expression: {reason}") from error


def one_expression(expression: str) -> str:
    """A program for a single expression; its result is {v: [results]} or {e: error}."""
    return PRELUDE + _guarded(expression)


def document_program(fields: Fields) -> str:
    """A program whose one result is {FIELD: [{v: [results]} or {e: error}, one per alternative]}."""
    return PRELUDE + _object(fields)


def one_event_expression(expression: str, kind: Alternatives) -> str:
    """As `one_expression`, for an event."""
    return f"{PRELUDE}{_event_type(kind)} | {_guarded(expression)}"


def event_program(kind: Alternatives, events: Mapping[str, Fields]) -> str:
    """A program for `{"name": SSE name, "data": the event's JSON}`.

    `kind` are the expressions of the event's type; without any it is the SSE name, else `.type`, else `.event`.
    `events` are the fields by type, `*` those of all other types. Its one result is {type, fields: as above}.
    """
    rest = _object(events.get("*", {}))
    chain = "".join(
        f"if $type == {json.dumps(name)} then {_object(fields)} else " for name, fields in events.items() if name != "*"
    )
    ends = " end" * (len(events) - ("*" in events))
    return f'{PRELUDE}{_event_type(kind)} | {{"type": $type, "fields": ({chain}{rest}{ends})}}'


def event_document(name: str, data: str) -> str:
    """The input of an event program. `data` is JSON text as it came; when it is not, jq says so."""
    return f'{{"name":{json.dumps(name)},"data":{data}\n}}'


def _event_type(kind: Alternatives) -> str:
    if kind:
        either = ", ".join(f"({expression}\n)?" for expression in kind)
        found = f"(try ([limit(1; {either} | strings)] | .[0]) catch null) // $name"
    else:
        said = "(try (.type | strings) catch null) // (try (.event | strings) catch null)"
        found = f'if $name != "" then $name else {said} end'
    # `$type` is bound to "" at first, for expressions of the type itself may name it.
    return f'.name as $name | .data | "" as $type | (({found}) // "") as $type'


def _object(fields: Fields) -> str:
    entries = (f"{json.dumps(name)}: [{', '.join(map(_guarded, either))}]" for name, either in fields.items())
    return f"{{{', '.join(entries)}}}"


def _guarded(expression: str) -> str:
    # A comment at the end of an expression must not swallow what follows it.
    return f"(try {{v: [limit({MAX_RESULTS}; ({expression}\n))]}} catch {{e: tostring}})"
