"""The text of the systemd user unit. docs/service.md says why each line is there, and why others are not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

NAME = "ccinspect.service"

_UNIT = """\
# The daemon of ccinspect as a service of one user: `ccinspect service install`, or copy this to ~/.config/systemd/user.
# docs/service.md says why each line is there.
[Unit]
Description=ccinspect: see what coding agents really send
StartLimitIntervalSec=60
StartLimitBurst=5

[Service]
Type=notify
NotifyAccess=main
ExecStart={command} start
ExecReload={command} reload
Restart=on-failure
RestartSec=1
RestartPreventExitStatus=2
TimeoutStartSec=120
TimeoutStopSec=60
WatchdogSec=60
WatchdogSignal=SIGKILL
EnvironmentFile=-{environment_file}
{environment}\
UMask=0077
LimitCORE=0
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK

[Install]
WantedBy=default.target
"""

GENERIC_COMMAND = ("%h/.local/bin/ccinspect",)
GENERIC_ENVIRONMENT_FILE = "%E/ccinspect/environment"


def unit_text(
    command: Sequence[str],
    environment_file: str = GENERIC_ENVIRONMENT_FILE,
    environment: Mapping[str, str] | None = None,
) -> str:
    """The unit that starts `command` (words, as systemd reads them: see `quoted_argument`) with these variables."""
    lines = [f"Environment={quoted(f'{name}={value}')}\n" for name, value in (environment or {}).items()]
    return _UNIT.format(command=" ".join(command), environment_file=environment_file, environment="".join(lines))


def quoted_argument(word: str) -> str:
    """A word of a command line such that systemd takes it literally (systemd.service(5), "Command lines")."""
    return quoted(word.replace("$", "$$"))


def quoted(word: str) -> str:
    """An assignment such that systemd takes it literally (systemd.syntax(7))."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("\n", "\\n")
    return escaped if escaped and not set(escaped) & set(" \t'\";") else f'"{escaped}"'
