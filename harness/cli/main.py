"""The entry point: it can be interrupted from its first line on."""

from __future__ import annotations

import sys

from harness.cli import interrupts, streams


def main() -> None:
    """Run a command; end with the exit code that its outcome deserves."""
    streams.prepare()
    interrupts.catch()
    try:
        # Half a second of imports, in which a signal may come as well.
        from harness.cli.commands import run

        code = run()
    except (interrupts.Interrupted, Exception) as error:
        if not interrupts.caused(error):
            raise
        streams.say("interrupted; everything that was started has been ended")
        code = interrupts.INTERRUPTED
    except SystemExit as ended:
        # Typer ends the process at a closed pipe, with a code that means something else here.
        code = ended.code if isinstance(ended.code, int) else 1
    interrupts.forget()
    sys.exit(streams.finish(code))


if __name__ == "__main__":
    main()
