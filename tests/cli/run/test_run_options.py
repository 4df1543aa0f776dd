"""`run`'s options: the quick parser, and typer's, which must come to the same."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import typer

from ccinspect.cli import main
from ccinspect.cli.app import build_app, run_app
from ccinspect.cli.instance import Instance
from ccinspect.cli.run import run_options
from ccinspect.cli.run.run_options import Restrictions, RunOptions, parse_quickly
from ccinspect.errors import CcinspectError

GOOD: list[tuple[list[str], RunOptions]] = [
    (["--", "claude"], RunOptions("base-url", ("claude",))),
    (["claude"], RunOptions("base-url", ("claude",))),
    (["claude", "-p", "hello"], RunOptions("base-url", ("claude", "-p", "hello"))),
    (["-i", "--", "claude", "-p", "-i"], RunOptions("inspect", ("claude", "-p", "-i"))),
    (["--inspect", "claude"], RunOptions("inspect", ("claude",))),
    (["--proxy", "--", "curl", "--proxy", "x"], RunOptions("proxy", ("curl", "--proxy", "x"))),
    (["-i", "--project", "p", "--name=n", "--tag", "a=1", "--tag=b=x=y", "--", "c"],
     RunOptions("inspect", ("c",), "p", "n", {"a": "1", "b": "x=y"})),
    (["--tag", "a=1", "--tag", "a=2", "--", "c"], RunOptions("base-url", ("c",), tags={"a": "2"})),
    (["--name", "--", "--", "c"], RunOptions("base-url", ("c",), name="--")),
    (["-i", "npm", "test", "--", "-i"], RunOptions("inspect", ("npm", "test", "--", "-i"))),
    (["--", "--", "c"], RunOptions("base-url", ("--", "c"))),
    (["--", ""], RunOptions("base-url", ("",))),
    (["-i", "--offline", "--", "c"], RunOptions("inspect", ("c",), restrictions=Restrictions(offline=True))),
    (["-i", "--allow", "*.a.com:443", "--allow=b.com/v1", "--deny", "10.0.0.0/8", "--", "c"],
     RunOptions("inspect", ("c",), restrictions=Restrictions(("*.a.com:443", "b.com/v1"), ("10.0.0.0/8",)))),
    (["--max-cost", "$5", "--max-tokens=1.5M", "--", "c"],
     RunOptions("base-url", ("c",), restrictions=Restrictions(max_cost="5", max_tokens=1_500_000))),
    (["--max-cost", "1", "--max-cost", "0.50", "--", "c"],
     RunOptions("base-url", ("c",), restrictions=Restrictions(max_cost="0.50"))),
]  # fmt: skip

BAD: list[tuple[list[str], str]] = [
    ([], "no command to run"),
    (["-i"], "no command to run"),
    (["-i", "--"], "no command to run"),
    (["-i", "--proxy", "--", "c"], "exclude each other"),
    (["claude", "-i"], "put `--` before the command"),
    (["claude", "--tag=x=y"], "put `--` before the command"),
    (["--tag", "novalue", "--", "c"], "KEY=VALUE"),
    (["--tag", "=x", "--", "c"], "KEY=VALUE"),
    (["--inspct", "--", "c"], "no such option"),
    (["--allow", "https://a.com", "--", "c"], "leave out `https://`"),
    (["--deny", "a b", "--", "c"], "--deny a b"),
    (["--max-cost", "0", "--", "c"], "above 0"),
    (["--max-cost", "lots", "--", "c"], "--max-cost lots"),
    (["--max-tokens", "2.5", "--", "c"], "whole number"),
    (["claude", "--offline"], "put `--` before the command"),
    (["--project"], "requires an argument"),
]


def by_typer(words: list[str], monkeypatch: pytest.MonkeyPatch) -> RunOptions:
    """What typer makes of `ccinspect run WORDS`, with the last step taken out: nothing is executed."""
    seen: list[RunOptions] = []

    def note(_: Instance, options: RunOptions) -> int:
        seen.append(options)
        return 0

    monkeypatch.setattr("ccinspect.cli.run.running.execute", note)
    monkeypatch.setattr(sys, "argv", ["ccinspect", "run", *words])
    assert run_app(["run", *words]) == 0
    return seen[0]


@pytest.mark.parametrize(("words", "options"), GOOD)
def test_both_parsers_agree(words: list[str], options: RunOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse_quickly(words, {}) == options
    assert by_typer(words, monkeypatch) == options


@pytest.mark.parametrize(("words", "message"), BAD)
def test_mistakes_are_left_to_typer_which_explains_them(
    words: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert parse_quickly(words, {}) is None
    monkeypatch.setattr(sys, "argv", ["ccinspect", "run", *words])
    with pytest.raises(CcinspectError) as caught:
        run_app(["run", *words])
    assert message.lower() in caught.value.message.lower()
    assert caught.value.exit_code == 2
    assert "--help" in caught.value.hint


def test_help_is_typers() -> None:
    assert parse_quickly(["--help"], {}) is None
    assert parse_quickly(["-h", "--", "c"], {}) is None


def test_project_and_tags_from_the_environment() -> None:
    environ = {"CCINSPECT_PROJECT": "p", "CCINSPECT_TAGS": "a=1, b=2 ,"}
    options = parse_quickly(["--tag", "b=3", "--", "c"], environ)
    assert options == RunOptions("base-url", ("c",), project="p", tags={"a": "1", "b": "3"})
    beaten = parse_quickly(["--project", "q", "--", "c"], environ)
    assert beaten is not None
    assert beaten.project == "q"


def test_every_option_of_typers_is_known_to_the_quick_parser() -> None:
    command: Any = typer.main.get_command(build_app())
    options = {spelling for parameter in command.commands["run"].params for spelling in parameter.opts}
    assert options - {"command"} == {*run_options.FLAGS, *run_options.VALUES}


@pytest.mark.parametrize(
    ("words", "config", "verbose", "rest"),
    [
        (["run", "x"], None, False, ["run", "x"]),
        (["--config", "/c", "--verbose", "run"], "/c", True, ["run"]),
        (["--config=/c", "status"], "/c", False, ["status"]),
        (["--config"], None, False, ["--config"]),
        (["--config", "", "run"], None, False, ["--config", "", "run"]),
        (["run", "--verbose"], None, False, ["run", "--verbose"]),
    ],
)
def test_global_options(words: list[str], config: str | None, verbose: bool, rest: list[str]) -> None:
    instance, left = main._global_options(words)
    assert (str(instance.config_option) if instance.config_option else None) == config
    assert instance.verbose is verbose
    assert left == rest
