"""Names of other machines."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from ccinspect.errors import DeviceError
from ccinspect.identity.devices import FILE, Devices


def test_a_name_is_kept_and_taken_away(tmp_path: Path) -> None:
    assert Devices(tmp_path).rename("192.0.2.7", "Laptop of B\u00e9a") == "192.0.2.7"
    again = Devices(tmp_path)
    assert again.shown("192.0.2.7") == "Laptop of B\u00e9a"
    assert again.shown("192.0.2.8") == "192.0.2.8"
    assert again.shown(None) == ""
    assert again.rename("Laptop of B\u00e9a", "") == "192.0.2.7"
    assert Devices(tmp_path).names == {}
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


@pytest.mark.parametrize(
    ("device", "name", "said"),
    [
        ("nobody", "x", "no device is called"),
        ("192.0.2.7", "192.0.2.8", "is an address"),
        ("192.0.2.7", "Desk", "is the name of 192.0.2.9"),
        ("192.0.2.7", "a\x1b[31mb", "no name"),
        ("192.0.2.7", " a", "no name"),
        ("192.0.2.7", "a" * 41, "no name"),
    ],
)
def test_what_is_no_name_is_refused(tmp_path: Path, device: str, name: str, said: str) -> None:
    Devices(tmp_path).rename("192.0.2.9", "Desk")
    with pytest.raises(DeviceError, match=said):
        Devices(tmp_path).rename(device, name)
    assert Devices(tmp_path).names == {"192.0.2.9": "Desk"}


def test_a_device_may_keep_its_name(tmp_path: Path) -> None:
    Devices(tmp_path).rename("192.0.2.9", "Desk")
    Devices(tmp_path).rename("Desk", "Desk")
    assert Devices(tmp_path).names == {"192.0.2.9": "Desk"}


@pytest.mark.parametrize("text", ["[1]", "{", "\udcff"])
def test_a_damaged_file_is_explained(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DeviceError, match="cannot be read"):
        Devices(tmp_path)
