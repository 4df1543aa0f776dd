"""What a tool is: a name, arguments that explain themselves, and a plain function."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from ccinspect.errors import CcinspectError
from ccinspect.mcp.answers import Answer, JsonObject
from ccinspect.mcp.captured import Captured


class BadArguments(CcinspectError):
    """The arguments of a call cannot be understood."""


class Arguments(BaseModel):
    """Base of all tools' arguments; the description of each field is what the model reads."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True)
class Tool:
    """`run` takes (Captured, an instance of `arguments`); its docstring is the description."""

    run: Callable[[Captured, Any], Answer]
    arguments: type[Arguments]
    acts: bool = False
    """It changes something."""
    destroys: bool = False
    leaves: bool = False
    """It reaches beyond this machine."""

    @property
    def name(self) -> str:
        return self.run.__name__

    @property
    def description(self) -> str:
        return inspect.cleandoc(self.run.__doc__ or "")

    @property
    def schema(self) -> JsonObject:
        """JSON Schema of the arguments, without what costs tokens and says nothing."""
        made: JsonObject = _lean(self.arguments.model_json_schema())
        made.pop("description", None)
        return made

    def call(self, captured: Captured, given: JsonObject) -> Answer:
        """Raises BadArguments and whatever the function does, all of them CcinspectError."""
        try:
            arguments = self.arguments.model_validate(given)
        except ValidationError as error:
            raise self._explain(error) from error
        return self.run(captured, arguments)

    def _explain(self, error: ValidationError) -> BadArguments:
        first = error.errors()[0]
        name = ".".join(str(step) for step in first["loc"])
        known = list(self.arguments.model_fields)
        if first["type"] == "extra_forbidden":
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"did you mean `{near[0]}`?" if near else f"it takes: {', '.join(known) or 'nothing'}"
            return BadArguments(f"{self.name} has no argument `{name}`", hint)
        if first["type"] == "missing":
            return BadArguments(f"{self.name} needs the argument `{name}`", self._says(name))
        problem = first["msg"].removeprefix("Value error, ")
        return BadArguments(f"{self.name}, argument `{name}`: {problem}", self._says(name))

    def _says(self, name: str) -> str:
        found = self.arguments.model_fields.get(name.partition(".")[0])
        return f"{name}: {found.description}" if found is not None and found.description else ""


def _lean(value: Any) -> Any:
    """Without the titles that pydantic makes of names, and with `X or null` as X: None is never worth saying."""
    if isinstance(value, list):
        return [_lean(item) for item in value]
    if not isinstance(value, dict):
        return value
    made = {
        name: {member: _lean(one) for member, one in item.items()} if name == "properties" else _lean(item)
        for name, item in value.items()
        if not (name == "title" and isinstance(item, str)) and not (name == "default" and item is None)
    }
    kinds = [kind for kind in made.get("anyOf", []) if kind != {"type": "null"}]
    if len(kinds) == 1:
        del made["anyOf"]
        made = kinds[0] | made
    return made
