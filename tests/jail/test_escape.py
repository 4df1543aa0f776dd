"""What must not be possible from inside: each test tries it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.jail.conftest import Jail
from tests.support import needs

pytestmark = pytest.mark.jail

ATTEMPT = """if True:
    import ctypes, errno, fcntl, json, os, socket, struct, subprocess, sys
    libc = ctypes.CDLL(None, use_errno=True)
    def attempt(what):
        try:
            return what()
        except OSError as error:
            return errno.errorcode.get(error.errno, str(error))
    def syscall(*numbers):
        result = libc.syscall(*numbers)
        return result if result >= 0 else errno.errorcode[ctypes.get_errno()]
"""


def attempt(jail: Jail, code: str, *arguments: str, **options: object) -> str:
    """What `result` is after `code` has run inside."""
    body = "\n".join(f"    {line}" for line in code.strip().splitlines())
    done = jail.python(f"{ATTEMPT}\n{body}\n    print(json.dumps(result))", *arguments, **options)  # type: ignore[arg-type]
    assert done.returncode == 0, done.stderr
    answer: str = json.loads(done.stdout.splitlines()[-1])
    return answer


def test_no_capability_in_any_set_and_none_to_be_gained(jail: Jail) -> None:
    status = dict(line.split(":\t", 1) for line in jail.output(["cat", "/proc/self/status"]).splitlines())
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[name], 16) == 0, name
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"


def test_the_callers_own_ids(jail: Jail) -> None:
    assert jail.output(["id", "-u"]).strip() == str(jail.uid)
    made = jail.home / "made-inside"
    jail.output(["touch", str(made)])
    assert made.stat().st_uid == jail.uid
    made.unlink()


@pytest.mark.parametrize(
    "arguments",
    [
        ("AF_INET", "SOCK_RAW", "IPPROTO_ICMP"),
        ("AF_INET", "SOCK_RAW", "IPPROTO_RAW"),
        ("AF_INET6", "SOCK_RAW", "IPPROTO_ICMPV6"),
        ("AF_PACKET", "SOCK_RAW", "0x0300"),
        ("AF_PACKET", "SOCK_DGRAM", "0x0300"),
    ],
)
def test_no_raw_and_no_packet_sockets(jail: Jail, arguments: tuple[str, str, str]) -> None:
    names = ", ".join(name if name.startswith("0x") else f"socket.{name}" for name in arguments)
    assert attempt(jail, f"result = attempt(lambda: str(socket.socket({names})))") == "EPERM"


def test_no_sockets_to_the_hypervisor(jail: Jail) -> None:
    assert attempt(jail, "result = attempt(lambda: str(socket.socket(40, socket.SOCK_STREAM)))") == "EAFNOSUPPORT"
    assert attempt(jail, "result = syscall(425, 8, (ctypes.c_char * 120)())") == "ENOSYS"


def test_nothing_can_be_typed_into_the_terminal(jail: Jail) -> None:
    code = """
