"""What of a credential that was put on may be kept."""

from __future__ import annotations

import pytest

from ccinspect.addons.exchange import Exchange
from ccinspect.auth.credential import Credential
from ccinspect.store.redaction import Redactor

REAL = "the-real-key-of-work-0123456789"
STORE = Redactor(b"a key of the store")


def kept(name: str, value: str, secret: str = REAL) -> str:
    exchange = Exchange({}, hide=Credential("work", secret, name).hidden_in)
    ((_, clean),) = exchange.without_secrets({"headers": ((name.encode(), value.encode()),)})["headers"]
    return STORE.header(name, clean.decode())


@pytest.mark.parametrize(("name", "before"), [("authorization", "Bearer "), ("x-api-key", ""), ("Authorization", "")])
def test_the_store_keeps_the_fingerprint_that_the_key_has_everywhere(name: str, before: str) -> None:
    assert kept(name, before + REAL) == before + STORE.secret(REAL)


def test_two_credentials_have_two_fingerprints() -> None:
    assert kept("x-api-key", "one-key-of-two", "one-key-of-two") != kept("x-api-key", "the-other-key", "the-other-key")


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("x-custom", REAL, REAL),
        ("x-custom", f"Bearer {REAL}", REAL),
        ("x-seen", f"key={REAL}", REAL),
        ("authorization", "two words", "two words"),
        ("authorization", "Bearer two words", "two words"),
        ("authorization", f"Digest user={REAL}, x={REAL}", REAL),
        ("cookie", f"a={REAL}", REAL),
    ],
)
def test_elsewhere_nothing_is_left_of_it(name: str, value: str, secret: str) -> None:
    clean = kept(name, value, secret)
    assert not [word for word in secret.split() if word in clean]
