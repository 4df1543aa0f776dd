"""Where shapes are kept."""

from __future__ import annotations

import stat
import subprocess
import time
from pathlib import Path

import pytest

from ccinspect.errors import ConfigError, ShapeError
from ccinspect.shapes.audit import audit
from ccinspect.shapes.library import PACKAGED, Library
from ccinspect.shapes.shape import shape_text
from tests.shapes.samples import body_of, filled, shape

ROOT = Path(__file__).resolve().parents[2]
DIALECTS = ["anthropic", "gemini", "ollama", "openai_chat", "openai_responses"]


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "shapes")


def test_what_is_saved_is_loaded(library: Library) -> None:
    saved = shape(name="mine.v2", body={"system": "one\ntwo", "top_k": 1}, headers={"x-a": "b"})
    path = library.save(saved)
    assert library.load("mine.v2") == saved
    assert library.origin("mine.v2") == "own"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [each.name for each in path.parent.iterdir()] == ["mine.v2.yaml"]


def test_nothing_is_replaced_unasked(library: Library) -> None:
    library.save(shape(body={"top_k": 1}))
    with pytest.raises(ShapeError, match="already"):
        library.save(shape(body={"top_k": 2}))
    assert library.load("sample").body == {"top_k": 1}
    library.save(shape(body={"top_k": 2}), replace=True)
    assert library.load("sample").body == {"top_k": 2}


def test_an_own_one_hides_a_packaged_one_until_it_is_removed(library: Library) -> None:
    assert library.origin("anthropic") == "packaged"
    library.save(shape(name="anthropic", body={"max_tokens": 5}))
    assert (library.origin("anthropic"), library.load("anthropic").body) == ("own", {"max_tokens": 5})
    assert library.packaged("anthropic").body == {"max_tokens": 8192}
    assert [entry.name for entry in library.entries()] == DIALECTS
    library.remove("anthropic")
    assert library.origin("anthropic") == "packaged"
    with pytest.raises(ShapeError, match="comes with ccinspect"):
        library.remove("anthropic")
    with pytest.raises(ShapeError, match="there is no shape"):
        library.remove("never")


