"""`python -m collector` is `collector`."""

import sys

_INTERRUPTED = 130
"""The exit code of what SIGINT ended, as a shell has it (`commands.access` is not loaded yet)."""


def main() -> None:
    """Run the command line; Ctrl-C ends it without a traceback while it is still being loaded."""
    try:
        from collector.cli import main as run  # noqa: PLC0415 - this is what takes its time
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    run()


if __name__ == "__main__":
    main()
