"""Our authority in the stores of a machine. The machine's own are never touched: see `in_a_copy`."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import pkcs12
from mitmproxy.certs import CertStore

from ccinspect.errors import SetupError
from ccinspect.setup import authority as authorities
from ccinspect.setup import nss
from ccinspect.setup.authority import Authority
from ccinspect.setup.system_store import LAYOUTS, Layout, SystemStore
from tests.support import needs
from tests.support.daemon import clean_environment

# A mount namespace in which the stores of certificates are copies, and what runs after an update is left out.
COPY = """
set -e
for store in /etc/ssl/certs /usr/local/share/ca-certificates; do
    cp -a "$store" "$1"
    mount -t tmpfs tmpfs "$store"
    cp -a "$1"/. "$store"
    rm -r "$1"
done
mount -t tmpfs tmpfs /etc/ca-certificates/update.d
shift
exec "$@"
"""
# Stands in for Fedora's and Arch's tool, which Debian does not have: it gathers what lies in the directory.
GATHER = """#!/bin/sh
cat "{anchors}"/* > "{bundle}" 2>/dev/null || : > "{bundle}"
"""


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration directory whose authority was made as the daemon makes it."""
    directory = tmp_path_factory.mktemp("authority")
    ca = directory / "data" / "ca"
    ca.mkdir(parents=True)
    CertStore.from_store(ca, "mitmproxy", 2048)
    return directory


@pytest.fixture
def certificate(instance: Path) -> Path:
    return instance / "data/ca/mitmproxy-ca-cert.pem"


@pytest.fixture
def authority(certificate: Path) -> Authority:
    return authorities.load(certificate)


def ours(instance: Path, *words: str) -> list[str]:
    return [sys.executable, "-P", "-m", "ccinspect", "--config", str(instance), "ca", *words]


def in_a_copy(directory: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script where the machine's stores are copies that go with it."""
    needs.program("update-ca-certificates")
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c", COPY, "sh", str(directory / "store")]
    return subprocess.run([*command, "sh", "-ec", script], capture_output=True, text=True, timeout=60)


def test_debian_trusts_it_and_forgets_it(instance: Path, authority: Authority, tmp_path: Path) -> None:
    file = f"/usr/local/share/ca-certificates/{authority.short_name}.crt"
    call = " ".join(ours(instance))
    bundle = "/etc/ssl/certs/ca-certificates.crt"
    verify = f"openssl verify -CApath /etc/ssl/certs {instance}/data/ca/mitmproxy-ca-cert.pem"
    script = f"""
        sha256sum {bundle}
        {call} install --dry-run
        test ! -e {file}
        ! echo n | {call} install
        test ! -e {file}
        {call} install --yes
        {call} install --yes
        {verify}
        {call} status --json
        {call} uninstall --yes
        {call} uninstall --yes
        test ! -e {file}
        ! {verify}
        sha256sum {bundle}
    """
    done = in_a_copy(tmp_path, script)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    lines = done.stdout.splitlines()
    assert lines[0] == lines[-1]
    assert f"{instance}/data/ca/mitmproxy-ca-cert.pem: OK" in lines
    status = json.loads("\n".join(lines[lines.index("{") : lines.index("}") + 1]))
    assert status["system"] == {"family": LAYOUTS[0].family, "file": file, "trusted": True, "others": []}
    assert authority.fingerprint in done.stderr
    assert f"install -m 0644 {instance}/data/ca/mitmproxy-ca-cert.pem {file}" in done.stderr
    assert "this machine trusts it already" in done.stderr
    assert not Path(file).exists()


def test_without_the_right_to_it_the_commands_for_root_are_printed(instance: Path, tmp_path: Path) -> None:
    script = f"mount -o remount,ro /usr/local/share/ca-certificates; {' '.join(ours(instance, 'install', '--yes'))}"
    done = in_a_copy(tmp_path, script)
    assert done.returncode == 1
    assert "as root: sudo install -m 0644 " in done.stderr
    assert "&& sudo update-ca-certificates" in done.stderr


def fake_root(directory: Path, layout: Layout) -> Path:
    """A root directory with one distribution's layout and its tool."""
    anchors, bundle = (directory / path.lstrip("/") for path in (layout.directory, layout.bundle))
    tool = directory / "usr/bin" / layout.update[0]
    for made in (anchors, bundle.parent, tool.parent):
        made.mkdir(parents=True)
    tool.write_text(GATHER.format(anchors=anchors, bundle=bundle))
    tool.chmod(0o755)
    return directory


@pytest.mark.parametrize("layout", LAYOUTS, ids=[layout.family for layout in LAYOUTS])
def test_each_distribution_has_its_place(layout: Layout, authority: Authority, tmp_path: Path) -> None:
    store = SystemStore.find(fake_root(tmp_path, layout))
    assert store.layout == layout
    assert not store.trusts(authority)
    store.install(authority)
    assert store.trusts(authority)
    assert store.file(authority).stat().st_mode & 0o777 == 0o644
    assert store.files() == [store.file(authority)]
    store.remove(store.files())
    assert not store.trusts(authority)
    assert store.files() == []


@pytest.mark.parametrize(("tool", "said"), [("exit 3", "failed (3)"), ("exit 0", "did not add our authority")])
def test_an_update_that_does_not_work_leaves_nothing(
    authority: Authority, tmp_path: Path, tool: str, said: str
) -> None:
    root = fake_root(tmp_path, LAYOUTS[1])
    (root / "usr/bin/update-ca-trust").write_text(f"#!/bin/sh\n{tool}\n")
    store = SystemStore.find(root)
    with pytest.raises(SetupError) as caught:
        store.install(authority)
    assert said in caught.value.message
    assert store.files() == []


def test_a_machine_of_no_known_kind_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="no kind we know"):
        SystemStore.find(tmp_path)


def test_it_is_exported_in_every_format(instance: Path, authority: Authority, tmp_path: Path) -> None:
    keytool = needs.program("keytool")
    content = {kind: authority.exported(kind) for kind in authorities.FORMATS}
    assert ssl.PEM_cert_to_DER_cert(content["pem"].decode()) == content["der"] == authority.der
    for kind in ("jks", "p12"):
        store = tmp_path / f"store.{kind}"
        store.write_bytes(content[kind])
        command = [keytool, "-list", "-keystore", str(store), "-storepass", authorities.PASSWORD, "-J-Xshare:auto"]
        listed = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert "trustedCertEntry" in listed.stdout, listed.stdout
        assert authority.fingerprint in listed.stdout
    assert pkcs12.load_pkcs12(content["p12"], authorities.PASSWORD.encode()).key is None
    printed = subprocess.run(ours(instance, "export"), capture_output=True, timeout=60)
    assert printed.stdout == content["pem"]


def test_a_browsers_database_gets_it_and_gives_it_up(instance: Path, authority: Authority, tmp_path: Path) -> None:
    profile = tmp_path / ".mozilla/firefox/abc.default"
    profile.mkdir(parents=True)
    made = ["certutil", "-d", f"sql:{profile}", "-N", "--empty-password"]
    subprocess.run(made, check=True, capture_output=True, timeout=60)
    environ = clean_environment() | {"HOME": str(tmp_path)}
    assert nss.databases(tmp_path) == [profile]
    for words, trusted in (("install", True), ("uninstall", False)):
        for _ in range(2):
            command = ours(instance, words, "--browsers", "--yes")
            subprocess.run(command, env=environ, check=True, capture_output=True, timeout=60)
        assert nss.trusts(profile, authority) is trusted


def test_an_authority_whose_key_others_can_read_is_not_installed(instance: Path, tmp_path: Path) -> None:
    copy = tmp_path / "instance"
    shutil.copytree(instance, copy)
    for path in (copy / "data/ca", *(copy / "data/ca").iterdir()):
        os.chmod(path, 0o755)
    done = subprocess.run(ours(copy, "install", "--yes"), capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "other users can read the authority's key" in done.stderr