def test_a_changed_file_is_read_again(library: Library) -> None:
    path = library.save(shape(body={"top_k": 1}))
    first = library.load("sample")
    assert library.load("sample") is first
    path.write_text(shape_text(shape(body={"top_k": 22})))
    assert library.load("sample").body == {"top_k": 22}


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/b", "/etc/passwd", "a\n", "-x", "a b", "x" * 65, "a..b", ".x", "ä"]
)
def test_a_name_never_leads_elsewhere(library: Library, name: str) -> None:
    for act in (library.load, library.remove, library.origin, library.packaged):
        with pytest.raises(ShapeError, match="cannot be the name"):
            act(name)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"\xff", "no UTF-8"),
        (b"just words", "a shape is a mapping"),
        (b"name: broken\n", "dialect: Field required; path: Field required"),
        (b"name: broken\ndialect: klingon\npath: /\n", "dialect: Input should be"),
        (b"name: broken\ndialect: ollama\npath: /x y\n", "a path begins with /"),
        (b"name: broken\ndialect: ollama\npath: /x\nbodi: {}\n", "bodi: Extra inputs are not permitted"),
        (b"name: other\ndialect: ollama\npath: /x\n", "a file is named like its shape"),
        (b"name: broken\ndialect: ollama\npath: /x\nheaders: {a: \"b\\nc\"}\n", "cannot be sent as a header"),
        (b"name: broken\ndialect: ollama\npath: /x\nheaders: {a: b, A: c}\n", "a header is named twice"),
        (b"name: broken\ndialect: ollama\npath: /x\ncontent_fields: [.a b]\n", "no path"),
        (b"name: broken\ndialect: ollama\npath: /x\ncontent_fields: ['.a[0]']\n", "an element of a list cannot be"),
        (b"name: broken\ndialect: ollama\npath: /x\nmerge_strategies: {.a: glue}\n", "merge_strategies"),
        (b"name: broken\ndialect: ollama\npath: /x\nmerge_strategies: {.: drop}\n", "a strategy is for a field"),
        (b"name: broken\ndialect: ollama\npath: /x\ninner_hooks: [nap]\n", "inner_hooks"),
        (b"name: broken\ndialect: ollama\npath: /x\ninner_hooks: [{hook: fresh_ids, params: {paths: [a b]}}]\n", "no"),
        (b"name: broken\ndialect: ollama\npath: /x\nsaved_at: 2026-13-01\n", "a time is written as"),
        (b"name: broken\ndialect: ollama\npath: /x\nbody: {a: !!binary aGk=}\n", "is no JSON"),
        (b"name: broken\ndialect: ollama\npath: /x\nsaved_at: yesterday\n", "a time is written as"),
        (b"name: broken\ndialect: ollama\npath: /x\nname: broken\n", "comes twice"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_shape_is_named_and_the_others_are_there(library: Library, text: bytes, said: str) -> None:
    library.save(shape(name="fine"))
    (library.directory / "broken.yaml").write_bytes(text)
    with pytest.raises(ShapeError) as caught:
        library.load("broken")
    assert said in f"{caught.value.message} {caught.value.hint}"
    assert "broken.yaml" in caught.value.message
    entries = {entry.name: entry for entry in library.entries()}
    assert entries["broken"].shape is None
    assert entries["broken"].problem == caught.value.message
    assert entries["fine"].shape is not None


def test_private_values_are_not_repeated_in_messages(library: Library) -> None:
    library.save(shape(name="fine"))
    (library.directory / "broken.yaml").write_text("name: broken\ndialect: ollama\npath: /x\nagent: [sk-secret]\n")
    with pytest.raises(ShapeError) as caught:
        library.load("broken")
    assert "sk-secret" not in caught.value.message


def test_files_that_are_none_of_ours_are_passed_over(library: Library) -> None:
    library.save(shape())
    (library.directory / ".hidden.yaml").write_text("x")
    (library.directory / "notes.txt").write_text("x")
    (library.directory / "dangling.yaml").symlink_to("/nowhere")
    (library.directory / "folder.yaml").mkdir()
    entries = {entry.name: entry.problem for entry in library.entries() if entry.origin == "own"}
    assert set(entries) == {"sample", "dangling", "folder"}
    assert entries["sample"] == ""
    assert "cannot be read" in entries["dangling"]
    assert "cannot be read" in entries["folder"]


def test_a_directory_that_cannot_be_written_is_said() -> None:
    # There root may not write either.
    with pytest.raises(ConfigError, match="cannot create the directory"):
        Library(Path("/proc/shapes")).save(shape())


def test_a_shapes_directory_that_is_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "shapes").write_text("")
    library = Library(tmp_path / "shapes")
    with pytest.raises(ConfigError, match="directory"):
        library.save(shape())
    assert [entry.name for entry in library.entries()] == DIALECTS


def test_the_packaged_ones_are_neutral(library: Library) -> None:
    entries = library.entries()
    assert [entry.name for entry in entries] == DIALECTS
    for entry in entries:
        assert entry.shape is not None, entry.problem
        assert entry.shape.dialect == entry.name
        assert entry.shape.agent is None
        assert audit(entry.shape, time.time()) == []
        assert not {"messages", "input", "contents", "system", "tools"} & entry.shape.body.keys()


@pytest.mark.parametrize("name", DIALECTS)
def test_what_a_request_says_holds_over_a_packaged_shape(library: Library, name: str) -> None:
    template = library.load(name)
    thin = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    result = body_of(filled(template, thin))
    assert result | template.body == result
    assert result["model"] == "m"
    said = {"generationConfig": {"maxOutputTokens": 1}, "options": {"num_ctx": 1}}
    said |= {key: 1 for key in template.body if key not in said}
    assert body_of(filled(template, said)) == said


def test_they_lie_in_the_repository_and_in_what_is_installed(tmp_path: Path) -> None:
    assert (ROOT / "shapes").resolve() == PACKAGED.resolve()
    listed = subprocess.run(["git", "ls-files", "-s", "shapes"], cwd=ROOT, capture_output=True, text=True, timeout=30)
    if listed.returncode == 0 and listed.stdout:
        assert listed.stdout.startswith("120000"), "a copy would grow apart"
