"""Names that a person gives to other machines, by their address. Flows hold addresses; names are put in when shown."""

from __future__ import annotations

import ipaddress
import json
import os
import tempfile
from pathlib import Path

from ccinspect.errors import DeviceError

FILE = "devices.json"
_LONGEST_NAME = 40


class Devices:
    """The names, read once."""

    def __init__(self, data_dir: Path) -> None:
        """Raises DeviceError when the file cannot be read."""
        self._path = data_dir / FILE
        self.names: dict[str, str] = {}
        """Address -> name."""
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
            self.names = {str(address): str(name) for address, name in found.items()}
        except FileNotFoundError:
            pass
        except (OSError, ValueError, AttributeError) as error:
            raise DeviceError(
                f"the names of devices in {self._path} cannot be read; flows are not concerned",
                "mend or remove that file",
            ) from error

    def shown(self, address: str | None) -> str:
        """The name of an address, or the address; empty for this machine."""
        return self.names.get(address, address) if address else ""

    def find(self, text: str) -> str:
        """The address that a name or an address means. Raises DeviceError."""
        for address, name in self.names.items():
            if name == text:
                return address
        try:
            return str(ipaddress.ip_address(text))
        except ValueError as error:
            raise DeviceError(f"no device is called {text!r}", "see `ccinspect devices list`") from error

    def rename(self, device: str, name: str) -> str:
        """Give a device (its address, or the name it had) a name; an empty one takes its name away. Returns its
        address. Raises DeviceError."""
        address = self.find(device)
        if not name:
            self.names.pop(address, None)
        else:
            self._check(address, name)
            self.names[address] = name
        self._write()
        return address

    def _check(self, address: str, name: str) -> None:
        if len(name) > _LONGEST_NAME or not name.isprintable() or name != name.strip():
            raise DeviceError(
                f"{name[:_LONGEST_NAME]!r} is no name for a device", f"use up to {_LONGEST_NAME} printable characters"
            )
        try:
            ipaddress.ip_address(name)
        except ValueError:
            pass
        else:
            raise DeviceError(f"{name} is an address, and would be taken for that device", "use another name")
        taken = next((other for other, known in self.names.items() if known == name and other != address), None)
        if taken is not None:
            raise DeviceError(f"{name!r} is the name of {taken}", "use another name, or rename that one first")

    def _write(self) -> None:
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Made for this user only, and put in place at once.
            descriptor, made = tempfile.mkstemp(dir=self._path.parent, prefix=FILE)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(self.names, file, indent=2, ensure_ascii=False, sort_keys=True)
            os.replace(made, self._path)
        except OSError as error:
            raise DeviceError(
                f"{self._path} cannot be written: {error.strerror}", "make its directory writable for you"
            ) from error
