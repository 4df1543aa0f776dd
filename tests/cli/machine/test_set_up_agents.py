from __future__ import annotations

from pathlib import Path

import pytest

from ccinspect.cli.machine.set_up_agents import remark
from ccinspect.setup.notes import Note, Notes


@pytest.mark.parametrize(
    ("command", "mode", "said"),
    [
        (["claude", "-p"], "inspect", None),
        (["opencode"], "inspect", "opencode was set up to use the daemon's proxy"),
        (["npx", "@anthropic-ai/claude-code"], "proxy", "belongs to no run"),
        (["codex"], "inspect", None),
        (["make"], "inspect", None),
    ],
)
def test_who_was_set_up_is_told_so(tmp_path: Path, command: list[str], mode: str, said: str | None) -> None:
    by_base_url = [(("env", "ANTHROPIC_BASE_URL"), "http://127.0.0.1:4000")]
    by_proxy = [(("HTTPS_PROXY",), "http://127.0.0.1:4080")]
    Notes(tmp_path / "setup").save(
        Note("/a", "json", {"claude": by_base_url, "opencode": by_proxy, "python in /b": by_proxy})
    )
    found = remark(tmp_path / "setup", command, mode)
    assert (found is None) == (said is None)
    assert said is None or said in str(found)


def test_notes_that_are_missing_or_broken_do_not_keep_a_run_from_starting(tmp_path: Path) -> None:
    assert remark(tmp_path, ["claude"], "inspect") is None
    (tmp_path / "x.json").write_text("{")
    assert remark(tmp_path, ["claude"], "inspect") is None
