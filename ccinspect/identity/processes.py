"""Which process of a run opened a connection.

A jailed connection reaches us as (address, port) of the socket inside the jail's network namespace. The kernel tells
the socket's inode in `/proc/PID/net/tcp` of any process in that namespace, and whose it is in `/proc/PID/fd`. Both can
be read without privileges for processes of the same user, also in user namespaces that this user made; asking the
namespace's own NETLINK_SOCK_DIAG would need CAP_SYS_ADMIN here (setns(2)).

A process that made itself undumpable (Codex does) shows its descriptors to root only. Such a process is found by
elimination: the socket is in the run's namespace, nobody who can be looked at has it, and it is the only one left.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Literal

from ccinspect.identity.arguments import without_secrets

Protocol = Literal["tcp", "udp"]

MAX_PROCESSES = 4_096
"""Processes of a run that are looked at."""
MAX_DESCRIPTORS = 65_536
"""Descriptors of one process that are looked at."""
MAX_ARGUMENTS = 32
MAX_ARGUMENT = 256
"""Characters."""
MAX_PARENTS = 32


@dataclass(frozen=True, slots=True)
class Ancestor:
    """One process; argv is cut to MAX_ARGUMENTS and MAX_ARGUMENT, and holds no credentials that can be told."""

    pid: int
    """In our own pid namespace."""
    name: str
    """The kernel's short name, 15 bytes."""
    exe: str | None
    """Path as the process sees it; None where it may not be read."""
    argv: tuple[str, ...]

    def as_record(self) -> dict[str, object]:
        return {"pid": self.pid, "name": self.name, "exe": self.exe, "argv": list(self.argv)}


@dataclass(frozen=True, slots=True)
class Opener:
    """The process that opened a connection, and the chain of its parents up to the run's command."""

    process: Ancestor
    parents: tuple[Ancestor, ...]
    """Nearest first; the last is the command of the run."""
    inferred: bool = False
    """Found by elimination."""

    def as_record(self) -> dict[str, object]:
        """{pid, name, exe, argv, parents: [{pid, name, exe, argv}], inferred}."""
        parents = [parent.as_record() for parent in self.parents]
        return {**self.process.as_record(), "parents": parents, "inferred": self.inferred}


