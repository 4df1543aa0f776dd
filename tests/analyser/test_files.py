from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccinspect.analyser.files import LONG_FENCE, MAX_FILES, file_stretches, is_path

LONG = "\n".join(f"line {at}" for at in range(LONG_FENCE))


@pytest.mark.parametrize(
    ("text", "files"),
    [
        ("no files here", []),
        ("a < b and `code`", []),
        ("<file path='src/a.py'>\nx = 1\n</file>", ["src/a.py"]),
        ('Look:\n<file_content path="a/b.ts">\nx\n</file_content>\nbye', ["a/b.ts"]),
        (
            "<document index='1'>\n<source>notes.md</source>\n<document_content>\nx\n</document_content>\n</document>",
            ["notes.md"],
        ),
        ("<file>\nx\n</file>", [""]),
        ("<file path='a.py'>never closed", []),
        ("```src/a.py\nx = 1\n```", ["src/a.py"]),
        ('```python title="src/a.py"\nx = 1\n```', ["src/a.py"]),
        ("```python:src/a.py\nx = 1\n```", ["src/a.py"]),
        ("```12:30:src/a.py\nx = 1\n```", ["src/a.py"]),
        ("```python\nx = 1\n```", []),
        ("```python\n# src/a.py\nx = 1\n```", ["src/a.py"]),
        ("```js\n// file: src/a.js\nx = 1\n```", ["src/a.js"]),
        ("```html\n<!-- index.html -->\n<p>\n```", ["index.html"]),
        ("```python\n# a comment\nx = 1\n```", []),
        ("src/a.py\n```python\nx = 1\n```", ["src/a.py"]),
        ("**src/a.py**:\n\n```python\nx = 1\n```", ["src/a.py"]),
        ("File: src/a.py\n```\nx = 1\n```", ["src/a.py"]),
        ("Dockerfile\n```\nFROM x\n```", ["Dockerfile"]),
        ("Run this:\n```\nls\n```", []),
        (f"```\n{LONG}\n```", [""]),
        (f"```\n{LONG}", []),
        ("~~~ a.rb\nputs\n~~~", ["a.rb"]),
        ("````md\n```py\nx\n```\n````", []),
        ("one.py\n```\nx\n```\ntext\n\ntwo.py\n```\ny\n```\n", ["one.py", "two.py"]),
        ("<file path='a.py'>\n```b.py\nx\n```\n</file>\n```c.py\ny\n```", ["a.py", "c.py"]),
        ("a.py\r\n```\r\nx\r\n```\r\n", ["a.py"]),
    ],
)
def test_files_in_a_text(text, files):
    assert [stretch.file for stretch in file_stretches(text)] == files


def test_a_stretch_holds_the_file_with_its_fence_and_name_and_nothing_more():
    text = "Fix this:\n\nsrc/a.py\n```python\nx = 1\n```\nThanks!"
    (stretch,) = file_stretches(text)
    assert text[stretch.start : stretch.end] == "src/a.py\n```python\nx = 1\n```\n"


pieces = st.sampled_from(
    [
        "```",
        "~~~",
        "\n",
        "a.py",
        "<file path='a.py'>",
        "</file>",
        "<document>",
        "</document>",
        "x",
        " ",
        "# b.py",
        "word " * 9,
    ]
)


@given(st.lists(pieces, max_size=60).map("".join))
def test_stretches_are_in_order_and_do_not_overlap(text):
    at = 0
    for stretch in file_stretches(text):
        assert at <= stretch.start < stretch.end <= len(text)
        at = stretch.end


@pytest.mark.parametrize(
    "text",
    [
        "```a.py\n" * 250_000,
        "<file path='x'>" * 150_000,
        "<file>x</file>" * 150_000,
        "<file " + "path=" * 400_000,
        "a/" * 800_000 + "\n```\nx\n```",
        "\n".join(["```a.py", "x", "```"] * 150_000),
        "<file>" + " " * 1_000_000,
        "`" * 1_000_000,
    ],
    ids=range(8),
)
def test_hostile_texts_take_bounded_time(text):
    start = time.process_time()
    assert len(file_stretches(text)) <= MAX_FILES
    assert time.process_time() - start < 3


@pytest.mark.parametrize(
    "word", ["a.py", "/etc/hosts.conf", "src/lib", "C:\\x.py"[3:], "pages/[id].tsx", "Makefile", "../a-b.c"]
)
def test_paths(word):
    assert is_path(word)


@pytest.mark.parametrize(
    "word", ["", "python", "3.14", "https://a.b/c.py", "hello world.py", "e.g.", "a" * 400 + ".py", "..."]
)
def test_no_paths(word):
    assert not is_path(word)
