"""Programs inside trust the daemon's authority, each in its own way, and nothing on the machine has changed."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import NameOID
from cryptography.x509.name import _ASN1Type

from ccinspect.jail.certificates import java_keystore, pem_blocks, pem_to_der, subject_hash
from ccinspect.jail.trust import ADDING_VARIABLES, REPLACING_VARIABLES, build_bundle, trust_environment, write_bundle
from tests.jail.conftest import Jail
from tests.support import needs


def authority(*attributes: x509.NameAttribute) -> bytes:
    """A self-signed certificate in DER."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(attributes)
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    signed = builder.not_valid_before(now).not_valid_after(now + timedelta(days=1)).sign(key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.DER)


def to_pem(der: bytes) -> bytes:
    return x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.PEM)


NAMES = [
    [x509.NameAttribute(NameOID.COMMON_NAME, "mitmproxy"), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "mitmproxy")],
    [x509.NameAttribute(NameOID.COMMON_NAME, "  Spaces   and CAPITALS  ")],
    [x509.NameAttribute(NameOID.COMMON_NAME, "Größe Ärger")],
    [x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"), x509.NameAttribute(NameOID.COMMON_NAME, "x" * 60)],
    [x509.NameAttribute(NameOID.COMMON_NAME, "printable", _ASN1Type.PrintableString)],
    [x509.NameAttribute(NameOID.COMMON_NAME, "Wide Ünicode", _ASN1Type.BMPString)],
]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_the_subject_hash_is_openssls(name: list[x509.NameAttribute], tmp_path: Path) -> None:
    der = authority(*name)
    file = tmp_path / "ca.der"
    file.write_bytes(der)
    command = ["openssl", "x509", "-inform", "DER", "-in", str(file), "-noout", "-subject_hash"]
    expected = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert subject_hash(der) == expected


def test_the_subject_hash_of_every_root_of_this_machine_is_openssls() -> None:
    blocks = pem_blocks(Path("/etc/ssl/certs/ca-certificates.crt").read_bytes())
    assert len(blocks) > 50
    names = {entry.split(".")[0] for entry in os.listdir("/etc/ssl/certs") if entry.endswith(".0")}
    assert {subject_hash(pem_to_der(block)) for block in blocks} <= names


@pytest.mark.parametrize(
    "rubbish", [b"", b"\x30", b"\x30\x03\x02\x01\x01", b"\x30\x84\xff\xff\xff\xff", hashlib.sha512(b"noise").digest()]
)
def test_rubbish_is_no_certificate(rubbish: bytes) -> None:
    with pytest.raises(ValueError, match="certificate"):
        subject_hash(rubbish)


