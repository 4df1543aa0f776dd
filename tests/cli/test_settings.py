"""The file that `init` writes."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest
import yaml

from ccinspect.cli.settings import all_settings, default_as_yaml, template, write_template
from ccinspect.config import Config, load_config
from ccinspect.errors import ConfigError


def test_the_template_changes_nothing(tmp_path: Path) -> None:
    path = write_template(tmp_path / "new" / "ccinspect.yaml", force=False)
    assert load_config(path, {}) == Config()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_with_every_setting_switched_on_it_says_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "ccinspect.yaml"
    path.write_text(re.sub(r"(?m)^( *)#(?=\S)", r"\1", template()))
    assert path.read_text().count("autostart: true") == 1
    assert load_config(path, {}) == Config()


def test_every_key_of_the_models_is_there_with_its_description() -> None:
    text = " ".join(template().replace("#", " ").split())
    for setting in all_settings():
        assert setting.keys[-1] + ":" in text
        assert setting.description
        assert " ".join(setting.description.split()) in text


def test_defaults_are_yaml() -> None:
    defaults = {setting.dotted: setting.default for setting in all_settings() if not setting.is_block}
    assert defaults["inspector.reverse_port"] == 4000
    for dotted, value in defaults.items():
        plain = list(value) if isinstance(value, tuple) else value
        assert yaml.safe_load(default_as_yaml(value)) == plain, dotted


def test_kinds_are_words() -> None:
    kinds = {setting.dotted: setting.kind for setting in all_settings()}
    assert kinds["store.max_age"] == "age"
    assert kinds["store.max_bytes"] == "size"
    assert kinds["inspector.web_port"] == "port"
    assert kinds["hooks.threads"] == kinds["otel.queue"] == "number"
    assert kinds["jail.host_ports"] == "`auto` or `none` or list of ports"
    assert kinds["inspector.passthrough_hosts"] == "list of regular expressions"
    assert kinds["inspector.reverse_targets"] == "list of {port, upstream}"


def test_an_existing_file_is_kept_unless_forced(tmp_path: Path) -> None:
    path = tmp_path / "ccinspect.yaml"
    path.write_text("store: {bodies: none}\n")
    with pytest.raises(ConfigError, match="exists already") as caught:
        write_template(path, force=False)
    assert "--force" in caught.value.hint
    assert path.read_text() == "store: {bodies: none}\n"
    write_template(path, force=True)
    assert load_config(path, {}) == Config()
