from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccinspect.analyser.shell import Command, main_command


@pytest.mark.parametrize(
    ("line", "program"),
    [
        ("git status", "git"),
        ("/usr/bin/git status", "git"),
        ("cd /src && git status", "git"),
        ("cd /src; export A=1; A=2 B='x y' make -j", "make"),
        ("FOO=bar git log | head -5", "git"),
        ("sudo -u me git pull", "git"),
        ("env A=1 B=2 node x.js", "node"),
        ("timeout 30 pytest -q", "pytest"),
        ("timeout -k 5 30s pytest", "pytest"),
        ("uv run pytest", "pytest"),
        ("npx vitest run", "vitest"),
        ("bash -lc 'cd x && rg foo'", "rg"),
        ("sh -c \"bash -c 'cargo test'\"", "cargo"),
        ("bash script.sh", "bash"),
        (["bash", "-lc", "git diff"], "git"),
        (["git", "diff"], "git"),
        ("(cd x && make)", "make"),
        ("if [ -f x ]; then cat x; fi", "cat"),
        ("for f in *.py; do wc -l $f; done", "wc"),
        ("while read l; do curl $l; done < urls", "curl"),
        ("2>/dev/null find . -name x", "find"),
        ("grep -c x a.txt 2>&1 >out.txt", "grep"),
        ("cat > a.py <<'EOF'\nprint('git')\nEOF", "cat"),
        ("git commit -m 'a && b; c'", "git"),
        ("# what it does\nls", "ls"),
        ("ls#x  # really", "unknown"),
        ("echo hi", "echo"),
        ("cd /src", "cd"),
        ("$(which git) status", "unknown"),
        ("'quoted name' x", "unknown"),
        ("ls \\\n -la", "ls"),
    ],
)
def test_the_program_that_a_line_is_about(line, program):
    command = main_command(line)
    assert command is not None
    assert command.program == program


def test_the_words_after_the_program_are_without_quotes_and_redirections():
    assert main_command("grep -n 'a b' \"c d\" x\\ y > out 2>&1") == Command("grep", ("-n", "a b", "c d", "x y"))


@pytest.mark.parametrize("line", ["", "   ", "\n", [], "FOO=1", "sudo"])
def test_lines_without_a_command(line):
    assert main_command(line) is None


@given(st.text(alphabet=st.sampled_from("ab '\"\\|&;()<>$#\n=-/"), max_size=80))
def test_no_line_is_too_odd(line):
    command = main_command(line)
    assert command is None or command.program


@pytest.mark.parametrize(
    "line", ["'" * 9_000, '"\\' * 9_000, "(" * 9_000, "bash -c " * 2_000, "<" * 9_000, "a" * 10**7]
)
def test_hostile_lines_take_bounded_time(line):
    start = time.process_time()
    main_command(line)
    assert time.process_time() - start < 0.5
