"""The life of a run: exit status, signals, the terminal, and that nothing is left behind."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.jail.conftest import Jail
from tests.jail.processes import alive, named, tree
from tests.support import needs
from tests.support.waiting import wait_until

pytestmark = pytest.mark.jail


@pytest.fixture(params=["jailed", "plain"])
def ways(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What holds in the jail holds without one."""
    return {"plain": request.param == "plain"}


@pytest.mark.parametrize(
    ("script", "status"), [("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -9 $$", 137), ("kill -TERM $$", 143)]
)
def test_exit_status_is_the_commands(user_jail: Jail, ways: dict[str, Any], script: str, status: int) -> None:
    assert user_jail.run(["sh", "-c", script], **ways).returncode == status


def test_stdin_and_stdout_are_the_commands(user_jail: Jail, ways: dict[str, Any]) -> None:
    data = os.urandom(300_000).hex()
    with user_jail.popen(["cat"], popen={"stdin": subprocess.PIPE}, **ways) as process:
        out, err = process.communicate(data, timeout=30)
    assert out == data
    assert err == ""


@pytest.mark.parametrize(
    ("argv", "status", "text"),
    [
        (["no-such-command-here"], 127, "command not found"),
        ([""], 127, "command not found"),
        (["/no/such/file"], 127, "command not found"),
        (["/etc"], 126, "is a directory"),
        (["/etc/passwd"], 126, "permission denied"),
    ],
)
def test_what_cannot_be_run_is_said_as_a_shell_would(
    user_jail: Jail, ways: dict[str, Any], argv: list[str], status: int, text: str
) -> None:
    done = user_jail.run(argv, **ways)
    assert (done.returncode, done.stdout) == (status, "")
    assert text in done.stderr


def test_a_script_without_an_interpreter_line_runs(jail: Jail, ways: dict[str, Any]) -> None:
    script = jail.home / "script"
    script.write_text('echo "ran with $1"\n')
    script.chmod(0o755)
    assert jail.output([str(script), "this"], **ways) == "ran with this\n"


def test_a_script_with_a_missing_interpreter_is_not_runnable(jail: Jail, ways: dict[str, Any]) -> None:
    script = jail.home / "broken"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    assert jail.run([str(script)], **ways).returncode == 126


def test_a_directory_that_is_gone_is_said(user_jail: Jail, ways: dict[str, Any]) -> None:
    gone = user_jail.home / "gone"
    gone.mkdir(exist_ok=True)
    go = ["sh", "-c", f'cd {gone} && rmdir {gone} && exec "$@"', "sh", sys.executable]
    command = user_jail.command(["true"], **ways)
    at = command.index("--") + 1 if user_jail.as_user else 0
    command[at : at + 1] = go
    gone.chmod(0o777)
    user_jail.home.chmod(0o777)
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, env=user_jail.environ())
    assert done.returncode == 1
    assert "does not exist" in done.stderr


