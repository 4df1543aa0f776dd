"""Entry of the command line: the quick ways past typer, and the one place where errors become words and exit codes."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from ccinspect.cli.instance import Instance
from ccinspect.cli.output import report_error
from ccinspect.errors import CcinspectError

EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141


def main() -> None:
    """Run `sys.argv` and exit."""
    sys.exit(dispatch(sys.argv[1:]))


def dispatch(arguments: Sequence[str]) -> int:
    """Run one command line; returns its exit status."""
    _open_missing_streams()
    try:
        status = _run(arguments)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # As with `ccinspect flows list | head`: whoever read us has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    except Exception as error:
        if _global_options(arguments)[0].verbose:
            import traceback

            traceback.print_exc()
        return _explain(error, arguments)


def _open_missing_streams() -> None:
    """Put /dev/null where we were started without stdin, stdout or stderr (`>&-`).

    Else the next file or socket that is opened would get that number, and with it what is printed.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", closefd=False))


def _explain(error: Exception, arguments: Sequence[str]) -> int:
    if isinstance(error, CcinspectError):
        report_error(error)
        return error.exit_code
    if isinstance(error, UnicodeEncodeError):
        # `run` takes any bytes; whatever else is asked for is text.
        odd = next((word for word in arguments if not word.isascii() and not _is_text(word)), None)
        if odd is not None:
            report_error(CcinspectError(f"{odd} is no UTF-8 text", "check what it was copied from"))
            return 2
    from ccinspect.cli.refusals import refusal

    if (refused := refusal(error)) is not None:
        report_error(refused)
        return refused.exit_code
    report_error(
        CcinspectError(
            f"internal error: {type(error).__name__}: {error}",
            "`ccinspect --verbose ...` shows where; please report it",
        )
    )
    return 1


def _is_text(word: str) -> bool:
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def _run(arguments: Sequence[str]) -> int:
    quick = _quick_command(arguments)
    if quick is not None:
        return quick()
    from ccinspect.cli.app import run_app

    if isinstance(sys.stdout, io.TextIOWrapper):
        # What was captured may hold any character; a terminal of another encoding gets escapes for those it lacks.
        sys.stdout.reconfigure(errors="backslashreplace")
    return run_app(arguments)


def _quick_command(arguments: Sequence[str]) -> Callable[[], int] | None:
    """`run`, `start` and `mcp` without typer: the first and the last have to be fast, `start` small in memory."""
    instance, rest = _global_options(arguments)
    if rest[:1] == ["run"]:
        from ccinspect.cli.run.run_options import parse_quickly

        options = parse_quickly(rest[1:], os.environ)
        if options is not None:
            from ccinspect.cli.run.running import execute

            return lambda: execute(instance, options)
    if rest == ["start"]:
        from ccinspect.cli.starting import start_in_foreground

        return lambda: start_in_foreground(instance)
    if rest == ["mcp"]:
        from ccinspect.cli.machine.mcp_serving import serve_here

        return lambda: serve_here(instance)
    return None


def _global_options(arguments: Sequence[str]) -> tuple[Instance, list[str]]:
    """Take the plain spellings of the global options off the front."""
    rest = list(arguments)
    config: Path | None = None
    verbose = False
    while rest:
        if rest[0] == "--verbose":
            verbose = True
            del rest[0]
        elif rest[0] == "--config" and len(rest) > 1 and rest[1]:
            config = Path(rest[1])
            del rest[:2]
        elif rest[0].startswith("--config=") and rest[0] != "--config=":
            config = Path(rest.pop(0).removeprefix("--config="))
        else:
            break
    return Instance(config, verbose), rest
