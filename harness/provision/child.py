"""Child processes that do not outlive their parent."""

from __future__ import annotations

import sys
from collections.abc import Sequence

_BEQUEATH = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9, 0, 0, 0); "
    "os.execv(sys.argv[1], sys.argv[1:])"
)


def with_death_signal(command: Sequence[str]) -> list[str]:
    """The command, started so that it is killed when the thread that started it ends.

    Provisioning has no supervisor yet; otherwise a ``kill -9`` would leave a broker or a build of
    several minutes behind. A bare interpreter sets the death signal (prctl, PR_SET_PDEATHSIG) and
    then becomes the command. This works on Linux only; elsewhere the command is unchanged.
    """
    if not sys.platform.startswith("linux"):
        return list(command)
    return [sys.executable, "-I", "-S", "-c", _BEQUEATH, *command]