a, b = os.openpty()
result = attempt(lambda: fcntl.ioctl(b, 0x5412, b"x"))
"""
    assert attempt(jail, code) == "EPERM"


@pytest.mark.parametrize(
    "change",
    [
        "link add veth0 type veth peer name veth1",
        "link add dum0 type bridge",
        "link set wg0 down",
        "link set wg0 mtu 1400",
        "link delete wg0",
        "address add 10.0.2.15/24 dev wg0",
        "route add 10.0.2.2/32 dev lo",
        "route replace default dev lo",
        "-6 route add default dev lo",
        "rule add from all lookup 100",
        "neigh add 10.0.2.2 lladdr 02:00:00:00:00:01 dev wg0",
        "netns add other",
        "tuntap add dev tun9 mode tun",
    ],
)
def test_no_changes_to_links_routes_and_addresses(user_jail: Jail, change: str) -> None:
    done = user_jail.run(["ip", *change.split()])
    assert done.returncode != 0, done.stdout
    assert done.stderr


def test_the_tunnel_cannot_be_asked_or_changed(jail: Jail) -> None:
    done = jail.run(["wg", "show", "wg0", "private-key"])
    assert done.returncode != 0
    assert done.stdout == ""


@pytest.mark.parametrize("address", ["10.0.2.2", "10.0.2.3", "10.0.2.100", "192.0.2.2"])
def test_the_uplink_and_the_hosts_interfaces_are_only_reached_by_way_of_the_daemon(jail: Jail, address: str) -> None:
    """Whatever is sent there arrives at the daemon, which decides; nothing is connected by another way."""
    with socket.create_server(("127.0.0.1", 0)) as secret:
        port = secret.getsockname()[1]
        secret.settimeout(0.5)
        code = "s = socket.socket(); s.settimeout(5); s.connect((sys.argv[1], int(sys.argv[2])))\nresult = 'done'"
        body = code.replace("s.connect", "result = attempt(lambda: s.connect").replace("))\nresult = 'done'", ")))")
        attempt(jail, body, address, str(port), host_ports="none")
        with pytest.raises(TimeoutError):
            secret.accept()
    assert (address, port) in [(seen["host"], seen["port"]) for seen in jail.tunnels.seen("connect")]


def test_a_loopback_port_that_is_not_bridged_is_closed(jail: Jail) -> None:
    with socket.create_server(("127.0.0.1", 0)) as secret:
        port = secret.getsockname()[1]
        code = "s = socket.socket(); result = attempt(lambda: s.connect(('127.0.0.1', int(sys.argv[1]))))"
        assert attempt(jail, code, str(port), host_ports="none") == "ECONNREFUSED"
        assert attempt(jail, code, str(port), blocked_ports=[port]) == "ECONNREFUSED"


def test_other_protocols_do_not_leave_unseen(jail: Jail) -> None:
    """UDP to anywhere is a flow; ICMP has no socket; SCTP and UDP-Lite have no other interface than the tunnel."""
    code = """
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.sendto(b"anybody?", ("203.0.113.77", 7))
s.settimeout(5); result = s.recv(100).decode()
"""
    assert attempt(jail, code) == "anybody?"
    assert ("udp", "203.0.113.77", 7) in [
        (seen["transport"], seen["host"], seen["port"]) for seen in jail.tunnels.seen("connect")
    ]


def test_another_resolver_is_reached_through_the_tunnel_only(jail: Jail) -> None:
    code = """
query = bytes.fromhex("123401000001000000000000") + b"\\7sneaked\\7example\\0" + struct.pack(">HH", 1, 1)
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.sendto(query, ("198.51.100.53", 53)); s.settimeout(5)
result = s.recv(512).hex()
"""
    assert attempt(jail, code)
    assert "sneaked.example" in [seen["name"] for seen in jail.tunnels.seen("dns")]


def test_setuid_programs_gain_nothing(jail: Jail, tmp_path: Path) -> None:
    needs.root("make a setuid program of root's")
    program = jail.home / "setuid-python"
    subprocess.run(["cp", os.path.realpath("/usr/bin/cat"), program], check=True)
    os.chown(program, 0, 0)
    program.chmod(0o4755)
    try:
        status = jail.output([str(program), "/proc/self/status"])
    finally:
        program.unlink()
    fields = dict(line.split(":\t", 1) for line in status.splitlines())
    assert int(fields["CapEff"], 16) == 0
    assert set(fields["Uid"].split()) == {str(jail.uid)}


# The processes of our own jail: others come and go beside it.
HELPERS = """
def line(pid):
    try: return open(f"/proc/{pid}/cmdline").read()
    except OSError: return ""
def parent(pid):
    try: return int(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[1])
    except OSError: return 0
def chain(pid):
    while pid > 1:
        yield pid
        pid = parent(pid)