def test_java_reads_the_keystore(tmp_path: Path) -> None:
    keytool = needs.program("keytool")
    store = tmp_path / "store"
    store.write_bytes(java_keystore([authority(*NAMES[0]), authority(*NAMES[2])]))
    command = [keytool, "-list", "-keystore", str(store), "-storepass", "changeit"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "contains 2 entries" in done.stdout, done.stdout + done.stderr


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    path.write_bytes(to_pem(authority(*NAMES[0])))
    return path


def test_a_bundle_holds_roots_the_users_own_and_ours(ca: Path, tmp_path: Path) -> None:
    company, extra, roots = (to_pem(authority(NAMES[n][0])) for n in (1, 2, 3))
    (tmp_path / "company.pem").write_bytes(b"Company root\n" + company)
    (tmp_path / "roots.pem").write_bytes(roots)
    directory = tmp_path / "directory"
    directory.mkdir()
    (directory / "extra.pem").write_bytes(extra)
    environ = {"REQUESTS_CA_BUNDLE": str(tmp_path / "company.pem"), "SSL_CERT_DIR": f"{directory}:/nonexistent"}
    bundle = build_bundle(ca, environ | {"CURL_CA_BUNDLE": "/nonexistent"}, tmp_path / "roots.pem")
    assert [block.strip() for block in pem_blocks(bundle)] == [
        block.strip() for block in (roots, company, extra, ca.read_bytes())
    ]


def test_a_private_key_beside_a_users_certificate_stays_out(ca: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.pem"
    secret = b"-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"
    mine.write_bytes(secret + to_pem(authority(*NAMES[1])))
    bundle = build_bundle(ca, {"SSL_CERT_FILE": str(mine)}, None)
    assert b"PRIVATE" not in bundle
    assert len(pem_blocks(bundle)) == len(pem_blocks(build_bundle(ca, {}, None))) + 1


def test_variables_that_replace_get_the_bundle_and_those_that_add_our_authority(ca: Path) -> None:
    variables = trust_environment(ca, Path("/bundle"), {})
    assert {variables[name] for name in REPLACING_VARIABLES} == {"/bundle"}
    assert {variables[name] for name in ADDING_VARIABLES} == {str(ca)}
    assert "SSL_CERT_DIR" not in variables
    merged = trust_environment(ca, Path("/bundle"), {"NODE_EXTRA_CA_CERTS": "/company.pem"})
    assert merged["NODE_EXTRA_CA_CERTS"] == "/bundle"


def test_equal_environments_share_a_bundle(ca: Path, tmp_path: Path) -> None:
    first = write_bundle(tmp_path, ca, {})
    assert write_bundle(tmp_path, ca, {"PATH": "/elsewhere"}) == first
    assert len(list(tmp_path.glob("bundle-*"))) == 1
    assert ca.read_bytes().strip() in first.read_bytes()


URL = "https://model.example/trusted"
ANSWER = "hello from outside: /trusted"
JAVA = """
public class Fetch {
    public static void main(String[] args) throws Exception {
        System.out.println(new String(new java.net.URI(args[0]).toURL().openStream().readAllBytes()));
    }
}
"""
PROGRAMS = {
    "curl": ["curl", "-sS", URL],
    "wget": ["wget", "-qO-", URL],
    "python": [sys.executable, "-c", f"import urllib.request as u; print(u.urlopen('{URL}').read().decode())"],
    "httpx": [sys.executable, "-c", f"import httpx2; print(httpx2.get('{URL}').text)"],
    "node": ["node", "-e", f"fetch('{URL}').then(r => r.text()).then(console.log)"],
    "openssl file": ["sh", "-c", "openssl s_client -verify_return_error -connect model.example:443 </dev/null 2>&1"],
    "openssl directory": [
        "sh",
        "-c",
        "openssl s_client -verify_return_error -no-CAfile -CApath /etc/ssl/certs -connect model.example:443 "
        "</dev/null 2>&1",
    ],
}


@pytest.mark.jail
@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("variables", ["with variables", "without variables"])
def test_a_real_handshake_of_each_program(user_jail: Jail, program: str, variables: str) -> None:
    argv = [needs.program(PROGRAMS[program][0]), *PROGRAMS[program][1:]]
    if variables == "without variables":
        argv = ["env", "-i", f"PATH={os.environ['PATH']}", *argv]
    done = user_jail.run(argv)
    # A bundle is compiled into Node: only variables reach it.
    trusts = (program, variables) != ("node", "without variables")
    success = "Verify return code: 0 (ok)" if "openssl" in program else ANSWER
    assert (success in done.stdout) == trusts, done.stdout + done.stderr


@pytest.mark.jail
def test_git_trusts_it_too(user_jail: Jail) -> None:
    done = user_jail.run(["git", "ls-remote", "https://model.example/repo.git"])
    assert "certificate" not in done.stderr
    assert "/repo.git/info/refs" in " ".join(flow["url"] for flow in user_jail.tunnels.seen("http"))


@pytest.mark.jail
@pytest.mark.slow
def test_java_trusts_it_by_its_own_store(user_jail: Jail) -> None:
    java = needs.program("java")
    source = user_jail.home / "Fetch.java"
    source.write_text(JAVA)
    done = user_jail.run([java, str(source), URL], timeout=90)
    assert ANSWER in done.stdout, done.stderr
    assert "Picked up" not in done.stderr


@pytest.mark.jail
def test_a_users_own_authority_is_still_trusted(user_jail: Jail) -> None:
    company = user_jail.home / "company.pem"
    company.write_bytes(to_pem(authority(*NAMES[1])))
    script = 'grep -cF "$(sed -n 5p "$1")" "$SSL_CERT_FILE" "$NODE_EXTRA_CA_CERTS" "$REQUESTS_CA_BUNDLE"'
    done = user_jail.run(["sh", "-c", script, "sh", str(company)], env={"NODE_EXTRA_CA_CERTS": str(company)})
    assert [line.rpartition(":")[2] for line in done.stdout.split()] == ["1", "1", "1"], done.stderr


@pytest.mark.jail
def test_the_machines_own_store_is_untouched_and_no_mount_shows(jail: Jail) -> None:
    def state() -> tuple[bytes, list[str], str]:
        bundle = Path("/etc/ssl/certs/ca-certificates.crt").read_bytes()
        return bundle, sorted(os.listdir("/etc/ssl/certs")), Path("/proc/self/mountinfo").read_text()

    before = state()
    done = jail.run(["sh", "-c", "ls /etc/ssl/certs | wc -l; tail -c 60 /etc/ssl/certs/ca-certificates.crt"])
    assert state() == before
    assert int(done.stdout.split()[0]) == len(before[1]) + 1


@pytest.mark.jail
def test_nothing_of_the_store_can_be_written_inside(jail: Jail) -> None:
    done = jail.run(["sh", "-c", 'echo x >> "$SSL_CERT_FILE"; echo x > /etc/ssl/certs/x; echo x >> /etc/resolv.conf'])
    assert done.stderr.lower().count("read-only") + done.stderr.lower().count("permission denied") == 3, done.stderr
