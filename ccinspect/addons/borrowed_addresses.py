"""Addresses that stand for names in a jail.

They are of 198.18.0.0/15, set aside by RFC 2544 for benchmarks and never routed: a jailed program connects to one, and
the name that it was told for is what the connection goes to.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict

_FIRST = ipaddress.IPv4Address("198.18.0.1")
_COUNT = 2**17 - 2


class BorrowedAddresses:
    """Gives each name an address of its own; when all are given, the one that was asked for longest ago goes on."""

    def __init__(self, count: int = _COUNT) -> None:
        """`count`: how many there are."""
        self._count = count
        self._address_of: OrderedDict[str, str] = OrderedDict()
        self._name_of: dict[str, str] = {}

    def lend(self, name: str) -> str:
        """The address that stands for `name` (lower case, no dot at the end)."""
        address = self._address_of.get(name)
        if address is None:
            if len(self._address_of) < self._count:
                address = str(_FIRST + len(self._address_of))
            else:
                _, address = self._address_of.popitem(last=False)
            self._address_of[name] = address
            self._name_of[address] = name
        self._address_of.move_to_end(name)
        return address

    def name_of(self, address: str) -> str | None:
        """The name that an address stands for, if it does for one."""
        return self._name_of.get(address)
