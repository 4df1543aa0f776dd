"""What may be configured: the blocks `policy`, `budgets` and `redact`.

Imports nothing but pydantic and the standard library: `config.py` reads it at every start.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from ccinspect.policy import rules
from ccinspect.policy.amounts import parse_dollars, parse_tokens
from ccinspect.policy.budgets import Budget


class _Block(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _regex(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    return text


def _as_tuple(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _method(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z-]{1,40}", text):
        raise ValueError("a method is a word: GET, POST")
    return text.upper()


Regex = Annotated[str, Field(min_length=1, max_length=2_000), AfterValidator(_regex)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Methods = Annotated[tuple[Annotated[str, AfterValidator(_method)], ...], BeforeValidator(_as_tuple)]


class EgressRule(_Block):
    """One entry of `policy.allow` or `policy.deny`; a text alone is its `host`."""

    host: str = Field(
        "*",
        description="`host[:port][/path]`, where `*` stands for any part: `api.example.com`, `*.example.com:443`, "
        "`example.com/v1`; or addresses: `10.0.0.0/8`. A name alone is that host and none below it.",
    )
    path: str | None = Field(None, description="Path, with all that is below it; `*` stands for any part.")
    method: Methods | None = Field(None, description="Method, or a list: `POST`.")
    run: Name | None = Field(None, description="Name of the run, where `*` stands for any part, or its id.")
    project: Name | None = Field(None, description="Project, where `*` stands for any part.")

    @model_validator(mode="after")
    def _can_be_read(self) -> EgressRule:
        self.rule("")
        return self

    def rule(self, origin: str) -> rules.Rule:
        """The rule, ready to be matched. `origin` names its place for people."""
        methods = None if self.method is None else frozenset(self.method)
        return rules.restricted_to(rules.parse(self.host, origin), self.path, methods, self.run, self.project)


def _as_rule(value: object) -> object:
    return {"host": value} if isinstance(value, str) else value


Rules = tuple[Annotated[EgressRule, BeforeValidator(_as_rule)], ...]


class PolicyConfig(_Block):
    allow: Rules = Field(
        (), description="What may be reached: a list of `host[:port][/path]`, or `{host, path, method, run, project}`."
    )
    deny: Rules = Field((), description="What may not be reached, whatever is allowed. Written as in `allow`.")
    default: Literal["allow", "deny"] | None = Field(
        None,
        description="What happens to all that no rule names. Without it: `deny` for the runs and projects that an "
        "entry of `allow` holds for, else `allow`.",
    )


class BudgetConfig(_Block):
    """One entry of `budgets`."""

    project: Name | None = Field(
        None, description="Project it is for, where `*` stands for any part; each project has a budget of its own."
    )
    run: Name | None = Field(None, description="Name of the runs it is for, where `*` stands for any part.")
    per: Literal["run", "day"] = Field(
        "day", description="What it is for: each `run`, or each `day` (of this machine's time zone)."
    )
    max_cost: Annotated[Decimal, BeforeValidator(parse_dollars)] | None = Field(
        None, description="US dollars. Calls without a known price are counted in tokens only."
    )
    max_tokens: Annotated[int, BeforeValidator(parse_tokens)] | None = Field(
        None, description="Tokens, read and written ones together: `500k`, `2M`."
    )
    on_exceed: Literal["deny", "ask"] = Field(
        "deny",
        description="`deny`: answer further model calls with a rate-limit error; `ask`: ask on the terminal of the "
        "run first, where it has one.",
    )

    @model_validator(mode="after")
    def _limits_something(self) -> BudgetConfig:
        if self.max_cost is None and self.max_tokens is None:
            raise ValueError("needs `max_cost`, `max_tokens`, or both")
        return self

    def budget(self) -> Budget:
        return Budget(self.project, self.run, self.per, self.max_cost, self.max_tokens, self.on_exceed)


class RedactConfig(_Block):
    """One entry of `redact`."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$")] = Field(
        description="What it is called in records, and in the text that stands in for what was found."
    )
    pattern: Regex | None = Field(
        None, description="Regular expression, looked for in each string of a JSON body; in other bodies in all of it."
    )
    secrets: bool = Field(False, description="Look for keys and tokens of well-known services instead.")
    mode: Literal["stop", "mask", "flag"] = Field(
        "mask",
        description="`stop`: the request is answered with an error; `mask`: what was found is replaced; "
        "`flag`: it is only noted on the flow.",
    )
    where: Literal["upstream", "store"] = Field(
        "upstream", description="`upstream`: in requests on their way out; `store`: in what is kept on disk only."
    )
    projects: tuple[Name, ...] = Field(
        (), description="Projects it is for, where `*` stands for any part. Without it: all."
    )
    ignore: tuple[Regex, ...] = Field(
        (), description="Regular expressions; what was found and is one of these as a whole is none.", max_length=100
    )

    @model_validator(mode="after")
    def _looks_for_something(self) -> RedactConfig:
        if self.secrets == (self.pattern is not None):
            raise ValueError("needs either a `pattern` or `secrets: true`")
        if self.where == "store" and self.mode == "stop":
            raise ValueError("`stop` is for requests on their way out: with `where: store` use `mask` or `flag`")
        return self

    def holds_for(self, project: str | None) -> bool:
        """Whether it is for the flows of a project."""
        if not self.projects:
            return True
        return project is not None and any(rules.Wildcards.of(name).fits(project) for name in self.projects)
