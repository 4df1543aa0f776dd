"""The built-in hooks can be found by their names, and go together."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from ccinspect.hooks import BUILT_IN
from ccinspect.pipeline.loading import Library
from ccinspect.pipeline.pipeline import Pipeline
from ccinspect.pipeline.settings import HooksConfig
from tests.hooks.through import through
from tests.pipeline.running import FACTS, request
from tests.test_architecture import PACKAGE

DOCS = PACKAGE.parent / "docs"

LIBRARY = Library(BUILT_IN)


@pytest.mark.parametrize("name", BUILT_IN)
def test_each_is_found_and_says_what_it_does(name: str) -> None:
    found = LIBRARY.find(name)
    assert found.name == name
    assert found.doc
    assert found.origin.rpartition(":")[0].endswith(f"ccinspect/hooks/{name}.py")


def test_each_file_is_known() -> None:
    helpers = {"__init__", "defaults", "notifications", "synthetic_calls"}
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


@pytest.mark.parametrize("name", BUILT_IN)
def test_each_has_a_page_that_names_its_parameters(name: str) -> None:
    page = (DOCS / "hooks" / f"{name}.md").read_text()
    assert page.startswith(f"# {name}\n")
    assert f"(hooks/{name}.md)" in (DOCS / "hooks.md").read_text()
    model = LIBRARY.find(name).params
    assert [field for field in (model.model_fields if model else {}) if f"| `{field}` |" not in page] == []


def test_the_example_of_the_documentation_works(tmp_path: Path) -> None:
    found = re.search(r"```python\n# [^\n]*/hooks/(\w+\.py)\n(.*?)```", (DOCS / "hooks.md").read_text(), re.DOTALL)
    assert found is not None
    (tmp_path / found[1]).write_text(found[2])
    pipeline = Pipeline.load(HooksConfig.model_validate({"outbound": ["quieter"]}), Library(BUILT_IN, tmp_path))
    result = through(pipeline, "outbound", request(b'{"max_tokens" : 32000, "temperature": 1.0}'))
    assert result.outgoing.body == b'{"max_tokens" : 1000, "temperature": 1.0}'
    assert through(pipeline, "outbound", request(b"{}"), replace(FACTS, agent="codex")).outgoing.body == b"{}"
    pipeline.close()
