"""Which machine this is."""

from __future__ import annotations

import platform
import socket
from pathlib import Path

from ccinspect.identity.machine import machine_id, this_machine


def test_it_is_this_one() -> None:
    machine = this_machine()
    assert machine.host == socket.gethostname()
    assert machine.kernel == platform.release()
    assert machine.arch == platform.machine()
    assert machine.os
    assert this_machine() is machine
    assert set(machine.as_record()) == {"host", "os", "kernel", "arch", "id"}


def test_the_machine_id_is_never_shown_itself(tmp_path: Path) -> None:
    path = tmp_path / "machine-id"
    path.write_text("0123456789abcdef0123456789abcdef\n")
    shown = machine_id(path)
    assert shown is not None
    assert len(shown) == 16
    assert shown not in path.read_text()
    path.write_text("fedcba9876543210fedcba9876543210\n")
    assert machine_id(path) != shown


def test_a_machine_without_an_id_has_none(tmp_path: Path) -> None:
    path = tmp_path / "machine-id"
    assert machine_id(path) is None
    for content in ("", "uninitialized\n"):
        path.write_text(content)
        assert machine_id(path) is None
    path.write_bytes(b"\xff\xfe")
    assert machine_id(path) is None
