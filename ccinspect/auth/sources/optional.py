"""Libraries that only some credentials need, and that nobody else has to install."""

from __future__ import annotations

import importlib
import logging
from typing import Any

from ccinspect.auth.credential import SourceFailed


def library(module: str, package: str) -> Any:
    """Import what not everybody has. Its debug log, which may hold what was signed or answered, stays silent.

    Raises SourceFailed naming the package.
    """
    quiet = logging.getLogger(module.rpartition(".")[0] or module)
    if quiet.level < logging.INFO:
        quiet.setLevel(logging.INFO)
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise SourceFailed(
            f"the Python package `{package}` is not installed beside ccinspect",
            f"install `{package}` into the environment that ccinspect runs in, then: ccinspect restart",
        ) from error
