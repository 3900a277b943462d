"""Signals that end a command: the first with an orderly shutdown, a second one at once."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import time
from types import FrameType

INTERRUPTED = 130
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class Interrupted(SystemExit):
    """One of the signals was received.

    This is not a KeyboardInterrupt: if one passes through `exec` of a string, as used by
    dataclasses during their import, CPython remembers it and dies of SIGINT at its end although
    the exception was handled (unhandled_keyboard_interrupt in Python/pythonrun.c).
    """


TOGETHER = 0.5
"""Seconds in which a second signal counts as the first: wrappers forward the terminal's signals."""

AGAIN = 0.005
"""Seconds after which an interrupt that could not be raised is retried."""

IMPORTS = 2.0
"""Seconds that an interrupt waits for the end of an import; a module may also hang."""

_came: list[float] = []
_settled: list[bool] = []


def catch() -> None:
    """Make signals raise `Interrupted` from now on."""
    # The first function to be registered is the last to be called.
    atexit.register(_ignore)
    sys.unraisablehook = _unraisable
    signal.signal(signal.SIGALRM, _raise)
    for number in SIGNALS:
        # A script starts background jobs with SIGINT ignored, and it stays ignored; nohup ignores
        # SIGHUP.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)


def settle() -> None:
    """Ignore the first signal from now on, because the outcome is decided.

    An interrupt between detaching the stack and the exit would report that everything was ended
    although it was not. The remaining work takes milliseconds, unless something hangs.
    """
    _settled.append(True)
    forget()


def forget() -> None:
    """Drop an interrupt that still waits for an import: its timer would kill Python at exit."""
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    signal.setitimer(signal.ITIMER_REAL, 0)


def caused(error: BaseException | None) -> bool:
    """Whether an interrupt was replaced by this error."""
    while error is not None:
        if isinstance(error, Interrupted):
            return True
        error = error.__cause__
    return False


def say(line: str) -> None:
    """Write to standard error without its buffer, because a signal may come during a write."""
    with contextlib.suppress(OSError):
        os.write(2, f"{line}\n".encode())


def _interrupt(number: int, frame: FrameType | None) -> None:
    _came.append(time.monotonic())
    if _came[-1] - _came[0] > TOGETHER:
        _end_at_once()
    if _settled or len(_came) > 1:
        return
    if _supervised():
        say("interrupted: stopping what was started (interrupt again to force it)")
    _raise(number, frame)


def _raise(_number: int, frame: FrameType | None) -> None:
    if _settled or not _came:
        return
    if _importing(frame, modules=time.monotonic() - _came[0] < IMPORTS):
        signal.setitimer(signal.ITIMER_REAL, AGAIN)
    else:
        raise Interrupted(INTERRUPTED)


def _importing(frame: FrameType | None, *, modules: bool) -> bool:
    """Whether an import is in progress: in the import system itself, or in a module's own code.

    The import system acquires its lock before the `try` that releases it (`_get_module_lock` in
    3.11). An exception in between leaves the lock held, and every other thread that imports
    something hangs. Modules catch the errors of optional imports, and Python replaces errors from
    `__set_name__` by a RuntimeError (before 3.12).
    """
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        if frame.f_code.co_name == "<module>" and not modules:
            return False
        frame = frame.f_back
    return False


def _unraisable(told: sys.UnraisableHookArgs) -> None:
    """An interrupt in a finalizer or a callback, where exceptions are dropped."""
    if isinstance(told.exc_value, Interrupted):
        signal.setitimer(signal.ITIMER_REAL, AGAIN)
    else:
        sys.__unraisablehook__(told)


def _supervised() -> bool:
    # Looked up, because importing it takes longer than a signal may wait.
    tree = sys.modules.get("harness.runtime.tree")
    return tree is not None and bool(tree.supervisors - tree.detached)


def _ignore() -> None:
    """At its end, Python gives signals their default action again, unless they are ignored.

    A command that had done its work died of a SIGINT that came in its last ten milliseconds.
    """
    for number in (*SIGNALS, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)


def _end_at_once() -> None:
    """The clean-up after the first signal hangs, or takes too long for the user."""
    _ignore()
    if tree := sys.modules.get("harness.runtime.tree"):
        tree.abandon_all()
    say(
        "interrupted again; supervisors stop what is left, "
        "`dapr-harness down --stale` removes the rest"
    )
    os._exit(INTERRUPTED)
