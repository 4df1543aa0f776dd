"""What the operating system refuses, in words: no fault of ours, and not to be reported as one."""

from __future__ import annotations

import errno

from ccinspect.errors import CcinspectError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_CLOSED = (errno.EACCES, errno.EPERM)


def refusal(error: Exception) -> CcinspectError | None:
    """The error to show in the place of `error`; None where that says nothing that a person could mend."""
    if not isinstance(error, OSError):
        return None
    if error.errno in _FULL:
        place = error.filename or "what was asked for"
        return CcinspectError(f"{place} cannot be written: {error.strerror}", "make room where it goes")
    if error.errno in _CLOSED and error.filename:
        return CcinspectError(
            f"{error.filename} is closed to you: {error.strerror}",
            "`ls -ld` shows whose it and its directories are; what was made under sudo is root's until `sudo chown`",
        )
    if error.errno == errno.EROFS and error.filename:
        return CcinspectError(
            f"{error.filename} cannot be written: {error.strerror}", "name a directory elsewhere with --config DIR"
        )
    return None