supervisor = [pid for pid in chain(os.getppid()) if "runner.py" in line(pid)][-1]
found = {}
for entry in os.listdir("/proc"):
    if entry.isdigit() and int(entry) != os.getpid() and supervisor in chain(int(entry)):
        for name in ("wireguard-go", "slirp4netns", "runner.py"):
            if name in line(entry): found.setdefault(name, []).append(int(entry))
"""


@pytest.mark.parametrize(
    "way",
    [
        "os.listdir(f'/proc/{pid}/root/')",
        "os.readlink(f'/proc/{pid}/ns/net')",
        "os.open(f'/proc/{pid}/ns/net', 0)",
        "os.readlink(f'/proc/{pid}/fd/3')",
        "os.open(f'/proc/{pid}/fd/3', 0)",
        "os.listdir(f'/proc/{pid}/cwd/')",
        "open(f'/proc/{pid}/mem', 'rb').read(1)",
        "open(f'/proc/{pid}/environ', 'rb').read()",
        "(_ for _ in ()).throw(OSError(1, '')) if libc.ptrace(16, pid, 0, 0) < 0 else 'attached'",
    ],
)
def test_helpers_cannot_be_looked_into(jail: Jail, way: str) -> None:
    code = f"""{HELPERS}
result = [[name, pid, attempt(lambda: str({way}))] for name, pids in found.items() for pid in pids]
"""
    answers = attempt(jail, code, "tunnel", wireguard="userspace")
    names = {name for name, _pid, _answer in answers}
    assert names == {"wireguard-go", "slirp4netns", "runner.py"}
    assert {answer for _name, _pid, answer in answers} <= {"EACCES", "EPERM"}, answers


def test_descriptors_of_helpers_cannot_be_stolen(jail: Jail) -> None:
    code = f"""{HELPERS}
result = []
for pids in found.values():
    for pid in pids:
        pidfd = os.pidfd_open(pid)
        result += [syscall(438, pidfd, fd, 0) for fd in range(3, 12)]
"""
    assert set(attempt(jail, code, "tunnel")) == {"EPERM"}


def test_namespaces_cannot_be_entered(jail: Jail) -> None:
    code = f"""{HELPERS}
result = []
for pids in [*found.values(), [os.getppid(), 1]]:
    for pid in pids:
        result.append(attempt(lambda: str(os.setns(os.pidfd_open(pid), os.CLONE_NEWNET))))
        result.append(attempt(lambda: str(os.setns(os.pidfd_open(pid), os.CLONE_NEWUSER))))
"""
    assert set(attempt(jail, code, "tunnel")) <= {"EPERM", "EINVAL"}


def test_a_new_user_namespace_has_no_way_out(jail: Jail) -> None:
    """Its owner has every capability there, and none over the jail's interfaces, routes and mounts."""
    inside = jail.home / "data" / "secret"
    script = f"""
ip link set wg0 down; ip route add 10.0.2.2/32 dev lo; ip link add dum0 type veth
umount /etc/resolv.conf; umount {jail.home}/data
cat {inside} && echo LEAKED
mkdir -p /tmp/x.$$; mount --bind {jail.home} /tmp/x.$$ && cat /tmp/x.$$/data/secret && echo LEAKED
mount --rbind / /tmp/x.$$ && umount -l /tmp/x.$$/{jail.home}/data && cat /tmp/x.$$/{inside} && echo LEAKED
rmdir /tmp/x.$$
ip -o link | grep -c wg0
nsenter -t $PPID -n ip -o link && echo LEAKED
"""
    for flags in (["-Ur"], ["-Urm"], ["-Urmn"], ["-Urmp", "--fork"]):
        done = jail.run(["unshare", *flags, "sh", "-c", script])
        assert "LEAKED" not in done.stdout, done.stdout
        assert "nobody inside may read this" not in done.stdout
        assert "10.0.2.2" not in jail.output(["ip", "route"])


