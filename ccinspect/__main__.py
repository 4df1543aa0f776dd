"""Entry point of the `ccinspect` command and of `python -m ccinspect`."""

from __future__ import annotations


def main() -> None:
    """Run the command line; the heavy imports happen inside the command that needs them."""
    from ccinspect.cli.main import main as run

    run()


if __name__ == "__main__":
    main()
