"""The files of nix/ are read by the real Nix, and the options are those of the configuration."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ccinspect.cli.settings import all_settings
from tests.support import needs

ROOT = Path(__file__).parents[2]
NIX = ROOT / "nix"

# As much of nixpkgs' library as settings.nix asks for, saying what it was asked.
LIBRARY = """
{
  mkOption = option: option;
  types = {
    bool = "bool"; str = "str"; int = "int"; float = "float"; anything = "anything";
    nullOr = inner: inner;
    listOf = inner: { list = inner; };
    attrsOf = inner: { attributes = inner; };
    either = one: other: { either = [ one other ]; };
    oneOf = kinds: { either = kinds; };
    enum = values: { enum = values; };
    ints.between = least: most: { between = [ least most ]; };
    submodule = module: { inherit (module) options; };
  };
}
"""

pytestmark = pytest.mark.slow


def nix(tmp_path: Path, *words: str) -> str:
    """Run nix-instantiate without a store, and without a trace on the machine."""
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "NIX_STATE_DIR": str(tmp_path)}
    command = [needs.program("nix-instantiate"), "--store", "dummy://", "--option", "build-users-group", "", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environ)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_each_file_parses(tmp_path: Path) -> None:
    files = sorted(NIX.glob("*.nix"))
    assert [path.name for path in files] == ["flake.nix", "home-manager.nix", "package.nix", "settings.nix"]
    nix(tmp_path, "--parse", *map(str, files))


def test_each_setting_is_an_option_with_its_type(tmp_path: Path) -> None:
    text = (NIX / "settings.nix").read_text()
    found = json.loads(nix(tmp_path, "--eval", "--strict", "--json", "-E", f"({text}) {{ lib = {LIBRARY}; }}"))

    def option(keys: tuple[str, ...]) -> Any:
        options, one = found, None
        for key in keys:
            one = options[key]
            options = one["type"]["options"] if isinstance(one["type"], dict) and "options" in one["type"] else {}
        return one

    for setting in all_settings():
        assert option(setting.keys)["description"]
    assert option(("store", "keep_secrets"))["type"] == "bool"
    assert option(("inspector", "reverse_port"))["type"] == {"between": [0, 65535]}
    assert option(("daemon", "log_level"))["type"] == {"enum": ["debug", "info", "warning", "error"]}
    assert "options" in option(("providers",))["type"]["attributes"]


def test_the_service_is_the_same_as_without_nix() -> None:
    unit = (ROOT / "systemd" / "ccinspect.service").read_text()
    ours = dict(re.findall(r"^(\w+)=(.*)$", unit, re.MULTILINE))
    module = (NIX / "home-manager.nix").read_text()
    theirs = dict(re.findall(r"^ {8}(\w+) = (.*);$", module, re.MULTILINE))
    same = {"true": "yes"}
    for name in set(ours) - {"ExecStart", "ExecReload", "WantedBy"}:
        value = theirs[name].strip('"')
        assert same.get(value, value) == ours[name], name
