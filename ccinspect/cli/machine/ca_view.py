"""What `ccinspect ca` shows, asks and does."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ccinspect.cli.instance import Instance
from ccinspect.cli.output import confirm, say, write, write_json
from ccinspect.errors import SetupError
from ccinspect.setup import authority as authorities
from ccinspect.setup import nss
from ccinspect.setup.authority import Authority, Format
from ccinspect.setup.system_store import SystemStore

_MEANING = (
    "every program that trusts this store will believe certificates made with our key in {key}",
    "whoever can read that key could then pretend to be any site, to you or to all users of this machine",
    "`ccinspect run` does not need this, whatever its mode",
)


def show_status(instance: Instance, json: bool) -> None:
    """Print the authority, and who trusts it."""
    authority = authorities.load(instance.paths.ca_cert)
    found = _status(instance, authority)
    if json:
        write_json(found)
        return
    write(f"certificate  {found['certificate']}")
    write(f"SHA-256      {authority.fingerprint}")
    write(f"expires      {authority.expires:%Y-%m-%d}")
    system = found["system"]
    if system is None:
        write("system       this machine's trust store is of no kind we know")
    else:
        write(f"system       {'trusted' if system['trusted'] else 'not trusted'} ({system['file']})")
        for other in system["others"]:
            write(f"             another instance's: {other}")
    for browser in found["browsers"]:
        words = {True: "trusted", False: "not trusted", None: "not known, for certutil is not installed"}
        write(f"browser      {words[browser['trusted']]} ({browser['database']})")


def install(instance: Instance, *, browsers: bool, yes: bool, dry_run: bool) -> int:
    """Put the authority into the machine's store or the browsers'; returns the exit status. Raises SetupError."""
    certificate = instance.paths.ca_cert
    authority = authorities.load(certificate)
    _key_is_private(instance)
    if browsers:
        places = [each for each in _browsers() if not nss.trusts(each, authority)]
        for_people = [f"certutil -d sql:{each} -A -n {authority.short_name} -t C,, -i {certificate}" for each in places]
        if not places:
            say("ccinspect: the browsers trust it already")
            return 0
        if not _agreed(instance, authority, for_people, yes, dry_run):
            return 0 if dry_run else 1
        for each in places:
            nss.install(each, authority, certificate)
            say(f"ccinspect: {each} trusts our authority now; start the browser anew")
        return 0
    store = SystemStore.find()
    if store.trusts(authority) and store.file(authority).exists():
        say("ccinspect: this machine trusts it already")
        return 0
    commands = store.install_commands(authority, certificate)
    if not _agreed(instance, authority, commands, yes, dry_run or not store.writable()):
        return _by_root(commands, dry_run) if dry_run or not store.writable() else 1
    store.install(authority)
    say(f"ccinspect: {store.file(authority)} written; this machine trusts our authority now: ccinspect ca uninstall")
    return 0


def uninstall(instance: Instance, *, browsers: bool, every: bool, yes: bool, dry_run: bool) -> int:
    """Take it out again; returns the exit status. Raises SetupError."""
    authority = authorities.load(instance.paths.ca_cert) if browsers or not every else None
    if browsers:
        assert authority is not None
        return _leave_browsers(authority, yes, dry_run)
    store = SystemStore.find()
    files = store.files() if authority is None else [file for file in store.files() if file == store.file(authority)]
    if not files:
        say("ccinspect: this machine's trust store has nothing of ours")
        return 0
    commands = store.remove_commands(files)
    _list(commands)
    if dry_run or not store.writable():
        return _by_root(commands, dry_run)
    if not yes and not confirm("Remove it?"):
        return 1
    store.remove(files)
    for file in files:
        say(f"ccinspect: {file} removed; this machine does not trust it any more")
    return 0


def export(instance: Instance, kind: Format, output: Path | None) -> None:
    """Print the certificate, or write it to a file. Raises SetupError."""
    content = authorities.load(instance.paths.ca_cert).exported(kind)
    if output is None:
        if kind != "pem" and sys.stdout.isatty():
            raise SetupError(f"{kind} is no text for a terminal", "name a file: -o FILE")
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
    else:
        try:
            output.write_bytes(content)
        except OSError as error:
            raise SetupError(f"{output} cannot be written: {error.strerror}", "name another file: -o FILE") from error
        password = f"; its password is {authorities.PASSWORD}" if kind in ("p12", "jks") else ""
        say(f"ccinspect: {output} written{password}")


def _status(instance: Instance, authority: Authority) -> dict[str, Any]:
    system = None
    try:
        store = SystemStore.find()
        own = store.file(authority)
        system = {
            "family": store.layout.family,
            "file": str(own),
            "trusted": store.trusts(authority),
            "others": [str(file) for file in store.files() if file != own],
        }
    except SetupError:
        pass
    browsers = []
    for database in nss.databases(Path.home()):
        try:
            trusted: bool | None = nss.trusts(database, authority)
        except SetupError:
            trusted = None
        browsers.append({"database": str(database), "trusted": trusted})
    return {
        "certificate": str(instance.paths.ca_cert),
        "sha256": authority.fingerprint,
        "expires": authority.expires.isoformat(),
        "system": system,
        "browsers": browsers,
    }


def _leave_browsers(authority: Authority, yes: bool, dry_run: bool) -> int:
    places = [each for each in nss.databases(Path.home()) if nss.trusts(each, authority)]
    if not places:
        say("ccinspect: no browser has our authority")
        return 0
    _list([f"certutil -d sql:{each} -D -n {authority.short_name}" for each in places])
    if dry_run:
        return 0
    if not yes and not confirm("Remove it?"):
        return 1
    for each in places:
        nss.remove(each, authority)
        say(f"ccinspect: {each} does not trust it any more")
    return 0


def _browsers() -> list[Path]:
    found = nss.databases(Path.home())
    if not found:
        raise SetupError("no database of Firefox or Chromium was found", "start the browser once, then try again")
    return found


def _key_is_private(instance: Instance) -> None:
    """Raises SetupError when others could read the key: then nobody should trust what it signs."""
    directory = instance.paths.ca_dir
    readable = [path for path in directory.glob("*-ca.p*") if path.stat().st_mode & 0o077]
    if readable and directory.stat().st_mode & 0o077:
        raise SetupError(
            f"other users can read the authority's key in {readable[0]}: nobody should trust what it signs",
            f"chmod -R go= {directory}",
        )


def _agreed(instance: Instance, authority: Authority, commands: Sequence[str], yes: bool, only_say: bool) -> bool:
    """Say what it means and what will be done; whether to do it."""
    say(f"ccinspect: our authority's certificate has the SHA-256 fingerprint\n  {authority.fingerprint}")
    say("what it means to trust it:")
    for line in _MEANING:
        say(f"  {line.format(key=instance.paths.ca_dir)}")
    _list(commands)
    return not only_say and (yes or confirm("Trust it?"))


def _list(commands: Sequence[str]) -> None:
    say("what is done:")
    for command in commands:
        say(f"  {command}")


def _by_root(commands: Sequence[str], dry_run: bool) -> int:
    if dry_run:
        return 0
    raise SetupError(
        "only root may change this machine's trust store; nothing was done",
        "as root: " + " && ".join(f"sudo {command}" for command in commands),
    )
