"""What a user can meet is documented: commands, settings, errors; and the generated pages say what the code says."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from ccinspect import errors
from ccinspect.cli.app import build_app
from ccinspect.cli.settings import all_settings
from tests.test_architecture import PACKAGE

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), ROOT / "README.md"])


def script() -> Any:
    spec = importlib.util.spec_from_file_location("docs_script", ROOT / "scripts/docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def command_paths(command: Any, path: tuple[str, ...] = ("ccinspect",)) -> Iterator[str]:
    yield " ".join(path)
    for name, child in getattr(command, "commands", {}).items():
        yield from command_paths(child, (*path, name))


def headings(page: str) -> set[str]:
    return set(re.findall(r"^#+ +`?([^`\n]+)`?$", (DOCS / page).read_text(), re.MULTILINE))


def test_the_generated_pages_are_fresh() -> None:
    assert script().stale_pages() == [], "run `make docs`"


def test_each_command_has_a_heading() -> None:
    assert set(command_paths(typer.main.get_command(build_app()))) <= headings("cli.md")


def test_each_setting_is_documented() -> None:
    text = (DOCS / "configuration.md").read_text()
    blocks = headings("configuration.md")
    for setting in all_settings():
        assert setting.dotted in blocks if setting.is_block else f"`{setting.dotted}`" in text


def test_each_error_has_a_heading() -> None:
    ours = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.CcinspectError)
    }
    assert ours <= headings("errors.md")


def test_the_tree_of_errors_is_drawn_as_it_is() -> None:
    drawn = set(re.findall(r"\b[A-Z][a-zA-Z]+\b", (errors.__doc__ or "").split("Every error")[0]))
    ours = {name for name, value in vars(errors).items() if isinstance(value, type)}
    assert ours <= drawn


def links() -> Iterator[tuple[Path, str]]:
    for page in PAGES:
        prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", prose):
            if not re.match(r"[a-z]+:", target):
                yield page, target


@pytest.mark.parametrize(("page", "target"), [pytest.param(*link, id=f"{link[0].name}-{link[1]}") for link in links()])
def test_links_lead_somewhere(page: Path, target: str) -> None:
    name, _, anchor = target.partition("#")
    found = page.parent / name if name else page
    assert found.exists()
    if anchor:
        titles = re.findall(r"^#+ +(.+)$", found.read_text(), re.MULTILINE)
        assert anchor in {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_index_names_every_page() -> None:
    index = (DOCS / "README.md").read_text()
    assert [page.name for page in DOCS.glob("*.md") if page.name != "README.md" and f"({page.name})" not in index] == []


def test_commands_named_in_the_pages_exist() -> None:
    known = set(command_paths(typer.main.get_command(build_app())))
    for page in PAGES:
        text = re.sub(
            r"```\w*\n.*?```", lambda fence: fence[0].replace("\n", "\n    "), page.read_text(), flags=re.DOTALL
        )
        for line in re.findall(r"(?:`|^ {4}(?:\$ )?)(ccinspect(?: [a-z][a-z-]*)+)", text, re.MULTILINE):
            words = line.split()
            named = next(" ".join(words[:n]) for n in range(len(words), 0, -1) if " ".join(words[:n]) in known)
            assert len(words) == 1 or named != "ccinspect", f"{page.name} speaks of `{line}`"


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) < 200


def test_no_page_names_this_machine() -> None:
    for path in [*PAGES, *PACKAGE.rglob("*.py")]:
        # `/proc/PID/root/` is fine.
        assert not re.search(r"(?<![\w}])/(?:work|root)/", path.read_text()), path
