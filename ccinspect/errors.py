"""The exception tree.

    CcinspectError
    ├── ConfigError            the configuration file, or a setting in the environment, is wrong
    │   └── HookError          a hook cannot be found, loaded or put in order
    ├── DaemonError
    │   ├── DaemonNotRunning   nothing listens on the control socket
    │   ├── DaemonRunning      a daemon already owns this directory
    │   ├── PortBusy           a listener's port is taken
    │   └── StartFailed        the daemon came up and went away again
    ├── ControlError           the control API refused a request
    ├── ServiceError           systemd is not here, or refuses what the service needs
    ├── RunError
    │   ├── CommandNotFound    exit code 127, as a shell gives
    │   ├── CommandNotRunnable exit code 126, as a shell gives
    │   └── JailUnavailable    this machine cannot build the jail; the hint says how to mend it
    ├── CredentialsError       a credential cannot be had, or may not be used
    ├── DeviceError            a device does not exist, or cannot be given this name
    ├── UpstreamProxyError     the proxy between us and the world is down, or refuses
    ├── TransformError         a request cannot be sent where a rule says, or not in the dialect spoken there
    ├── ShapeError             a shape does not exist, cannot be read, or would hold what is private
    ├── SetupError             a file of an agent, a shell or the system cannot be changed, and is as it was
    └── StoreError
        ├── StoreUnavailable   the store cannot be opened, read or written
        ├── FlowNotFound       no flow has this id
        ├── AmbiguousFlowId    an abbreviated id fits more than one flow
        ├── FilterError        a jq filter does not compile, fails, or yields no array
        ├── BadSelection       a selection flag has a value that cannot be understood
        ├── NoModelCall        the flow is no model call, or its content was not kept
        ├── SessionError       a named session does not exist, or is open already
        └── BackupError        a backup cannot be written, read or put in place

Every error says in `message` what happened and what that means, and in `hint` what to do next. A
traceback never reaches a terminal for one of these.
"""

from __future__ import annotations


class CcinspectError(Exception):
    """Base of all errors a user can cause or meet; `exit_code` is what the command line returns."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ConfigError(CcinspectError):
    """The configuration file, or a setting in the environment, is wrong."""

    exit_code = 2


class HookError(ConfigError):
    """A hook cannot be found, loaded or put in order with the others; nothing was started."""


class DaemonError(CcinspectError):
    """The daemon cannot do what was asked."""


class DaemonNotRunning(DaemonError):
    """Nothing listens on the control socket."""


class DaemonRunning(DaemonError):
    """A daemon already owns this directory."""


class PortBusy(DaemonError):
    """A listener's port is taken by another process."""


class StartFailed(DaemonError):
    """The daemon came up and went away again."""


class ControlError(CcinspectError):
    """The control API refused a request."""


class ServiceError(CcinspectError):
    """systemd does not run for this user, or refuses what the service needs."""


class RunError(CcinspectError):
    """`ccinspect run` could not be set up."""


class CommandNotFound(RunError):
    """The command does not exist."""

    exit_code = 127


class CommandNotRunnable(RunError):
    """The command exists but cannot be executed."""

    exit_code = 126


class JailUnavailable(RunError):
    """This machine cannot build the jail."""


class CredentialsError(CcinspectError):
    """A credential cannot be had, or may not be used; neither text ever holds one."""


class DeviceError(CcinspectError):
    """A device does not exist, or its name cannot be read or written."""


class UpstreamProxyError(CcinspectError):
    """The upstream proxy cannot be reached, refuses what it is shown, or opens no way."""


class TransformError(CcinspectError):
    """A request cannot be sent where a rule says, or cannot be said in the dialect spoken there."""


class ShapeError(CcinspectError):
    """A shape does not exist, cannot be read or written, or would hold what is private."""


class SetupError(CcinspectError):
    """A file of an agent, a shell or the system cannot be changed; it was left as it is."""


class StoreError(CcinspectError):
    """The store cannot answer."""


class StoreUnavailable(StoreError):
    """The store cannot be opened, read or written."""


class FlowNotFound(StoreError):
    """No flow has this id."""


class AmbiguousFlowId(StoreError):
    """An abbreviated id fits more than one flow."""


class FilterError(StoreError):
    """A jq filter does not compile, fails, or yields something that is not an array."""


class BadSelection(StoreError):
    """A selection flag has a value that cannot be understood."""

    exit_code = 2


class NoModelCall(StoreError):
    """The flow is no model call that can be read, or its content was not kept."""


class SessionError(StoreError):
    """A named session does not exist, or cannot be opened or closed."""


class BackupError(StoreError):
    """A backup of the store cannot be written or read, or would overwrite something."""
