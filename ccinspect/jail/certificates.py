"""As much of X.509 as it takes to build trust stores without a crypto library, which `run` has no time to import."""

from __future__ import annotations

import binascii
import hashlib
import re
import struct
import time
from collections.abc import Iterable

_PEM_BLOCK = re.compile(
    rb"-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[^-]+-----END (?:TRUSTED |X509 )?CERTIFICATE-----"
)
_SEQUENCE, _SET, _UTF8_STRING, _VERSION = 0x30, 0x31, 0x0C, 0xA0
# String types of ASN.1 that OpenSSL converts to lower-case UTF-8 before it hashes a name, and how each is encoded.
_STRINGS = {
    0x0C: "utf-8",
    0x13: "ascii",
    0x14: "latin-1",
    0x16: "ascii",
    0x1A: "ascii",
    0x1C: "utf-32-be",
    0x1E: "utf-16-be",
}


def pem_blocks(text: bytes) -> list[bytes]:
    """The certificates of a PEM file, each with its armour and without what stands between them."""
    return _PEM_BLOCK.findall(text)


def pem_to_der(block: bytes) -> bytes:
    """The bytes inside one PEM block. Raises ValueError."""
    try:
        return binascii.a2b_base64(b"".join(block.split(b"\n")[1:-1]))
    except binascii.Error as error:
        raise ValueError(f"not a PEM block: {error}") from error


def subject_hash(certificate: bytes) -> str:
    """The eight hexadecimal digits under which OpenSSL looks a DER certificate up in a directory (X509_NAME_hash).

    Raises ValueError when the certificate cannot be parsed.
    """
    try:
        body = _content(_content(certificate))
        fields = [field for field in _elements(body) if field[0] != _VERSION]
        subject = fields[4]
        canonical = b"".join(_canonical_rdn(rdn) for rdn in _elements(_content(subject)))
        # The name as OpenSSL hashes it is the encoding of its parts without the outer SEQUENCE's own head.
        digest = hashlib.sha1(canonical, usedforsecurity=False).digest()
    except (IndexError, UnicodeDecodeError) as error:
        raise ValueError("not a certificate") from error
    return f"{struct.unpack('<I', digest[:4])[0]:08x}"


def java_keystore(certificates: Iterable[bytes]) -> bytes:
    """A JKS trust store holding DER certificates, under Java's customary password `changeit`.

    Every JDK reads this old format whatever its default is; the layout is that of sun.security.provider.JavaKeyStore.
    """
    entries = []
    now = struct.pack(">Q", int(time.time() * 1000))
    for number, certificate in enumerate(certificates):
        alias = b"ccinspect-%d" % number
        kind = b"\0\5X.509"
        head = struct.pack(">IH", 2, len(alias)) + alias + now + kind
        entries.append(head + struct.pack(">I", len(certificate)) + certificate)
    data = struct.pack(">III", 0xFEEDFEED, 2, len(entries)) + b"".join(entries)
    seal = "changeit".encode("utf-16-be") + b"Mighty Aphrodite" + data
    return data + hashlib.sha1(seal, usedforsecurity=False).digest()


def _canonical_rdn(rdn: bytes) -> bytes:
    pairs = []
    for pair in _elements(_content(rdn)):
        kind, value = _elements(_content(pair))
        if value[0] in _STRINGS:
            words = _content(value).decode(_STRINGS[value[0]]).encode().lower().split()
            value = _encode(_UTF8_STRING, b" ".join(words))
        pairs.append(_encode(_SEQUENCE, kind + value))
    return _encode(_SET, b"".join(sorted(pairs)))


def _header(data: bytes, at: int = 0) -> tuple[int, int]:
    """Where the content of the DER element at `at` begins, and where it ends."""
    size = data[at + 1]
    if size < 0x80:
        return at + 2, at + 2 + size
    width = size & 0x7F
    return at + 2 + width, at + 2 + width + int.from_bytes(data[at + 2 : at + 2 + width])


def _content(element: bytes) -> bytes:
    begin, end = _header(element)
    return element[begin:end]


def _elements(data: bytes) -> list[bytes]:
    found, at = [], 0
    while at < len(data):
        _begin, end = _header(data, at)
        found.append(data[at:end])
        at = end
    return found


def _encode(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    width = (size.bit_length() + 7) // 8
    return bytes([tag, 0x80 | width]) + size.to_bytes(width) + content
