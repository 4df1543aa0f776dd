"""Both implementations of WireGuard: the kernel's where it has one, wireguard-go anywhere."""

from __future__ import annotations

import json

import pytest

from ccinspect.jail.doctor import wireguard_kind
from tests.jail.conftest import Jail
from tests.jail.test_network import FETCH

pytestmark = pytest.mark.jail

KINDS = {"kernel": "wireguard", "userspace": "tun"}


def kind_of(jail: Jail, **settings: object) -> str:
    """What the kernel says `wg0` is."""
    (link,) = json.loads(jail.output(["ip", "-json", "-details", "link", "show", "wg0"], **settings))
    kind: str = link["linkinfo"]["info_kind"]
    return kind


def test_auto_takes_the_kernels_where_there_is_one(jail: Jail) -> None:
    assert kind_of(jail) == KINDS[wireguard_kind()]


def test_wireguard_go_works_anywhere(jail: Jail) -> None:
    assert kind_of(jail, wireguard="userspace") == "tun"
    done = jail.python(FETCH, "http://203.0.113.9/go", wireguard="userspace")
    assert done.stdout == "hello from outside: /go\n", done.stderr


def test_the_kernels_works_or_is_said_to_be_missing(jail: Jail) -> None:
    done = jail.python(FETCH, "http://203.0.113.9/kernel", wireguard="kernel")
    if wireguard_kind() == "kernel":
        assert done.stdout == "hello from outside: /kernel\n", done.stderr
    else:
        assert done.returncode == 1
        assert done.stderr.startswith("JailUnavailable: cannot create the tunnel: this kernel gives us no WireGuard")
