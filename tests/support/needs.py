"""What a test needs of the machine. What is missing is said, with the way to get it.

A program can be had anywhere: without it the test fails. What a machine cannot give to this user is a skip with its
reason, and a failure where `CI` is set (`tests/conftest.py`).
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest


def program(name: str) -> str:
    """The path of a program. Fails the test where there is none."""
    found = shutil.which(name)
    if found is None:
        pytest.fail(f"this test needs {name}: scripts/setup.sh test installs it", pytrace=False)
    return found


def root(purpose: str) -> None:
    """Skip the test unless it is run by root."""
    if os.geteuid() != 0:
        pytest.skip(f"only root can {purpose}")


def file_system(name: str) -> None:
    """Skip the test where the kernel does not know this kind of file system."""
    if name not in Path("/proc/filesystems").read_text().split():
        pytest.skip(f"this kernel has no {name}")
