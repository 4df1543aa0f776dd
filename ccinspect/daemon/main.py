"""The daemon's process: the only one of its data directory, with a log, and a recorder that outlives what serves."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import sys
from collections.abc import Iterator

from mitmproxy.utils import asyncio_utils

from ccinspect.addons.keylog import forget_foreign_logs
from ccinspect.config import Config
from ccinspect.control.ready import ReadyPipe
from ccinspect.daemon import logs
from ccinspect.daemon.groundwork import Groundwork
from ccinspect.daemon.service_manager import ServiceManager
from ccinspect.daemon.serving import Serving
from ccinspect.daemon.store_upgrade import bring_store_up_to_date
from ccinspect.errors import DaemonRunning
from ccinspect.paths import Paths, make_private_dir
from ccinspect.store.options import StoreOptions
from ccinspect.store.recorder import Recorder

logger = logging.getLogger("ccinspect.daemon")

# Of Python's 5 ms, each of the proxy's system calls would cost it as much while a thread translates a large body.
_SWITCH_SECONDS = 0.0005


def serve(paths: Paths, config: Config) -> None:
    """Run the daemon until it is told to stop (SIGTERM, SIGINT, or `shutdown` on the control socket).

    Raises DaemonRunning, PortBusy, ConfigError or StoreUnavailable when it cannot start; then nothing is left running.
    """
    # Whatever mitmproxy or SQLite write is for this user only.
    os.umask(0o077)
    sys.setswitchinterval(_SWITCH_SECONDS)
    forget_foreign_logs()
    for directory in (paths.data_dir, paths.ca_dir, paths.runtime_root, paths.runtime_dir):
        make_private_dir(directory)
    with _only_daemon(paths):
        pipe, manager = ReadyPipe.from_environment(), ServiceManager.from_environment()
        try:
            logs.set_up_logging(config.daemon, paths.log_file, foreground=not pipe.detached)
            base = Groundwork(paths, config)
            bring_store_up_to_date(paths.store_dir, pipe, manager)
            asyncio.run(_run(base, pipe, manager))
        except Exception as error:
            pipe.failed(error)
            raise


@contextlib.contextmanager
def _only_daemon(paths: Paths) -> Iterator[None]:
    """Hold the lock of the data directory. The kernel lets go of it however we end."""
    descriptor = os.open(paths.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            pid = os.read(descriptor, 32).decode("ascii", "replace").strip() or "unknown"
            raise DaemonRunning(
                f"a daemon (pid {pid}) already serves {paths.data_dir}; it was left as it is",
                "use it, or stop it first: ccinspect stop",
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


async def _run(base: Groundwork, pipe: ReadyPipe, manager: ServiceManager) -> None:
    store = base.config.store
    recorder = Recorder.start(
        base.paths.store_dir,
        StoreOptions(
            bodies=store.bodies,
            max_age=store.max_age,
            max_bytes=store.max_bytes,
            keep_secrets=store.keep_secrets,
            control_socket=str(base.paths.control_socket),
        ),
        worker="ccinspect.policy.masking_worker",
    )
    try:
        with asyncio_utils.set_eager_task_factory():
            await Serving(base, recorder).serve(pipe, manager)
    finally:
        await recorder.close()
        logger.info("stopped")
