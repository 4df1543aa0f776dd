"""Which hooks run that nobody configured, and where."""

from __future__ import annotations

from pathlib import Path

from ccinspect.cli.changing.hooks import plans
from ccinspect.hooks import BUILT_IN
from ccinspect.hooks.defaults import with_defaults
from ccinspect.pipeline.loading import Library
from ccinspect.pipeline.settings import HooksConfig
from ccinspect.policy.settings import RedactConfig

UPSTREAM = RedactConfig(name="keys", secrets=True)
STORE = RedactConfig(name="keys", secrets=True, where="store")
WRITER = """
from ccinspect.pipeline.declaration import hook


@hook(writes=("body.metadata",))
def writer(ctx):
    ctx.json["metadata"] = "something"
"""


def names(config: HooksConfig) -> tuple[list[str], list[str]]:
    return [entry.hook for entry in config.inbound], [entry.hook for entry in config.outbound]


def test_without_rules_nothing_is_searched() -> None:
    assert names(with_defaults(HooksConfig(), [])) == (["extract_session_id", "inject_mcp_notifications"], [])
    assert names(with_defaults(HooksConfig(), [STORE]))[1] == []


def test_a_configured_hook_stands_in_for_its_default() -> None:
    config = HooksConfig.model_validate({"inbound": ["shape", "extract_session_id"], "outbound": ["redact", "policy"]})
    inbound, outbound = names(with_defaults(config, [UPSTREAM]))
    assert inbound == ["inject_mcp_notifications", "shape", "extract_session_id"]
    assert outbound == ["redact", "policy"]


def test_what_other_hooks_write_is_searched(tmp_path: Path) -> None:
    (tmp_path / "writer.py").write_text(WRITER)
    config = with_defaults(HooksConfig.model_validate({"outbound": ["writer"]}), [UPSTREAM])
    outbound = plans(config, Library(BUILT_IN, tmp_path))[1]
    assert [step.name for step in outbound.steps] == ["writer", "redact"]
