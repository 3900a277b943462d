"""The entry point, which can be interrupted from its first line on."""

from __future__ import annotations

import sys

from harness.cli import interrupts, streams


def main() -> None:
    """Run a command, and exit with the code for its outcome."""
    streams.prepare()
    interrupts.catch()
    try:
        # Imports take half a second, during which a signal may come.
        from harness.cli.commands import run

        code = run()
    except (interrupts.Interrupted, Exception) as error:
        if not interrupts.caused(error):
            raise
        streams.say("interrupted; everything that was started has been stopped")
        code = interrupts.INTERRUPTED
    except SystemExit as ended:
        # Typer ends the process at a closed pipe, with a code that has another meaning here.
        code = ended.code if isinstance(ended.code, int) else 1
    interrupts.settle()
    sys.exit(streams.finish(code))


if __name__ == "__main__":
    main()
