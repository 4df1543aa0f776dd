"""From names to hooks, and what is said when there is none."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from ccinspect.errors import HookError
from ccinspect.pipeline.declaration import Hook, hook
from ccinspect.pipeline.graph import draw
from ccinspect.pipeline.loading import Library, forget, steps_of
from ccinspect.pipeline.pipeline import Pipeline
from ccinspect.pipeline.settings import HooksConfig

HEAD = "from ccinspect.pipeline.declaration import hook\nfrom pydantic import BaseModel\n"
PLAIN = HEAD + "\n@hook(writes=('headers',))\ndef {name}(ctx):\n    '''Says a thing.'''\n"


@pytest.fixture
def library(tmp_path: Path) -> Library:
    directory = tmp_path / "hooks"
    directory.mkdir()
    return Library({"built_in": "tests.pipeline.test_loading.built_in"}, directory)


@hook()
def built_in(ctx: object) -> None: ...


not_a_hook = 5


def write(library: Library, name: str, text: str) -> Path:
    assert library.directory is not None
    path = library.directory / name
    path.write_text(text)
    return path


def load(library: Library, *inbound: Any, **settings: Any) -> Pipeline:
    return Pipeline.load(HooksConfig.model_validate({"inbound": list(inbound), **settings}), library)


def test_names_are_found(library: Library) -> None:
    write(library, "one.py", PLAIN.format(name="whatever"))
    write(library, "two.py", PLAIN.format(name="two") + "\n@hook()\ndef other(ctx):\n    pass\n")
    write(library, "with-dash.py", PLAIN.format(name="x"))
    names = [
        "built_in",
        "one",
        "two",
        "two.other",
        "hooks.two.other",
        "with-dash",
        "tests.pipeline.test_loading.built_in",
    ]
    found = [library.find(name) for name in names]
    assert [each.name for each in found] == ["built_in", "whatever", "two", "other", "other", "x", "built_in"]
    assert found[1].doc == "Says a thing."
    assert found[1].origin.endswith("one.py:4")


def test_the_same_hook_twice_has_two_names(library: Library) -> None:
    steps = steps_of("inbound", HooksConfig.model_validate({"inbound": ["built_in"] * 3}).inbound, library, 5.0)
    assert [step.name for step in steps] == ["built_in", "built_in#2", "built_in#3"]


def test_files_import_each_other_and_shadow_nothing(library: Library) -> None:
    write(library, "json.py", HEAD + "from .common import WORD\n@hook(name=WORD)\ndef json(ctx):\n    pass\n")
    write(library, "common.py", "WORD = 'from-common'\n")
    assert library.find("json").name == "from-common"
    import json

    assert json.dumps([]) == "[]"
    assert "common" not in sys.modules


def test_files_of_two_instances_do_not_meet(library: Library, tmp_path: Path) -> None:
    other = Library({}, tmp_path / "other")
    (tmp_path / "other").mkdir()
    write(library, "a.py", HEAD + "@hook(name='first')\ndef a(ctx): ...\n")
    write(other, "a.py", HEAD + "@hook(name='second')\ndef a(ctx): ...\n")
    assert (library.find("a").name, other.find("a").name) == ("first", "second")


def test_a_changed_file_is_read_anew_when_it_was_forgotten(library: Library) -> None:
    assert library.directory is not None
    write(library, "a.py", HEAD + "@hook(name='first')\ndef a(ctx): ...\n")
    assert library.find("a").name == "first"
    write(library, "a.py", HEAD + "@hook(name='the second')\ndef a(ctx): ...\n")
    forget(library.directory)
    assert library.find("a").name == "the second"


@pytest.mark.parametrize(
    ("entry", "text", "parts"),
    [
        ("bult_in", "", ["bult_in", "did you mean built_in?"]),
        ("nowhere.to.find", "", ["nowhere", "ModuleNotFoundError"]),
        ("tests.pipeline.test_loading.missing", "", ["nothing named missing", "built_in"]),
        ("tests.pipeline.test_loading.not_a_hook", "", ["not_a_hook", "@hook"]),
        ("../../etc/passwd", "", ["there is no hook ../../etc/passwd"]),
        ("..", "", ["there is no hook"]),
        ("own", HEAD + "x = 1\n", ["own.py", "0 hooks"]),
        ("own", HEAD + "@hook()\ndef a(ctx): ...\n@hook()\ndef b(ctx): ...\n", ["own.a, own.b"]),
        ("own.c", HEAD + "@hook()\ndef a(ctx): ...\n", ["own.py", "nothing named c", "hooks there: a"]),
        ("own", HEAD + "\n\ndef broken(:\n", ["own.py", "line 5", "SyntaxError"]),
        ("own", HEAD + "\n1 / 0\n", ["own.py", "line 4", "ZeroDivisionError"]),
        ("own", HEAD + "import sys\nsys.exit(3)\n", ["own.py", "line 4", "SystemExit"]),
        ("own", HEAD + "import no_such_module\n", ["own.py", "line 3", "no_such_module"]),
        ("own", "\0", ["own.py"]),
        ("own", HEAD + "@hook(reads=('bodi',))\ndef a(ctx): ...\n", ["hook a", "`bodi`", "body.KEY"]),
        ("own", HEAD + "@hook(reads=7)\ndef a(ctx): ...\n", ["hook a", "tuple"]),
        ("own", HEAD + "@hook(writes=('headers.a b',))\ndef a(ctx): ...\n", ["headers.a b"]),
        ("own", HEAD + "@hook(writes=(5,))\ndef a(ctx): ...\n", ["5"]),
        ("own", HEAD + "@hook()\ndef a(): ...\n", ["hook a", "(ctx)"]),
        ("own", HEAD + "@hook()\ndef a(a, b, c): ...\n", ["hook a", "(ctx, params)"]),
        ("own", HEAD + "@hook()\ndef a(ctx):\n    yield\n", ["hook a", "generator"]),
        ("own", HEAD + "@hook(guard=5)\ndef a(ctx): ...\n", ["hook a", "guard"]),
        ("own", HEAD + "@hook(params=dict)\ndef a(ctx): ...\n", ["hook a", "pydantic"]),
        ("own", HEAD + "@hook(stage='middle')\ndef a(ctx): ...\n", ["hook a", "inbound, outbound"]),
        ("own", HEAD + "@hook(stage='outbound')\ndef a(ctx): ...\n", ["outbound", "hooks.inbound: the hook own"]),
        ("own", HEAD + "@hook()\n@hook()\ndef a(ctx): ...\n", ["no function"]),
        ({"hook": "built_in", "params": {"x": 1}}, "", ["no parameters"]),
        (
            {"hook": "own", "params": {"n": "many"}},
            HEAD + "class P(BaseModel):\n    n: int\n@hook(params=P)\ndef a(ctx, params): ...\n",
            ["hooks.inbound: the hook own", "params.n", "integer"],
        ),
        (
            "own",
            HEAD + "class P(BaseModel):\n    n: int\n@hook(params=P)\ndef a(ctx, params): ...\n",
            ["params.n", "required"],
        ),
        ("built_in", "own: taken", ["built_in", "rename"]),
    ],
)
def test_mistakes_are_told_with_their_place(library: Library, entry: Any, text: str, parts: list[str]) -> None:
    if text:
        write(library, "built_in.py" if text == "own: taken" else "own.py", text)
    with pytest.raises(HookError) as caught:
        load(library, entry)
    told = f"{caught.value.message} {caught.value.hint}"
    assert [part for part in parts if part not in told] == []
    assert caught.value.hint
    assert caught.value.exit_code == 2


def test_a_mistake_in_a_file_that_nobody_asked_for_stops_nothing(library: Library) -> None:
    path = write(library, "broken.py", "1 / 0")
    load(library, "built_in").close()
    assert library.files() == [path]
    with pytest.raises(HookError):
        load(library, "broken")


def test_no_directory_is_no_mistake(tmp_path: Path) -> None:
    library = Library({}, tmp_path / "missing")
    assert library.files() == []
    with pytest.raises(HookError, match="there is no hook x"):
        library.find("x")


def test_parameters_timeouts_and_threads_come_from_the_settings(library: Library) -> None:
    write(library, "own.py", HEAD + "class P(BaseModel):\n    n: int\n@hook(params=P)\ndef a(ctx, params): ...\n")
    pipeline = load(library, {"hook": "own", "params": {"n": 3}, "timeout": 0.5}, "built_in", timeout=2, threads=3)
    first, second = pipeline.plans["inbound"].steps
    assert (first.params.model_dump() if first.params else None, first.timeout) == ({"n": 3}, 0.5)
    assert (second.params, second.timeout) == (None, 2)
    pipeline.close()


@pytest.mark.parametrize(
    "settings",
    [
        {"inbound": [5]},
        {"inbound": [""]},
        {"timeout": 0},
        {"threads": 0},
        {"between": []},
        {"inbound": [{"params": {}}]},
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        HooksConfig.model_validate(settings)


def _graph(style: str) -> str:
    def made(name: str, reads: tuple[str, ...] = (), writes: tuple[str, ...] = ()) -> Hook:
        return hook(reads=reads, writes=writes, name=name)(lambda ctx: None)

    from tests.pipeline.running import steps

    hooks = [made("a", (), ("session",)), made("b", ("session",), ("body",)), made("c", ("body", "session"), ("body",)),
             made('q"[x]', (), ("headers.x",))]  # fmt: skip
    return draw(list(Pipeline({"inbound": steps(hooks)}).plans.values()), style)


def test_plans_are_drawn_for_a_terminal() -> None:
    assert _graph("terminal") == (
        "inbound:\n"
        "  1.  a\n"
        "               writes session\n"
        '      q"[x]\n'
        "               writes headers.x\n"
        "  2.  b      after a (session)\n"
        "               reads session\n"
        "               writes body\n"
        "  3.  c      after b (body)\n"
        "               reads body, session\n"
        "               writes body\n"
        "outbound: no hooks\n"
    )


def test_plans_are_drawn_as_mermaid() -> None:
    lines = _graph("mermaid").splitlines()
    assert lines[0] == "flowchart LR"
    assert '    inbound0["a"]' in lines
    assert '    inbound0 -->|"session"| inbound1' in lines
    # What would end the label is written as an entity.
    assert '    inbound3["q#34;#91;x#93;"]' in lines
    # That c waits for a follows from the rest.
    assert not any("inbound0" in line and "inbound2" in line for line in lines)


def test_plans_are_drawn_as_dot() -> None:
    text = _graph("dot")
    assert text.startswith("digraph hooks {\n")
    assert text.count("{") == text.count("}")
    assert '    inbound0 -> inbound1 [label="session"];' in text
    assert '    inbound3 [label="q\\"[x]"];' in text
