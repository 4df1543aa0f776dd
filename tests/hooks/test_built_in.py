"""The built-in hooks can be found by their names, and go together."""

from __future__ import annotations

import pytest

from ccinspect.hooks import BUILT_IN
from ccinspect.pipeline.loading import Library
from ccinspect.pipeline.pipeline import Pipeline
from ccinspect.pipeline.settings import HooksConfig
from tests.test_architecture import PACKAGE

LIBRARY = Library(BUILT_IN)


@pytest.mark.parametrize("name", BUILT_IN)
def test_each_is_found_and_says_what_it_does(name: str) -> None:
    found = LIBRARY.find(name)
    assert found.name == name
    assert found.doc
    assert found.origin.rpartition(":")[0].endswith(f"ccinspect/hooks/{name}.py")


def test_each_file_is_known() -> None:
    helpers = {"__init__", "notifications", "synthetic_calls"}
    assert {path.stem for path in (PACKAGE / "hooks").glob("*.py")} - helpers == set(BUILT_IN)


def test_all_of_them_can_be_configured_at_once() -> None:
    shaped = {"hook": "shape", "params": {"shape": "team"}}
    inbound = ["inject_mcp_notifications", "extract_session_id"]
    outbound = ["policy", "inject_auth", "redact", "verbose_mode", "cache_breakpoints", shaped]
    config = HooksConfig.model_validate({"inbound": inbound, "outbound": outbound})
    pipeline = Pipeline.load(config, LIBRARY)
    inbound_names = [step.name for step in pipeline.plans["inbound"].steps]
    assert inbound_names == ["extract_session_id", "inject_mcp_notifications"]
    names = [step.name for step in pipeline.plans["outbound"].steps]
    # Where it goes is judged when that is decided; what is signed is signed last.
    assert names.index("shape") < names.index("policy")
    assert names.index("redact") < names.index("inject_auth")
    pipeline.close()
