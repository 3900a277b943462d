"""Standard output and standard error, in whatever state the caller provides them."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator

NOT_WRITTEN, BROKEN_PIPE = 4, 141
"""Exit codes; the second one is the shell's for SIGPIPE."""


class Output(io.TextIOWrapper):
    """A text stream that remembers what it failed to write.

    Attributes:
        lost: why some output was not written; None if all of it was.
    """

    lost: OSError | None = None

    def write(self, text: str) -> int:
        """Write a text, buffered or not, like the stream."""
        with self._remembered():
            return super().write(text)

    def write_bytes(self, data: bytes) -> None:
        """Write bytes as they are, after everything that was written before."""
        with self._remembered():
            super().flush()
            self.buffer.write(data)
            self.buffer.flush()

    def flush(self) -> None:
        """Write buffered data."""
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
    """Make every character printable, and replace streams that were closed."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            # Otherwise the next file to be opened would get the descriptor that everyone prints to.
            setattr(sys, name, Output(open(os.devnull, "wb")))  # noqa: PTH123, SIM115 - it stays
        else:
            flags = {"line_buffering": stream.line_buffering, "write_through": stream.write_through}
            setattr(sys, name, Output(stream.buffer, stream.encoding, "replace", **flags))


def lost() -> OSError | None:
    """Why standard output is incomplete; None if everything so far was written."""
    return getattr(sys.stdout, "lost", None)


def write_bytes(data: bytes) -> None:
    """Write bytes to standard output, whatever its encoding."""
    if isinstance(sys.stdout, Output):
        sys.stdout.write_bytes(data)
    else:
        sys.stdout.write(data.decode("utf-8", "replace"))


def finish(code: int) -> int:
    """Write all remaining output; return the exit code, which reports if that failed."""
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    error = lost()
    if error is None:
        return code
    # Unwritten data stays in the buffer: the interpreter would try again, and report it again.
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - not a path of ours
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):
        return BROKEN_PIPE
    say(f"error: standard output cannot be written: {error.strerror}")
    return code or NOT_WRITTEN


def say(text: str) -> None:
    """Write a line to standard error, if possible."""
    with contextlib.suppress(OSError):
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
