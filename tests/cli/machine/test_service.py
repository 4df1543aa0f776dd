from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ccinspect.cli.instance import Instance
from ccinspect.cli.machine import service
from ccinspect.cli.machine.service_unit import quoted, quoted_argument, unit_text
from ccinspect.errors import ServiceError
from tests.support import needs, user_systemd
from tests.support.daemon import clean_environment
from tests.support.namespaces import unshared

ROOT = Path(__file__).parents[3]
UNIT = ROOT / "systemd" / "ccinspect.service"


def test_the_unit_in_the_checkout_is_the_one_that_is_installed() -> None:
    assert UNIT.read_text() == service.GENERIC_UNIT


def test_each_line_of_the_unit_is_explained() -> None:
    page = (ROOT / "docs" / "service.md").read_text()
    names = [line.split("=")[0] for line in UNIT.read_text().splitlines() if "=" in line and line[0] != "#"]
    assert len(names) > 20
    assert [name for name in names if f"`{name}" not in page] == []


def test_systemd_understands_the_unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    analyze = needs.program("systemd-analyze")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "a b%c"))
    unit = tmp_path / "ccinspect.service"
    unit.write_text(service.make_unit(Instance(tmp_path / "it's $HOME")))
    done = subprocess.run([analyze, "--user", "verify", str(unit)], capture_output=True, text=True, timeout=30)
    # Those of other packages on this machine are none of ours.
    said = [line for line in done.stderr.splitlines() if "ccinspect" in line]
    assert said == []


@pytest.mark.parametrize(
    ("word", "argument", "value"),
    [
        ("/usr/bin/ccinspect", "/usr/bin/ccinspect", "/usr/bin/ccinspect"),
        ("/a b/c", '"/a b/c"', '"/a b/c"'),
        ("100%", "100%%", "100%%"),
        ("$HOME", "$$HOME", "$HOME"),
        ('a"b\\c', '"a\\"b\\\\c"', '"a\\"b\\\\c"'),
        ("", '""', '""'),
    ],
)
def test_words_are_taken_literally(word: str, argument: str, value: str) -> None:
    assert (quoted_argument(word), quoted(word)) == (argument, value)


def test_the_unit_names_this_program_and_this_instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/somewhere/else")
    text = service.make_unit(Instance(tmp_path))
    assert f"--config {tmp_path} start" in text
    assert "Environment=XDG_DATA_HOME=/somewhere/else\n" in text
    assert f"EnvironmentFile=-{tmp_path}/environment\n" in text
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert not service.serves(Instance(tmp_path))
    service.unit_file().parent.mkdir(parents=True)
    service.unit_file().write_text(text)
    program = service.started_program()
    assert program is not None
    assert os.access(program, os.X_OK)
    monkeypatch.delenv("CCINSPECT_CONFIG_DIR", raising=False)
    assert (service.serves(Instance(tmp_path)), service.serves(Instance())) == (True, False)
    assert "--config" not in unit_text(["ccinspect"])


def test_without_systemd_the_way_out_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServiceError, match="no systemd") as caught:
        service.require_systemd()
    assert "ccinspect start --detach" in caught.value.hint


def where_systemd_does_not_run(home: Path) -> None:
    """Run by `test_where_systemd_does_not_run` where /run is empty."""
    os.environ["HOME"] = str(home)
    with pytest.raises(ServiceError, match="does not run"):
        service.install(Instance())
    assert not service.unit_file().exists()
    assert not service.uninstall()
    # Left behind by an earlier life of this home.
    service.unit_file().parent.mkdir(parents=True)
    service.unit_file().write_text("x")
    assert service.uninstall()
    assert [str(path.relative_to(home)) for path in home.rglob("*")] == [".config"]
    print("done")


def test_where_systemd_does_not_run(tmp_path: Path) -> None:
    needs.program("systemctl")
    code = "import sys; from pathlib import Path; from tests.cli.machine import test_service as here; "
    code += "here.where_systemd_does_not_run(Path(sys.argv[1]))"
    script = ["sh", "-c", 'mount -t tmpfs tmpfs /run && exec "$@"', "sh", sys.executable, "-c", code, tmp_path]
    environ = {name: value for name, value in clean_environment().items() if not name.startswith("XDG_")}
    command = unshared(["--mount"], script)
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60)
    assert done.stdout == "done\n", done.stderr


@pytest.mark.slow
def test_the_life_of_the_service(tmp_path: Path) -> None:
    user_systemd.require()
    home = tmp_path / "home"
    directory = home / ".config" / "ccinspect"
    directory.mkdir(parents=True)
    (directory / "ccinspect.yaml").write_text(
        yaml.safe_dump({"inspector": {"reverse_port": 0, "proxy_port": 0, "web_port": 0}})
    )
    done = user_systemd.run_under_systemd(
        [sys.executable, "-m", "tests.cli.machine.service_life"], home, {"PYTHONPATH": str(ROOT)}
    )
    assert "all is well" in done.stdout, done.stderr
    left = {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}
    assert {name for name in left if not name.startswith(".local/share/ccinspect/")} == {
        ".config/ccinspect/ccinspect.yaml"
    }