SIGNAL_COUNTER = """if True:
    import signal, socket
    come, wakeup = socket.socketpair()
    wakeup.setblocking(False)
    signal.set_wakeup_fd(wakeup.fileno())
    for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(s, lambda number, frame: None)
    print("ready", flush=True)
    number = None
    while number != signal.SIGUSR2:
        number = come.recv(1)[0]
        print(signal.Signals(number).name, flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("whole_group", [False, True])
def test_a_signal_reaches_the_command_exactly_once(
    user_jail: Jail, ways: dict[str, Any], number: signal.Signals, whole_group: bool
) -> None:
    argv = [sys.executable, "-c", SIGNAL_COUNTER]
    with user_jail.popen(argv, popen={"start_new_session": True}, **ways) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        (os.killpg if whole_group else os.kill)(process.pid, number)
        assert process.stdout.readline() == f"{number.name}\n"
        # Each has passed all that stands between when it comes; a copy of the first would come before the last.
        for later in (signal.SIGUSR1, signal.SIGUSR2):
            os.kill(process.pid, later)
            assert process.stdout.readline() == f"{later.name}\n"
        assert process.wait(10) == 0


def test_terminating_the_supervisor_terminates_the_command(user_jail: Jail, ways: dict[str, Any]) -> None:
    with user_jail.popen(["sh", "-c", "echo ready; exec sleep 60"], **ways) as process:
        assert process.stdout
        process.stdout.readline()
        process.terminate()
        assert process.wait(10) == 143


def test_signals_ignored_outside_are_ignored_inside(user_jail: Jail, ways: dict[str, Any]) -> None:
    code = "import signal; print(*(repr(signal.getsignal(s)) for s in (signal.SIGHUP, signal.SIGTERM)))"
    command = ["nohup", *user_jail.command([sys.executable, "-c", code], **ways)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, env=user_jail.environ())
    assert done.stdout == "<Handlers.SIG_IGN: 1> <Handlers.SIG_DFL: 0>\n", done.stderr


class Terminal:
    """A pseudo terminal with a shell in front, as a person has."""

    def __init__(self, argv: list[str], env: dict[str, str]) -> None:
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.execvpe(argv[0], argv, env)
        self.text = ""

    def send(self, text: str) -> None:
        os.write(self.master, text.encode())

    def expect(self, pattern: str, seconds: float = 20) -> re.Match[str]:
        deadline = time.monotonic() + seconds
        while not (found := re.search(pattern, self.text)):
            ready, _, _ = select.select([self.master], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"waited for {pattern!r}, have {self.text!r}"
            self.text += os.read(self.master, 65536).decode(errors="replace")
        self.text = self.text[found.end() :]
        return found

    def state_of(self, words: str) -> str:
        """One letter for what the process with this command line does (man 5 proc_pid_stat); "" while there is none."""
        for pid in tree(self.pid):
            with contextlib.suppress(OSError):
                if Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip() == words:
                    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return ""

    def await_job(self, part: str) -> None:
        """Wait until a process whose command line holds `part` has the terminal in front."""

        def in_front() -> bool:
            group = os.tcgetpgrp(self.master)
            for pid in tree(self.pid):
                with contextlib.suppress(OSError):
                    words = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()
                    if words == part and os.getpgid(pid) == group:
                        return True
            return False

        assert wait_until(in_front, 20), f"{part!r} never ran in front; have {self.text!r}"

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.master)


@pytest.fixture
def terminal(jail: Jail) -> Iterator[Terminal]:
    """A shell at a terminal that knows `jailed COMMAND`."""
    needs.program("bash")
    words = " ".join(f"'{word}'" for word in jail.command([]))
    rc = jail.home / "bashrc"
    rc.write_text(f"PS1='outer> '\nPROMPT_COMMAND=\njailed() {{ {words} \"$@\"; }}\nset +m; set -m\n")
    running = Terminal(["bash", "--noprofile", "--rcfile", str(rc), "-i"], jail.environ({"TERM": "dumb"}))
    running.expect("outer> ")
    yield running
    running.close()


def test_control_c_ends_the_command_with_130(terminal: Terminal) -> None:
    terminal.send("jailed sleep 60; echo status=$?\n")
    terminal.await_job("sleep 60")
    terminal.send("\x03")
    terminal.expect(r"status=130")
    terminal.expect("outer> ")


def test_control_z_stops_and_fg_continues(terminal: Terminal) -> None:
    terminal.send("jailed sh -c 'echo begun; read line; echo got $line'\n")
    terminal.expect(r"\nbegun")
    terminal.send("\x1a")
    terminal.expect("Stopped")
    terminal.expect("outer> ")
    terminal.send("fg\n")
    terminal.expect("runner.py")
    terminal.send("hello\n")
    terminal.expect("got hello")
    terminal.expect("outer> ")


def test_a_command_that_stops_itself_stops_the_run(terminal: Terminal) -> None:
    terminal.send("jailed sh -c 'kill -STOP $$; echo went on'\n")
    terminal.expect("Stopped")
    terminal.expect("outer> ")
    terminal.send("fg\n")
    terminal.expect("went on")


def test_a_background_run_reading_the_terminal_is_stopped_like_any_other(terminal: Terminal) -> None:
    terminal.send("jailed cat &\n")
    terminal.expect("outer> ")
    assert wait_until(lambda: terminal.state_of("cat") == "T", 20)
    terminal.send("\n")
    terminal.expect("Stopped")
    terminal.send("kill %1; fg\n")
    terminal.expect("outer> ")


def test_an_interactive_shell_inside_has_job_control(terminal: Terminal) -> None:
    terminal.send("PS1='inner> ' jailed bash --norc --noprofile -i\n")
    terminal.expect("inner> ")
    assert "no job control" not in terminal.text
    terminal.send("sleep 60\n")
    terminal.await_job("sleep 60")
    terminal.send("\x1a")
    terminal.expect("Stopped")
    terminal.send("jobs; kill %1; wait\n")
    terminal.expect("inner> ")
    terminal.send("sleep 61\n")
    terminal.await_job("sleep 61")
    terminal.send("\x03")
    terminal.expect("inner> ")
    terminal.send("exit 5\n")
    terminal.expect("outer> ")
    terminal.send("echo status $?; cat\n")
    terminal.expect("status 5")
    terminal.await_job("cat")
    terminal.send("the terminal is ours again\n\x04")
    terminal.expect("again\r?\nthe terminal is ours again")


def test_the_terminal_is_taken_back_from_a_killed_shell(terminal: Terminal) -> None:
    terminal.send("PS1='inner> ' jailed bash --norc --noprofile -i\n")
    terminal.expect("inner> ")
    terminal.send("kill -9 $$\n")
    terminal.expect("outer> ")
    terminal.send("cat\n")
    terminal.await_job("cat")
    terminal.send("we read\n\x04")
    terminal.expect("we read\r?\nwe read")


def test_the_window_size_reaches_the_command(terminal: Terminal) -> None:
    code = (
        "import signal,os; signal.signal(signal.SIGWINCH, lambda *a: print(os.get_terminal_size(0).columns)); print(1)"
    )
    terminal.send(f"jailed {sys.executable} -uc '{code}; input()'\n")
    terminal.expect(r"\r\n1\r\n")
    termios.tcsetwinsize(terminal.master, (40, 123))
    terminal.expect("123")
    terminal.send("\n")
    terminal.expect("outer> ")


def started(jail: Jail, argv: list[str], **options: Any) -> tuple[subprocess.Popen[str], list[int]]:
    process = jail.popen(argv, **options)
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process, tree(process.pid)


LEAVERS = "sleep 500 & (setsid sleep 501 & ) ; nohup sleep 502 >/dev/null 2>&1 & echo ready; "


def test_a_normal_end_leaves_nothing(jail: Jail) -> None:
    process, pids = started(jail, ["sh", "-c", LEAVERS + "read x; exit 3"], popen={"stdin": subprocess.PIPE})
    assert len(pids) >= 6
    with process:
        process.communicate("\n", timeout=20)
    assert process.returncode == 3
    assert alive(pids) == []


@pytest.mark.parametrize("victim", ["supervisor", "warden", "slirp4netns", "wireguard-go"])
def test_killing_any_one_part_takes_all_the_others_along(jail: Jail, victim: str) -> None:
    process, pids = started(jail, ["sh", "-c", LEAVERS + "exec sleep 503"], wireguard="userspace")
    with process:
        supervisor, warden = (
            pids[0],
            next(pid for pid in pids[1:] if "runner.py" in Path(f"/proc/{pid}/cmdline").read_text()),
        )
        target = {"supervisor": supervisor, "warden": warden}.get(victim) or named(pids, victim)
        os.kill(target, signal.SIGKILL)
        process.communicate(timeout=20)
        assert wait_until(lambda: alive(pids) == []), alive(pids)
    assert process.returncode != 0


def test_a_command_that_ignores_everything_ends_with_its_jail(user_jail: Jail) -> None:
    process, pids = started(user_jail, ["sh", "-c", "trap '' TERM INT HUP; echo ready; while :; do sleep 1; done"])
    with process:
        os.kill(named(pids, "slirp4netns"), signal.SIGKILL)
        _out, err = process.communicate(timeout=20)
    assert "lost its network" in err
    assert process.returncode == 137
    assert alive(pids) == []


def test_without_the_daemon_the_jail_is_closed_not_open(jail: Jail) -> None:
    code = "import socket; s = socket.socket(); s.settimeout(1); print(s.connect_ex(('203.0.113.9', 80)) != 0)"
    done = jail.python(code, tunnel=jail.tunnels.fresh() | {"endpoint_port": 9})
    assert done.stdout == "True\n", done.stderr


@pytest.mark.slow
def test_many_runs_ended_in_every_way_leave_nothing(user_jail: Jail) -> None:
    for number in range(12):
        process, pids = started(user_jail, ["sh", "-c", LEAVERS + "exec sleep 504"])
        with process:
            way = number % 3
            os.kill(pids[0], (signal.SIGTERM, signal.SIGINT, signal.SIGKILL)[way])
            process.communicate(timeout=20)
            assert wait_until(lambda pids=pids: alive(pids) == []), alive(pids)  # type: ignore[misc]
