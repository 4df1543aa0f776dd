"""`ccinspect hooks`: what there is, and how it is ordered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ccinspect.cli.changing.hooks import Known, known_hooks, plans
from ccinspect.errors import HookError
from ccinspect.hooks import BUILT_IN
from ccinspect.pipeline.graph import draw
from ccinspect.pipeline.loading import Library
from ccinspect.pipeline.settings import HooksConfig
from tests.cli.conftest import Place

OWN = '''
from ccinspect.pipeline.declaration import hook


@hook(reads=["session"], writes=["headers.x-mine"])
def mine(ctx):
    """Say who asks.

    More.
    """
    ctx.headers.set("x-mine", "1")


@hook(reads=["session"], writes=["url"])
def other(ctx):
    """Another."""
'''


def library(directory: Path, **files: str) -> Library:
    directory.mkdir(exist_ok=True)
    for name, text in files.items():
        (directory / f"{name}.py").write_text(text)
    return Library(BUILT_IN, directory)


def known(config: dict[str, Any], found: Library) -> dict[str, Known]:
    return {each.name: each for each in known_hooks(HooksConfig.model_validate(config), found)}


def test_all_that_is_built_in_is_listed_and_can_be_used(place: Place) -> None:
    listed = {each["name"]: each for each in place.json("hooks", "list")}
    assert set(listed) == set(BUILT_IN)
    for each in listed.values():
        assert each["source"] == "built in"
        assert each["doc"]
        assert each["problem"] == ""
    always = {each["name"] for each in listed.values() if each["stages"]}
    assert always == {"extract_session_id", "inject_mcp_notifications"}


def test_own_hooks_and_configured_ones(tmp_path: Path) -> None:
    found = known(
        {"inbound": ["mine"], "outbound": ["mine.other", "verbose_mode", "no.such.thing"]},
        library(tmp_path / "hooks", mine=OWN, helpers="X = 1\n"),
    )
    assert (found["mine"].source, found["mine"].stages) == ("own", ("inbound",))
    assert found["mine"].doc == "Say who asks."
    assert (found["mine"].reads, found["mine"].writes) == (("session",), ("headers.x-mine",))
    assert "mine.py" in found["mine"].file
    assert (found["mine.other"].source, found["mine.other"].stages) == ("own", ("outbound",))
    assert found["verbose_mode"].stages == ("outbound",)
    assert found["no.such.thing"].problem
    assert "helpers" not in found


def test_the_order_is_drawn(tmp_path: Path) -> None:
    config = HooksConfig.model_validate({"inbound": ["mine.other", "extract_session_id"]})
    drawn = draw(plans(config, library(tmp_path / "hooks", mine=OWN)))
    assert "after extract_session_id (session)" in drawn
    assert "outbound: no hooks" in drawn


def test_a_hook_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(HookError, match="nope"):
        plans(HooksConfig.model_validate({"inbound": ["nope"]}), library(tmp_path / "hooks"))


@pytest.mark.parametrize(
    ("words", "said"), [([], "outbound: no hooks"), (["mermaid"], "flowchart LR"), (["dot"], "digraph hooks {")]
)
def test_graphs_in_all_formats(place: Place, words: list[str], said: str) -> None:
    options = ["--format", *words] if words else []
    assert said in place.lines("hooks", "graph", *options)


def test_a_format_that_is_not_known_is_told(place: Place) -> None:
    done = place.run("hooks", "graph", "--format", "png")
    assert done.returncode == 2
    assert b"mermaid" in done.stderr
