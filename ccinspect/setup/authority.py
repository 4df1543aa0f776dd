"""Our certificate authority, as other programs are to have it: what it is, and the formats it is exported in."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from ccinspect.errors import SetupError
from ccinspect.jail.certificates import java_keystore, pem_blocks, pem_to_der

type Format = Literal["pem", "der", "p12", "jks"]

FORMATS: tuple[Format, ...] = ("pem", "der", "p12", "jks")
PASSWORD = "changeit"
"""Java's customary password of a trust store, and ours of p12 and jks. They hold nothing secret."""
ALIAS = "ccinspect"


@dataclass(frozen=True)
class Authority:
    """The certificate; its key never leaves the data directory."""

    der: bytes

    @property
    def pem(self) -> bytes:
        import ssl

        return ssl.DER_cert_to_PEM_cert(self.der).encode()

    @property
    def fingerprint(self) -> str:
        """SHA-256 as tools print it: pairs of hexadecimal digits with colons."""
        return hashlib.sha256(self.der).digest().hex(":").upper()

    @property
    def short_name(self) -> str:
        """Tells the authorities of two instances apart."""
        return f"{ALIAS}-{hashlib.sha256(self.der).hexdigest()[:8]}"

    @property
    def expires(self) -> datetime:
        from cryptography import x509

        return x509.load_der_x509_certificate(self.der).not_valid_after_utc

    def exported(self, kind: Format) -> bytes:
        """The certificate in one of the formats; `p12` and `jks` are trust stores for Java, with PASSWORD."""
        if kind == "pem":
            return self.pem
        if kind == "der":
            return self.der
        if kind == "jks":
            return java_keystore([self.der])
        return self._java_p12()

    def _java_p12(self) -> bytes:
        from cryptography import x509
        from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

        # Java trusts an entry of a p12 file only with an attribute of its own; other readers pass over that.
        entry = pkcs12.PKCS12Certificate(x509.load_der_x509_certificate(self.der), ALIAS.encode())
        return pkcs12.serialize_java_truststore([entry], BestAvailableEncryption(PASSWORD.encode()))


def no_authority_yet() -> SetupError:
    """The error of who needs the certificate before there is one."""
    return SetupError(
        "there is no certificate authority of ours yet: the daemon makes it when it first starts",
        "start it: ccinspect start --detach",
    )


def load(ca_cert: Path) -> Authority:
    """Read the certificate. Raises SetupError when there is none yet."""
    try:
        blocks = pem_blocks(ca_cert.read_bytes())
    except FileNotFoundError as error:
        raise no_authority_yet() from error
    except OSError as error:
        raise SetupError(f"{ca_cert} cannot be read: {error.strerror}", "make it readable for you") from error
    if not blocks:
        raise SetupError(f"{ca_cert} holds no certificate", "remove it, then: ccinspect restart")
    return Authority(pem_to_der(blocks[0]))