def test_our_own_directories_are_empty_inside(jail: Jail) -> None:
    assert jail.run(["cat", str(jail.home / "data" / "secret")]).returncode != 0
    listed = jail.output(["find", str(jail.home / "data"), "-type", "f"])
    assert "secret" not in listed
    assert jail.ca_cert.name in listed
    assert jail.run(["touch", str(jail.home / "data" / "mine")]).returncode != 0


def test_the_directory_to_run_in_is_no_way_around_the_covers(jail: Jail) -> None:
    assert "secret" not in jail.run(["ls"], cwd=jail.home / "data").stdout


def test_dangerous_descriptors_are_not_inherited_but_pipes_are(jail: Jail) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"through the pipe")
    os.close(writing)
    near, far = socket.socketpair()
    directory = os.open("/", os.O_RDONLY)
    namespace = os.open("/proc/self/ns/net", os.O_RDONLY)
    code = f"""
result = [os.read({reading}, 100).decode()]
result += [attempt(lambda: str(os.fstat(fd))) for fd in ({near.fileno()}, {directory}, {namespace})]
"""
    with near, far:
        passed = (reading, near.fileno(), directory, namespace)
        body = "\n".join(f"    {line}" for line in code.strip().splitlines())
        done = subprocess.run(
            jail.command([sys.executable, "-c", f"{ATTEMPT}\n{body}\n    print(json.dumps(result))"]),
            pass_fds=passed,
            capture_output=True,
            text=True,
            env=jail.environ(),
            timeout=30,
        )
    for fd in (reading, directory, namespace):
        os.close(fd)
    assert json.loads(done.stdout) == ["through the pipe", "EBADF", "EBADF", "EBADF"], done.stderr


def test_abstract_sockets_of_the_host_are_out_of_reach(jail: Jail) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("\0ccinspect-test-abstract")
        listening.listen()
        code = "s = socket.socket(socket.AF_UNIX); result = attempt(lambda: s.connect('\\0ccinspect-test-abstract'))"
        assert attempt(jail, code) == "ECONNREFUSED"


@pytest.fixture
def service_socket(jail: Jail) -> Iterator[Path]:
    """A D-Bus socket of the user's, answered by somebody outside."""
    runtime = jail.home / "runtime"
    runtime.mkdir(exist_ok=True)
    path = runtime / "bus"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        path.chmod(0o777)
        listening.listen()
        answering = threading.Thread(target=_answer_once, args=[listening])
        answering.start()
        yield path
        with socket.socket(socket.AF_UNIX) as last:
            last.connect(str(path))
        answering.join(5)
    path.unlink()


def _answer_once(listening: socket.socket) -> None:
    while True:
        connection, _ = listening.accept()
        with connection:
            connection.settimeout(1)
            if connection.recv(1) != b"?":
                return


def test_well_known_sockets_can_be_masked(jail: Jail, service_socket: Path) -> None:
    code = (
        "s = socket.socket(socket.AF_UNIX); result = attempt(lambda: (s.connect(sys.argv[1]), s.send(b'?'), 'open')[2])"
    )
    env = {"XDG_RUNTIME_DIR": str(service_socket.parent)}
    assert attempt(jail, code, str(service_socket), env=env) == "open"
    assert attempt(jail, code, str(service_socket), env=env, mask_sockets=True) == "ECONNREFUSED"


@pytest.mark.parametrize("path", ["sys/kernel/core_pattern", "sysrq-trigger", "sys/net/ipv4/ip_forward"])
def test_kernel_settings_are_read_only_for_root_too(jail: Jail, path: str) -> None:
    # What this kernel does not have, none inside has either.
    refused = ("EROFS", "EACCES") if os.path.exists(f"/proc/{path}") else ("ENOENT",)
    assert attempt(jail, f"result = attempt(lambda: open('/proc/{path}', 'w').write('1'))") in refused
