"""What a keyless run has to know of the key that it must not have: enough to find it, not enough to learn it."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from ccinspect.addons.plan import Plan
from ccinspect.auth.keyless import Fingerprint
from ccinspect.config import Config
from ccinspect.errors import ConfigError


async def describe_key(provider: str, config: Config, plan: Plan, config_file: Path) -> dict[str, Any]:
    """{fingerprints, dialects, variables, files}. Raises ConfigError for a provider without `auth`, and
    CredentialsError when its credential cannot be had."""
    settings = config.providers.get(provider)
    auth = settings.auth if settings else None
    if auth is None:
        having = ", ".join(plan.credentials.names()) or "none yet"
        raise ConfigError(
            f"the provider {provider!r} has no `auth`, so there is no key to put in the place of a sentinel; "
            "the command was not started",
            f"set providers.{provider}.auth in ccinspect.yaml; providers that have it: {having}",
        )
    credential = await plan.credentials.resolve(provider)
    salt = secrets.token_bytes(16)
    prints = [Fingerprint.of(secret, salt) for secret in credential.secrets if secret]
    known = plan.router.destinations.known.get(provider)
    return {
        "fingerprints": [
            {"length": each.length, "salt": each.salt.hex(), "digest": each.digest.hex()} for each in prints
        ],
        "dialects": list(known.paths) if known else [],
        "variables": list(auth.variables()),
        # The settings too: a command like `echo KEY` holds the key itself.
        "files": [str(path) for path in (*auth.files(), config_file)],
    }
