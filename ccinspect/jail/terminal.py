"""The terminal in front of a run: whose it is, before and after."""

from __future__ import annotations

import os


class Foreground:
    """Remembers whether our process group had the terminal, to give it back after a command that kept it."""

    def __init__(self) -> None:
        try:
            self._terminal = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC | os.O_NOCTTY)
            self._ours = os.tcgetpgrp(self._terminal) == os.getpgrp()
        except OSError:
            self._terminal, self._ours = -1, False

    def restore(self) -> None:
        """Take the terminal back if it was ours. SIGTTOU must be ignored, for we may be in the background."""
        if self._terminal < 0:
            return
        try:
            if self._ours and os.tcgetpgrp(self._terminal) != os.getpgrp():
                os.tcsetpgrp(self._terminal, os.getpgrp())
        except OSError:
            # The terminal has been closed under us.
            pass
        finally:
            os.close(self._terminal)
