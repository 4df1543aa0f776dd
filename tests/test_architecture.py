"""The plan of the house (docs/architecture.md) is held: who may import whom, also from inside functions."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "ccinspect"

FLOORS = {
    "errors": 0, "paths": 0, "config": 0, "settings_file": 0, "settings_mistakes": 0,
    "jail": 1, "control": 1, "wire": 1, "identity": 1,
    "store": 2, "analyser": 2, "pipeline": 2,
    "analysis": 3, "auth": 3, "transform": 3, "shapes": 3, "policy": 3, "setup": 3,
    "hooks": 4, "outward": 4, "replay": 4,
    "addons": 5, "telemetry": 5,
    "daemon": 6, "demo": 6, "mcp": 6,
    "cli": 7, "__main__": 8,
}  # fmt: skip
# These start a process that has to be fast or small.
STANDARD_LIBRARY_ONLY = {"jail", "control", "errors", "paths"}
# What may stand in the block `providers` is said where it is carried out.
UPWARDS = {("config", room) for room in ("identity", "transform", "auth", "pipeline", "policy", "telemetry", "outward")}
MITMPROXY_ROOMS = {"addons", "daemon"}


def imports_of(source: str, module: str) -> Iterator[str]:
    """Full names of all that `source`, the text of `module` (dotted), imports at any depth."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = module.split(".")[: -node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def room_of(module: str) -> str | None:
    """The room of a module of ours; None for the package itself, which everybody may ask for the version."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in FLOORS else None


def violations(source: str, module: str) -> Iterator[str]:
    """What `module` imports and must not."""
    room = room_of(module)
    assert room is not None, f"{module} lies in no room of docs/architecture.md"
    for name in imports_of(source, module):
        top = name.split(".")[0]
        if top == "ccinspect":
            other = room_of(name)
            if other not in (None, room) and not _may_import(room, str(other)):
                yield f"{module} imports {name}: {room} must not know {other}"
        elif top.startswith("mitmproxy") and room not in MITMPROXY_ROOMS:
            yield f"{module} imports {name}: only {MITMPROXY_ROOMS} may"
        elif room in STANDARD_LIBRARY_ONLY and top not in sys.stdlib_module_names:
            yield f"{module} imports {name}: {room} uses the standard library only"


def _may_import(room: str, other: str) -> bool:
    if other == "config" and room in STANDARD_LIBRARY_ONLY:
        return False
    return FLOORS[other] == 0 or FLOORS[other] < FLOORS[room] or (room, other) in UPWARDS


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name != "ccinspect":
            yield name, path


@pytest.mark.parametrize(("module", "path"), [pytest.param(*found, id=found[0]) for found in modules()])
def test_no_module_imports_what_it_must_not(module: str, path: Path) -> None:
    if path.name == "__init__.py":
        module = f"{module}.__init__"
    assert list(violations(path.read_text(), module)) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("ccinspect.jail.x", "from ccinspect.control import client"),
        ("ccinspect.jail.x", "from ccinspect.config import Config"),
        ("ccinspect.jail.x", "from ccinspect import config"),
        ("ccinspect.jail.x", "import yaml"),
        ("ccinspect.jail.x", "def f():\n    from ..store import query"),
        ("ccinspect.store.x", "import ccinspect.daemon.main"),
        ("ccinspect.daemon.x", "from ccinspect import demo"),
        ("ccinspect.cli.x", "if 1:\n    from mitmproxy import http"),
        ("ccinspect.store.x", "import mitmproxy_rs"),
        ("ccinspect.control.x", "from ccinspect.jail.session import Tunnel"),
    ],
)
def test_a_module_that_breaks_the_rules_is_found(module: str, source: str) -> None:
    assert list(violations(source, module))


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("ccinspect.paths", "from ccinspect.errors import ConfigError"),
        ("ccinspect.cli.x", "from ccinspect import __version__"),
        ("ccinspect.store.x", "import zstandard, json"),
        ("ccinspect.daemon.x", "from mitmproxy import http"),
        ("ccinspect.jail.x", "from ccinspect.jail import session"),
    ],
)
def test_what_is_allowed_is_not_complained_about(module: str, source: str) -> None:
    assert list(violations(source, module)) == []


def test_the_rooms_are_those_of_the_documentation() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    rows = re.findall(r"^\| (\d) \| ((?:`[a-z_./]+`(?:, )?)+) \|", text, re.MULTILINE)
    documented = {
        name.strip("`/").removesuffix(".py"): int(floor) for floor, names in rows for name in names.split(", ")
    }
    assert documented == {room: floor for room, floor in FLOORS.items() if room != "__main__"}


@pytest.mark.parametrize(
    "module",
    ["ccinspect.cli.main", "ccinspect.cli.run.running", "ccinspect.cli.spawning", "ccinspect.jail.supervisor"],
)
def test_run_does_not_pay_for_what_it_does_not_use(module: str) -> None:
    heavy = ("typer", "click", "pydantic", "yaml", "rich", "mitmproxy", "sqlite3", "asyncio", "jq", "zstandard")
    code = f"import sys, {module}; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
