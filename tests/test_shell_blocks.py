"""Every shell block of the documentation that can be run without the internet is run, against one daemon.

What the pages take for granted is provided: agents by their names (one small client that goes to Anthropic's address),
ids of flows, the usual ports. A block that cannot be run says why on the line above: `<!-- not run: REASON -->`.

A shell runs them; only commands that neither start, stop nor set up anything run in this process and save their
imports.
What README.md and quickstart.md say is always typed as a reader does.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from itertools import groupby
from pathlib import Path

import pytest

from ccinspect.cli.main import dispatch
from ccinspect.demo.provider import Provider
from tests.support import unprivileged
from tests.support.daemon import Daemon, clean_environment, settings_for, started
from tests.support.shell_blocks import Block, blocks_of
from tests.test_docs import PAGES

pytestmark = [pytest.mark.slow, pytest.mark.jail]

GENERATED = {"cli.md", "configuration.md"}
# These end the daemon, or take away what other blocks look at: they come last.
LAST = ("flows clear", "ccinspect stop", "db restore", "db reset")
TYPED = {"README.md", "quickstart.md"}
PLAIN = re.compile(
    r"ccinspect (flows (list|show|context|compare|diff|export|dump|replay)|conversations|cache|report|limits|check"
    r"|hooks|shapes|session|reanalyse)"
    r"( [^|<>;&$`\\]*)?"
)
AGENTS = ("claude", "codex", "aider")
# Two turns in one conversation, and two calls of another provider.
AGENT = """#!/bin/sh
url=${ANTHROPIC_BASE_URL:-https://api.anthropic.com}/v1/messages
ask() {
    curl -s "$url" -H "x-api-key: ${ANTHROPIC_API_KEY:-sk-ant-not-a-real-key}" -H 'anthropic-version: 2023-06-01' \\
        -H 'content-type: application/json' -H 'user-agent: claude-cli/2.1.0 (external, cli)' -d "$1" || exit
}
tools='[{"name": "Read", "description": "Reads a file.", "input_schema": {"type": "object"}}]'
head='{"model": "claude-sonnet-4-5", "max_tokens": 99, "system": "Be brief.", "tools": '"$tools"', "messages": ['
user='{"role": "user", "content": "say hello"}'
ask "$head$user]}" >/dev/null
ask "$head$user"', {"role": "assistant", "content": "hello"}, {"role": "user", "content": "again"}]}'
"""
OTHER = """#!/bin/sh
for words in one two; do
    body='{"model": "gpt-5", "messages": [{"role": "user", "content": "'$words'"}]}'
    curl -s https://api.openai.com/v1/chat/completions -H 'authorization: Bearer sk-not-a-real-key' \\
        -H 'content-type: application/json' -d "$body"
done
"""


UNTIL_CTRL_C = 'until_ctrl_c() { timeout -s INT 1 "$@" || [ $? = 124 ]; }\n'


def runnable() -> list[Block]:
    blocks = [block for page in PAGES if page.name not in GENERATED for block in blocks_of(page)]
    chosen = [block for block in blocks if block.reason is None]
    return sorted(chosen, key=lambda block: any(words in block.script for words in LAST))


class Reader:
    """Somebody who types what the pages say, in a home of their own."""

    def __init__(self, directory: Path, daemon: Daemon) -> None:
        self.daemon = daemon
        self.calls: list[str] = []
        """Ids of two model calls of one conversation."""
        self._typed: set[str] = set()
        self.home = directory / "home"
        programs = directory / "bin"
        for made in (self.home, programs):
            made.mkdir()
        # Some agent that asks no model but one on this machine.
        scripts = dict.fromkeys(AGENTS, AGENT) | {"other-agent": OTHER, "my-agent": "#!/bin/sh\n"}
        for name, script in scripts.items():
            (programs / name).write_text(script)
            (programs / name).chmod(0o755)
        path = f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.environment = clean_environment() | daemon.environment()
        self.environment |= {
            "HOME": str(self.home),
            "PATH": path,
            "SHELL": "/bin/bash",
            "CCINSPECT_CONFIG_DIR": str(daemon.paths.config_dir),
            "NO_COLOR": "1",
        }
        self.environment.pop("XDG_CONFIG_HOME", None)

    def types(self, script: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", UNTIL_CTRL_C + script],
            cwd=self.home,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=110,
        )

    def runs_here(self, line: str, monkeypatch: pytest.MonkeyPatch) -> subprocess.CompletedProcess[str]:
        """As `types`, for one command without anything of the shell, in this process."""
        words = shlex.split(line)[1:]
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
        with monkeypatch.context() as here, redirect_stdout(out), redirect_stderr(err):
            here.chdir(self.home)
            for name in os.environ.keys() - self.environment.keys():
                here.delenv(name)
            for name, value in self.environment.items():
                here.setenv(name, value)
            status = dispatch(words)
        said, complained = (stream.buffer.getvalue().decode() for stream in (out, err))
        return subprocess.CompletedProcess(words, status, said, complained)

    def prepared(self, script: str) -> str:
        """The script with what stands for something put in its place, and without what was typed already."""
        lines = [re.sub(r" +#.*", "", line) for line in script.splitlines()]
        script = "\n".join(line for line in lines if line not in self._typed)
        # Whole commands only, so that no script loses a part that it needs.
        self._typed |= {line for line in lines if re.fullmatch(r"ccinspect [^|>;&\\]+", line)}
        other, newest = self.calls
        for sign, meant in {
            "9be0": newest,
            "5d20": other,
            "FLOW": newest,
            "127.0.0.1:4000": f"127.0.0.1:{self.daemon.ports['reverse']}",
            "127.0.0.1:4080": f"127.0.0.1:{self.daemon.ports['proxy']}",
            "ccinspect-20261121-093000.db": "$(ls ccinspect-*.db | tail -n 1)",
            # They go on until Ctrl-C.
            "ccinspect flows tail": "until_ctrl_c ccinspect flows tail",
        }.items():
            script = script.replace(sign, meant)
        return script


@pytest.fixture(scope="module")
def reader(shared_provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    directory = tmp_path_factory.mktemp("reader")
    unprivileged.allow_tun()
    settings = settings_for(shared_provider, directory)
    source = {"command": "echo sk-ant-api03-not-a-real-key-of-the-pages"}
    settings["providers"] = {
        "work": {"host": "api.anthropic.com", "type": "anthropic", "auth": source},
        "anthropic": {"auth": source},
        "openai": {"auth": source},
    }
    with started(Daemon(directory / "instance", settings)) as daemon:
        someone = Reader(directory, daemon)
        for run in ("run --proxy -- other-agent", "run --inspect --keyless work -- claude"):
            ready = someone.types(f"ccinspect {run}")
            assert ready.returncode == 0, ready.stderr
        claudes = daemon.wait_for(2, lambda flow: flow["type"] == "http" and flow["source"] == "wireguard")
        someone.calls = [flow["id"] for flow in claudes]
        yield someone


@pytest.mark.parametrize("block", [pytest.param(block, id=block.name) for block in runnable()])
def test_what_a_page_says_works(reader: Reader, block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    for part in parts_of(reader.prepared(block.script), block.page):
        if block.page not in TYPED and PLAIN.fullmatch(part):
            done = reader.runs_here(part, monkeypatch)
        else:
            done = reader.types(part)
        assert done.returncode == 0, f"{part}\ngave {done.returncode}:\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr


def parts_of(script: str, page: str) -> list[str]:
    """The commands of a script of which none needs what another left in the shell; else the script as a whole."""
    lines = [line for line in script.splitlines() if line.strip()]
    alone = page not in TYPED and all(re.fullmatch(r"(until_ctrl_c )?ccinspect .*[^\\]", line) for line in lines)
    if not (alone and any(PLAIN.fullmatch(line) for line in lines)):
        return [script]
    # What a shell has to run between two others of its kind, it runs with them.
    kinds = groupby(lines, lambda line: PLAIN.fullmatch(line) is not None)
    return [part for plain, group in kinds for part in (list(group) if plain else ["\n".join(group)])]


def test_a_block_that_is_not_run_says_why() -> None:
    for page in PAGES:
        for block in blocks_of(page):
            assert block.reason is None or len(block.reason.split()) > 1, block.name


def test_blocks_of_every_kind_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# Page\n\n```sh\na\nb\n```\n\n    ccinspect one\n    ccinspect two\n\n    text\n\n"
        "<!-- not run: it never ends -->\n```sh\nc\n```\n\n```yaml\nd: 1\n```\n\n    not ours\n"
    )
    found = [(block.script, block.reason) for block in blocks_of(page)]
    assert found == [
        ("a\nb\n", None),
        ("ccinspect one\nccinspect two\n\ntext\n", None),
        ("c\n", "it never ends"),
    ]
