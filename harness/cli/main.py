"""The entry point: it can be interrupted from its first line on."""

from __future__ import annotations

import sys

from harness.cli import interrupts


def main() -> None:
    """Run a command; end with the exit code that its outcome deserves."""
    interrupts.catch()
    try:
        # Half a second of imports, in which a signal may come as well.
        from harness.cli.commands import run

        code = run()
    except interrupts.Interrupted:
        interrupts.say("interrupted; everything that was started has been ended")
        raise
    sys.exit(code)


if __name__ == "__main__":
    main()