class ProcessFinder:
    """Finds the openers of one run's connections. Thread-safe; every call reads /proc and may take milliseconds.

    `root` is the pid of the run's supervisor, in our own pid namespace: all processes below it are looked at, in
    whatever namespaces they are.
    """

    def __init__(self, root: int, proc: str = "/proc") -> None:
        self.root = root
        self._proc = proc
        self._lock = threading.Lock()
        self._described: dict[tuple[int, str], Ancestor] = {}
        """By pid and start time; a pid alone may have been given to another."""
        self._recent: list[int] = []
        """Processes that opened connections lately: likely to open the next one."""

    def find(self, address: str, port: int, protocol: Protocol = "tcp") -> Opener | None:
        """The process that holds the socket bound to this local address, or None.

        To be called while the connection is open, best when it has just been made. Raises ValueError when `address`
        is not an IP address.
        """
        wanted = _Endpoint(ip_address(address), port)
        with self._lock:
            # Tables of /proc are no snapshots: while others come and go, what is there may be missing in them.
            return self._look(wanted, protocol) or self._look(wanted, protocol)

    def _look(self, wanted: _Endpoint, protocol: Protocol) -> Opener | None:
        pids = self._descendants()
        inode, member = self._inode(wanted, protocol, pids)
        if inode is None or member is None:
            return None
        holders, closed = self._holders(inode, pids)
        if not holders:
            # A process that was adopted by another than the run's supervisor, but never left the namespace.
            strays = [pid for pid in self._same_namespace(member) if pid not in pids]
            holders, closed_strays = self._holders(inode, strays)
            closed += closed_strays
        if holders:
            # The opener of a socket that was inherited is the one whose parents do not have it.
            opener = next(pid for pid in holders if self._parent(pid) not in holders)
            # A connection that the supervisor relays (to a port of the host) says nothing of who asked for it.
            return None if self._is_machinery(opener) else self._describe(opener, inferred=False)
        left = [
            pid for pid in closed if not self._is_machinery(pid) and self._inode(wanted, protocol, [pid])[0] == inode
        ]
        return self._describe(left[0], inferred=True) if len(left) == 1 else None

    def _descendants(self) -> dict[int, None]:
        """All processes below the root, and the root, in the order they are best looked at."""
        found = [self.root]
        seen = {self.root}
        for pid in found:
            for child in self._children(pid):
                if child not in seen and len(seen) < MAX_PROCESSES:
                    seen.add(child)
                    found.append(child)
        # The newest are the likeliest; the root (we, or the supervisor) the least.
        ordered = [pid for pid in self._recent if pid in seen] + found[::-1]
        return dict.fromkeys(ordered)

    def _children(self, pid: int) -> list[int]:
        children: list[int] = []
        for thread in self._list(f"{pid}/task"):
            children += map(int, self._read(f"{pid}/task/{thread}/children").split())
        return children

    def _inode(self, wanted: _Endpoint, protocol: Protocol, pids: Iterable[int]) -> tuple[str | None, int | None]:
        """The socket's inode, and a process whose namespace it is in."""
        looked_at = set()
        for pid in pids:
            namespace = self._link(f"{pid}/ns/net") or f"closed {pid}"
            if namespace in looked_at:
                continue
            looked_at.add(namespace)
            for table in (protocol, protocol + "6"):
                for line in self._read(f"{pid}/net/{table}").splitlines()[1:]:
                    if wanted.fits(line):
                        return line.split()[9], pid
        return None, None

    def _holders(self, inode: str, pids: Iterable[int]) -> tuple[list[int], list[int]]:
        """The first process found to hold the socket and those of its parents that do too; those closed to us."""
        link = f"socket:[{inode}]"
        closed: list[int] = []
        for pid in pids:
            held = self._holds(pid, link)
            if held:
                return [pid, *self._holding_parents(pid, link)], closed
            if held is None:
                closed.append(pid)
        return [], closed

    def _holding_parents(self, pid: int, link: str) -> Iterator[int]:
        for _ in range(MAX_PARENTS):
            pid = self._parent(pid)
            if pid <= 1 or not self._holds(pid, link):
                return
            yield pid

    def _holds(self, pid: int, link: str) -> bool | None:
        """Whether a process has the socket; None when it may not be looked at."""
        base = f"{self._proc}/{pid}/fd"
        try:
            with os.scandir(base) as descriptors:
                for count, entry in enumerate(descriptors):
                    if count >= MAX_DESCRIPTORS:
                        return False
                    try:
                        if os.readlink(entry.path) == link:
                            return True
                    except PermissionError:
                        return None
                    except OSError:
                        continue
        except PermissionError:
            return None
        except OSError:
            return False
        return False

    def _same_namespace(self, member: int) -> Iterator[int]:
        namespace = self._link(f"{member}/ns/net")
        if namespace is None or namespace == self._link("self/ns/net"):
            return
        for entry in self._list(""):
            if entry.isdecimal() and self._link(f"{entry}/ns/net") == namespace:
                yield int(entry)

    def _describe(self, pid: int, inferred: bool) -> Opener | None:
        opener = self._one(pid)
        if opener is None:
            return None
        self._recent = [pid, *(other for other in self._recent if other != pid)][:8]
        parents: list[Ancestor] = []
        while len(parents) < MAX_PARENTS:
            pid = self._parent(pid)
            parent = self._one(pid) if pid > 1 and pid != self.root else None
            if parent is None:
                break
            parents.append(parent)
        while parents and self._is_machinery(parents[-1].pid):
            parents.pop()
        return Opener(opener, tuple(parents), inferred)

    def _is_machinery(self, pid: int) -> bool:
        """The supervisor itself, or a fork of it that never became another program."""
        root, one = self._one(self.root), self._one(pid)
        return pid == self.root or (root is not None and one is not None and root.argv == one.argv)

    def _one(self, pid: int) -> Ancestor | None:
        name, fields = self._stat(pid)
        if len(fields) < 20:
            return None
        key = (pid, fields[19] + name)
        known = self._described.get(key)
        if known is None:
            raw = self._read(f"{pid}/cmdline", limit=2 * MAX_ARGUMENTS * MAX_ARGUMENT).rstrip("\0")
            arguments = raw.split("\0", MAX_ARGUMENTS)[:MAX_ARGUMENTS] if raw else []
            argv = without_secrets([argument[:MAX_ARGUMENT] for argument in arguments])
            known = Ancestor(pid, name, self._link(f"{pid}/exe"), tuple(argv))
            if len(self._described) >= MAX_PROCESSES:
                self._described.clear()
            self._described[key] = known
        return known

    def _parent(self, pid: int) -> int:
        _, fields = self._stat(pid)
        return int(fields[1]) if len(fields) > 1 else 0

    def _stat(self, pid: int) -> tuple[str, list[str]]:
        """The name, and the fields after it (proc_pid_stat(5) numbers them from 3). A name may hold parentheses."""
        head, _, tail = self._read(f"{pid}/stat").rpartition(")")
        return head.partition("(")[2], tail.split()

    def _read(self, path: str, limit: int = 16_000_000) -> str:
        try:
            with open(f"{self._proc}/{path}", "rb") as file:
                return file.read(limit).decode("utf-8", "replace")
        except OSError:
            return ""

    def _link(self, path: str) -> str | None:
        try:
            return os.readlink(f"{self._proc}/{path}").removesuffix(" (deleted)")
        except OSError:
            return None

    def _list(self, path: str) -> list[str]:
        try:
            return os.listdir(f"{self._proc}/{path}")
        except OSError:
            return []


class _Endpoint:
    """A local address and port as /proc/net/tcp and its kin write them."""

    def __init__(self, address: IPv4Address | IPv6Address, port: int) -> None:
        mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        four = mapped or (address if isinstance(address, IPv4Address) else None)
        packed = [four.packed, b"\0" * 10 + b"\xff\xff" + four.packed] if four else [address.packed]
        # A UDP socket that was never connected has no address of its own.
        packed += [b"\0" * 4, b"\0" * 16]
        self._forms = {f"{_kernel_hex(form)}:{port:04X}" for form in packed}
        self._exact = {f"{_kernel_hex(form)}:{port:04X}" for form in packed[:-2]}

    def fits(self, line: str) -> bool:
        fields = line.split(None, 10)
        if len(fields) < 10 or fields[9] == "0":
            return False
        # State 07 is a closed TCP socket, and every UDP socket that is not connected; 0A listens.
        return fields[1] in (self._forms if fields[3] == "07" else self._exact) and fields[3] != "0A"


def _kernel_hex(packed: bytes) -> str:
    """The kernel prints each 32 bits of an address as one number of the machine's own byte order."""
    words = struct.unpack(f"!{len(packed) // 4}I", packed)
    return "".join(f"{socket.htonl(word) if sys.byteorder == 'little' else word:08X}" for word in words)
