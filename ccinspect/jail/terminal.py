"""The terminal in front of a run: whose it is, and how it is set, before and after."""

from __future__ import annotations

import contextlib
import os
import termios


class Foreground:
    """Remembers a terminal that our process group has, to give it back after a command that could not do so itself."""

    def __init__(self) -> None:
        self._terminal = -1
        with contextlib.suppress(OSError):
            self._terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
            self._ours = os.tcgetpgrp(self._terminal) == os.getpgrp()
            self._settings = termios.tcgetattr(self._terminal)

    def restore(self, killed: bool) -> None:
        """Take the terminal back if it was ours; its settings too where the command was `killed`, as a shell does.

        SIGTTOU must be ignored, for we may be in the background.
        """
        if self._terminal < 0:
            return
        # The terminal may have been closed under us.
        with contextlib.suppress(OSError, termios.error):
            if self._ours:
                os.tcsetpgrp(self._terminal, os.getpgrp())
                if killed:
                    termios.tcsetattr(self._terminal, termios.TCSADRAIN, self._settings)
        os.close(self._terminal)
