"""The entry point: it can be interrupted from its first line on."""

from __future__ import annotations

import signal
import sys
from types import FrameType

INTERRUPTED = 130


def main() -> None:
    """Run a command; end with the exit code that its outcome deserves."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        # Half a second of imports, in which a signal may come as well.
        from harness.cli.commands import run

        code = run()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; everything that was started has been ended\n")
        code = INTERRUPTED
    sys.exit(code)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    # Once: a second SIGTERM must not interrupt the clean-up of the first.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
