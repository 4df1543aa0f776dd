"""The certificate authorities that upstream servers are verified against: this machine's own, and `upstream_ca`."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from pathlib import Path

from ccinspect.errors import ConfigError

BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
_BEGIN = b"-----BEGIN CERTIFICATE-----"


def system_bundle(environ: Mapping[str, str] | None = None) -> Path:
    """Find the PEM bundle of this machine's roots: `SSL_CERT_FILE`, OpenSSL's default, the distributions' places.

    Falls back to the Mozilla roots of `certifi` on a machine that has none.
    """
    env = os.environ if environ is None else environ
    candidates = [env.get("SSL_CERT_FILE"), ssl.get_default_verify_paths().cafile, *BUNDLES]
    for candidate in candidates:
        if candidate and os.path.isfile(candidate) and _BEGIN in Path(candidate).read_bytes():
            return Path(candidate)
    import certifi

    return Path(certifi.where())


def write_upstream_roots(target: Path, upstream_ca: Path | None, environ: Mapping[str, str] | None = None) -> Path:
    """Write the bundle mitmproxy verifies against to `target` (0600) and return it. Raises ConfigError."""
    parts = [system_bundle(environ).read_bytes()]
    if upstream_ca is not None:
        try:
            extra = upstream_ca.expanduser().read_bytes()
            ssl.create_default_context(cadata=extra.decode("ascii", "replace"))
        except (OSError, ssl.SSLError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else "no PEM certificate in it"
            raise ConfigError(
                f"inspector.upstream_ca: cannot use {upstream_ca}: {reason}",
                "name a readable file of PEM certificates",
            ) from error
        parts.append(extra)
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(b"\n".join(parts))
    return target
