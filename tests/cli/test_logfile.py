"""The log from its end, and through rotations."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from ccinspect.cli.logfile import Position, follow, read_new, show_last


def write_lines(path: Path, first: int, last: int) -> None:
    with path.open("a") as stream:
        stream.writelines(f"line {number}\n" for number in range(first, last + 1))


@pytest.mark.parametrize("wanted", [0, 1, 3, 50_000])
def test_the_newest_lines(tmp_path: Path, wanted: int) -> None:
    path = tmp_path / "log"
    write_lines(path, 1, 20_000)
    seen: list[str] = []
    position = show_last(path, wanted, seen.append)
    assert seen == [f"line {number}" for number in range(max(1, 20_001 - wanted), 20_001)]
    assert position.offset == path.stat().st_size


def test_a_line_that_is_still_written_waits_for_its_end(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("whole\nhal")
    seen: list[str] = []
    position = show_last(path, 10, seen.append)
    assert seen == ["whole"]
    write_lines(path, 1, 1)
    read_new(path, position, seen.append)
    assert seen == ["whole", "halline 1"]


def test_what_a_rotation_took_away_is_not_lost(tmp_path: Path) -> None:
    path = tmp_path / "log"
    write_lines(path, 1, 1)
    seen: list[str] = []
    position = show_last(path, 10, seen.append)
    write_lines(path, 2, 2)
    path.rename(tmp_path / "log.1")
    write_lines(path, 3, 3)
    position = read_new(path, position, seen.append)
    write_lines(path, 4, 4)
    read_new(path, position, seen.append)
    assert seen == ["line 1", "line 2", "line 3", "line 4"]


def test_a_truncated_log_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "log"
    write_lines(path, 1, 9)
    position = show_last(path, 0, [].append)
    path.write_text("new\n")
    seen: list[str] = []
    read_new(path, position, seen.append)
    assert seen == ["new"]


def test_following_begins_before_there_is_a_log(tmp_path: Path) -> None:
    path = tmp_path / "log"
    came = threading.Event()

    def write(line: str) -> None:
        assert line == "line 7"
        came.set()
        raise BrokenPipeError

    def run() -> None:
        with pytest.raises(BrokenPipeError):
            follow(path, Position(0, 0), write)

    thread = threading.Thread(target=run)
    thread.start()
    write_lines(path, 7, 7)
    assert came.wait(10)
    thread.join(10)


def test_escape_sequences_in_the_log_are_shown_not_obeyed(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"GET /\x1b[2J \xff\n")
    seen: list[str] = []
    show_last(path, 1, seen.append)
    assert seen == ["GET /\\e[2J \ufffd"]
