"""The entry point: it can be interrupted from its first line on."""

from __future__ import annotations

import signal
import sys
from types import FrameType

from harness.cli import streams

INTERRUPTED = 130


class Interrupted(SystemExit):
    """SIGINT or SIGTERM came.

    Not KeyboardInterrupt: CPython remembers one that passed through `exec` of a string, as
    dataclasses do it while they are imported, and then dies by SIGINT at its end although the
    exception was handled (unhandled_keyboard_interrupt in Python/pythonrun.c).
    """


def main() -> None:
    """Run a command; end with the exit code that its outcome deserves."""
    streams.prepare()
    for number in (signal.SIGINT, signal.SIGTERM):
        # A job in the background of a script is started with SIGINT ignored, and stays so.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    try:
        # Half a second of imports, in which a signal may come as well.
        from harness.cli.commands import run

        code = run()
    except Interrupted:
        streams.say("interrupted; everything that was started has been ended")
        code = INTERRUPTED
    except SystemExit as ended:
        # Typer ends the process at a closed pipe, with a code that means something else here.
        code = ended.code if isinstance(ended.code, int) else 1
    sys.exit(streams.finish(code))


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    # Once: a second signal must not interrupt the clean-up of the first.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise Interrupted(INTERRUPTED)


if __name__ == "__main__":
    main()
