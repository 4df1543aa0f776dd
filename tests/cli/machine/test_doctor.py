"""`ccinspect doctor`, `completion` and `version`."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ccinspect.cli.instance import Instance
from ccinspect.cli.machine import doctor, doctor_daemon
from ccinspect.store import schema
from tests.cli.conftest import Place, http_flow
from tests.store.old import unpack_old_store
from tests.support import needs
from tests.support.daemon import Daemon


def found(report: dict[str, Any], name: str) -> dict[str, Any]:
    (check,) = [check for check in report["checks"] if check["name"] == name]
    return dict(check)


def examined(place: Place, settings: dict[str, Any] | None = None, *, credentials: bool = False) -> dict[str, Any]:
    if settings is not None:
        place.paths.config_file.write_text(yaml.safe_dump(settings))
    return doctor.examine(Instance(place.paths.config_dir), credentials=credentials)


def test_nothing_there_yet(place: Place) -> None:
    report = examined(place, {"inspector": {"reverse_port": 0, "proxy_port": 0, "web_port": 0}})
    assert not [check for check in report["checks"] if check["group"] != "jail" and check["status"] == "fail"]
    for name in ("store", "authority", "daemon", "credentials"):
        assert found(report, name)["status"] == "absent", name
    assert found(report, "ports")["detail"].startswith("any")
    assert not place.paths.data_dir.exists(), "it changes nothing"


def test_what_is_wrong_is_named_with_the_way_out(place: Place, tmp_path: Path) -> None:
    secret = "sk-not-to-be-shown-anywhere-0123456789"
    (tmp_path / "key").write_text(secret)
    (tmp_path / "key").chmod(0o600)
    unpack_old_store(place.paths.store_dir, 1)
    place.paths.data_dir.chmod(0o755)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        settings = {
            "inspector": {"reverse_port": taken.getsockname()[1], "proxy_port": 0, "web_port": 0},
            "hooks": {"inbound": ["no_such_hook"]},
            "providers": {
                "anthropic": {"auth": {"file": str(tmp_path / "key")}},
                "openai": {"auth": {"file": str(tmp_path / "missing")}},
            },
        }
        report = examined(place, settings, credentials=True)
    assert not report["ok"]
    for name, status, words in (
        ("privacy", "fail", "chmod 700"),
        ("ports", "fail", "inspector.reverse_port"),
        ("store", "warn", "db upgrade"),
        ("rules", "fail", ""),
        ("credential anthropic", "ok", ""),
        ("credential openai", "fail", ""),
    ):
        check = found(report, name)
        assert check["status"] == status, check
        assert words in check["fix"], check
    assert secret not in json.dumps(report)
    assert secret[-4:] not in found(report, "credential anthropic")["detail"]
    lines = "\n".join(doctor.report_lines(report))
    assert "to mend" in lines
    assert "-> " in lines


def test_a_mistake_in_the_settings_hides_nothing_else(place: Place) -> None:
    place.record(http_flow())
    report = examined(place, {"flosw": {}})
    assert found(report, "settings")["status"] == "fail"
    assert "flosw" in found(report, "settings")["detail"]
    assert found(report, "store")["detail"].startswith("1 flow in ")


def test_with_a_daemon(daemon: Daemon) -> None:
    done = daemon.run("doctor", "--json")
    report = json.loads(done.stdout)
    assert done.returncode == (0 if report["ok"] else 1)
    for name in ("settings", "privacy", "authority", "store", "daemon", "recorder", "analyst"):
        assert found(report, name)["status"] in ("ok", "absent"), found(report, name)
    assert found(report, "daemon")["status"] == "ok"
    assert found(report, "warning")["detail"].startswith("inspector.connect_to")
    healthy = daemon.status
    cases: list[tuple[dict[str, Any], str, str, str]] = [
        ({"version": "0.0.1"}, "daemon", "fail", "restart"),
        ({"proxy": False}, "daemon", "fail", "logs"),
        ({"pid": None, "warnings": ["it does not answer"]}, "daemon", "fail", "restart"),
        ({"store": healthy["store"] | {"alive": False}}, "recorder", "fail", "restart"),
        ({"store": healthy["store"] | {"lost_bodies": 2}}, "recorder", "warn", "logs"),
        ({"analysis": healthy["analysis"] | {"last_error": "no room"}}, "analyst", "warn", "reanalyse"),
        ({"mcp": healthy["mcp"] | {"enabled": True, "running": False}}, "mcp", "fail", "logs"),
        ({"otel": {"enabled": True, "failing": True, "endpoint": "x", "last_error": "y"}}, "otel", "warn", "collector"),
    ]
    for change, name, status, words in cases:
        (check,) = [one for one in doctor_daemon.checks(healthy | change) if one.name == name]
        assert (check.status, words in check.fix) == (status, True), check


def test_versions(place: Place) -> None:
    said = place.json("version")
    assert said["store_schema"] == len(schema.MIGRATIONS)
    assert set(said) == {
        "ccinspect", "python", "system", "sqlite", "mitmproxy", "store_schema", "analysis_schema"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("shell", "script"),
    [
        ("bash", 'COMP_WORDS=(ccinspect db \'\'); COMP_CWORD=2; _ccinspect_completion "$CC"; echo "${COMPREPLY[@]}"'),
        ("zsh", "#compdef"),
        ("fish", "complete --command ccinspect"),
    ],
)
def test_completion(place: Place, tmp_path: Path, shell: str, script: str) -> None:
    text = place.run("completion", shell).stdout.decode()
    if shell != "bash":
        assert script in text
    program = needs.program(shell)
    file = tmp_path / "completion"
    file.write_text(text)
    assert subprocess.run([program, "-n", file], capture_output=True, check=False).returncode == 0
    if shell == "bash":
        environ = os.environ | {"CC": str(Path(sys.executable).with_name("ccinspect"))}
        command = ["bash", "-c", f'source "{file}"; {script}']
        said = subprocess.run(command, capture_output=True, text=True, check=True, env=environ).stdout
        assert {"stats", "backup", "restore"} <= set(said.split())
