"""docs/otel.md and the two files that bring a backend say what the code does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from ccinspect.config import load_config
from ccinspect.telemetry import names

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs/otel.md").read_text()
EXAMPLES = [block for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL) if block.startswith("otel:")]
TABLE = {value for name, value in vars(names).items() if name.isupper() and isinstance(value, str)}


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_settings_shown_are_settings(example: str, tmp_path: Path) -> None:
    (tmp_path / "ccinspect.yaml").write_text(example)
    assert load_config(tmp_path / "ccinspect.yaml", {}).otel.enabled


def test_the_names_shown_are_those_that_are_emitted() -> None:
    known = TABLE | set(names.USAGE_METRICS.values()) | {f"{names.TAG}NAME"}
    shown = set(re.findall(r"`((?:gen_ai|ccinspect|server|error|session)\.[a-zA-Z_.]+)`", PAGE))
    assert len(shown) > 20
    assert shown - known == set()


def test_jaeger_can_be_reached_from_this_machine_only() -> None:
    compose: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
    ports = compose["services"]["jaeger"]["ports"]
    assert [port.rpartition(":")[2] for port in ports] == ["16686", "4317", "4318"]
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_collector_s_configuration_holds_together() -> None:
    """Only its parts against each other: the collector itself is in none of the registries we may use."""
    collector: dict[str, Any] = yaml.safe_load((ROOT / "docs/collector.yaml").read_text())
    service = collector["service"]
    assert set(service["extensions"]) == collector["extensions"].keys()
    used: dict[str, set[str]] = {"receivers": set(), "processors": set(), "exporters": set()}
    for pipeline in service["pipelines"].values():
        for kind, names_of_it in pipeline.items():
            used[kind] |= set(names_of_it)
        assert pipeline["processors"][0] == "memory_limiter"
    assert used == {kind: set(collector[kind]) for kind in used}
    assert {name.partition("/")[2] or name for name in used["exporters"]} >= {"clickhouse", "tempo", "honeycomb"}
    for listener in collector["receivers"]["otlp"]["protocols"].values():
        assert listener["auth"]["authenticator"] in service["extensions"]
        assert listener["tls"].keys() == {"cert_file", "key_file"}
    text = (ROOT / "docs/collector.yaml").read_text()
    wanted = set(re.findall(r"\$\{env:([A-Z_]+)\}", text))
    assert wanted == set(
        re.findall(r"[A-Z]+_[A-Z]+", text.partition("In its environment:")[2].partition("\nextensions")[0])
    )


def test_the_environment_of_process_compose_is_settings(tmp_path: Path) -> None:
    processes = yaml.safe_load((ROOT / "process-compose.yaml").read_text())["processes"]
    environ = dict(entry.split("=", 1) for entry in processes["ccinspect"]["environment"])
    otel = load_config(tmp_path / "ccinspect.yaml", environ).otel
    assert otel.enabled
    assert otel.endpoint == "http://127.0.0.1:4317"
