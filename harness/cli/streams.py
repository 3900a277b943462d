"""Standard output and standard error, whatever the caller has made of them."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator

NOT_WRITTEN, BROKEN_PIPE = 4, 141
"""Exit codes; the second one is what a shell makes of SIGPIPE."""


class Output(io.TextIOWrapper):
    """A text stream that remembers what it could not write.

    Attributes:
        lost: why something that was printed is not where it belongs; None when all is.
    """

    lost: OSError | None = None

    def write(self, text: str) -> int:
        """Write a text; buffered or not, as the stream is."""
        with self._remembered():
            return super().write(text)

    def flush(self) -> None:
        """Write what is buffered."""
        with self._remembered():
            super().flush()

    @contextlib.contextmanager
    def _remembered(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.lost = self.lost or error
            raise


def prepare() -> None:
    """Let no character be an error, and have something to write to where a stream was closed."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            # Else the next file that is opened would get the number that everybody prints to.
            setattr(sys, name, Output(open(os.devnull, "wb")))  # noqa: PTH123, SIM115 - it stays
        else:
            flags = {"line_buffering": stream.line_buffering, "write_through": stream.write_through}
            setattr(sys, name, Output(stream.buffer, stream.encoding, "replace", **flags))


def lost() -> OSError | None:
    """Why standard output is not complete; None when it is, as far as it has been written."""
    return getattr(sys.stdout, "lost", None)


def finish(code: int) -> int:
    """Write what is still to be written; the exit code, which tells if that cannot be done."""
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    error = lost()
    if error is None:
        return code
    # What was not written stays in the buffer: the interpreter would try, and tell, again.
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - no path of ours
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):
        return BROKEN_PIPE
    say(f"error: standard output cannot be written: {error.strerror}")
    return code or NOT_WRITTEN


def say(text: str) -> None:
    """A line on standard error, if that can be."""
    with contextlib.suppress(OSError):
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
